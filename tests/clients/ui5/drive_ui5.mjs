// OpenUI5's V2 ODataModel in Chromium: reads with a failure among them, and a change by MERGE.
// The page and the library come from this script's server, which sends batches to the gateway and any other call to the
// service, as a proxy before both would. Usage: node drive_ui5.mjs GATEWAY_ORIGIN SERVICE_ORIGIN ROOT CHROMIUM.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import http from "node:http";
import path from "node:path";
import { chromium } from "playwright-core";

const [gateway, service, root, program] = process.argv.slice(2);
const library = path.resolve("node_modules/@openui5/sap.ui.core/src");
const kinds = { ".js": "text/javascript", ".json": "application/json", ".css": "text/css" };
const page = `<!DOCTYPE html><html><head><meta charset="utf-8">
<script src="/resources/sap-ui-core.js" data-sap-ui-async="true" data-sap-ui-libs=""></script></head><body></body></html>`;

const single = [];

function proxied(request, response) {
  if (!request.url.includes("$batch")) single.push(request.url.slice(root.length).split("?")[0]);
  const target = new URL(request.url, request.url.includes("$batch") ? gateway : service);
  const headers = { ...request.headers, host: target.host };
  const onward = http.request(target, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

const server = http.createServer((request, response) => {
  const place = decodeURIComponent(new URL(request.url, gateway).pathname);
  if (place.startsWith(root)) return proxied(request, response);
  if (!place.startsWith("/resources/")) {
    response.writeHead(200, { "content-type": "text/html" });
    return response.end(page);
  }
  const file = path.join(library, path.normalize(place.slice("/resources".length)));
  const content = createReadStream(file);
  content.on("open", () => {
    response.writeHead(200, { "content-type": kinds[path.extname(file)] ?? "text/plain" });
    content.pipe(response);
  });
  content.on("error", () => response.writeHead(404).end());
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

// Runs in the page, as an application's own code would.
function application(root) {
  return new Promise((done, fail) => {
    sap.ui.require(["sap/ui/model/odata/v2/ODataModel"], async (ODataModel) => {
      try {
        const model = new ODataModel(root, {
          headers: { Authorization: "Bearer outer-token" },
          tokenHandling: false,
          refreshAfterChange: false,
        });
        const call = (name, ...leading) =>
          new Promise((settled) => {
            model[name](...leading, {
              success: (data, answer) => settled({ status: Number(answer.statusCode), name: data?.name }),
              error: (error) => settled({ status: Number(error.statusCode) }),
            });
          });
        // What is asked for in one turn is one batch.
        const read = await Promise.all(["1", "404", "2"].map((id) => call("read", `/things(${id})`)));
        const changed = await call("update", "/things(1)", { name: "Größe ✓" });
        const made = await call("create", "/things", { id: 71, name: "gämma 日本" });
        const refused = await call("update", "/things(404)", { name: "x" });
        const after = await Promise.all(["1", "71"].map((id) => call("read", `/things(${id})`)));
        done({ read, changed, made, refused, after });
      } catch (error) {
        fail(error);
      }
    }, fail);
  });
}

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
try {
  const tab = await browser.newPage();
  const problems = [];
  tab.on("pageerror", (error) => problems.push(String(error)));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await tab.waitForFunction(() => globalThis.sap?.ui?.require, undefined, { timeout: 20_000 });
  const said = await tab.evaluate(application, root);
  assert.deepEqual(problems, []);
  console.log(JSON.stringify({ ...said, single }));
} finally {
  await browser.close();
  server.close();
}
