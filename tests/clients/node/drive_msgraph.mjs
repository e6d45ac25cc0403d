// @microsoft/microsoft-graph-client: a batch whose calls depend on a create, then one of calls that are independent.
// Usage: drive_msgraph.mjs BASE_URL (the gateway's origin; the client adds v1.0 itself).

import assert from "node:assert/strict";

import graph from "@microsoft/microsoft-graph-client";

import { CHANGED, MADE, failure, report } from "./checks.mjs";

const { BatchRequestContent, BatchResponseContent, Client } = graph;
const client = Client.init({ baseUrl: process.argv[2], authProvider: (done) => done(null, "outer-token") });

function step(id, method, path, body, dependsOn) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const init = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  return { id, request: new Request(`https://graph.microsoft.com${path}`, init), dependsOn };
}

async function send(steps) {
  const content = await new BatchRequestContent(steps).getContent();
  return new BatchResponseContent(await client.api("/$batch").post(content));
}

const statuses = (answer) =>
  Object.fromEntries([...answer.getResponses()].map(([id, response]) => [id, response.status]));
const name = async (answer, id) => (await answer.getResponseById(id).json()).name;

const after = ["make"];
const dependent = await send([
  step("make", "POST", "/things", { id: 71, name: MADE }),
  step("after", "GET", "/things/71", undefined, after),
  step("first", "GET", "/things/1", undefined, after),
  step("second", "GET", "/things/2", undefined, after),
  step("nope", "GET", "/things/404", undefined, after),
  step("twice", "POST", "/things", { id: 71, name: "again" }, after),
]);
assert.deepEqual(statuses(dependent), { make: 201, after: 200, first: 200, second: 200, nope: 404, twice: 409 });
assert.equal(await name(dependent, "after"), MADE);
assert.equal(await name(dependent, "second"), "beta");
assert.equal((await dependent.getResponseById("nope").json()).error.message, "no thing 404");

const serial = await send([
  step("change", "PATCH", "/things/71", { name: CHANGED }),
  step("read", "GET", "/things/71", undefined, ["change"]),
  step("remove", "DELETE", "/things/71", undefined, ["read"]),
  step("gone", "GET", "/things/71", undefined, ["remove"]),
  step("never", "GET", "/things/1", undefined, ["gone"]),
]);
assert.deepEqual(statuses(serial), { change: 204, read: 200, remove: 204, gone: 404, never: 424 });
assert.equal(await name(serial, "read"), CHANGED);

// A batch that the gateway refuses as a whole: the client reports the gateway's error.
const broken = await failure(client.api("/$batch").post({ requests: [{ id: "a", method: "GET" }, { id: "a" }] }));
assert.equal(broken.statusCode, 400);

report({ statuses: { ...statuses(dependent), ...statuses(serial) }, broken: broken.statusCode, code: broken.code });
