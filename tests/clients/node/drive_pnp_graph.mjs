// @pnp/graph: 25 batched calls, which the client sends in chunks of 20, and one failing call among good ones.
// Usage: drive_pnp_graph.mjs BASE_URL (the gateway's origin). Over plain http the client sends to /$batch, and its
// URLs stay relative to v1.0.

import assert from "node:assert/strict";

import { GraphQueryable, graphDelete, graphGet, graphPatch, graphPost, graphfi } from "@pnp/graph";
import "@pnp/graph/batching.js";
import { DefaultInit } from "@pnp/graph/behaviors/defaults.js";
import { BrowserFetch, DefaultParse, body } from "@pnp/queryable";

import { CHANGED, MADE, Token, failure, report } from "./checks.mjs";

const graph = graphfi(`${process.argv[2]}/v1.0`).using(
  DefaultInit(`${process.argv[2]}/v1.0`),
  Token("outer-token"),
  BrowserFetch(),
  DefaultParse(),
);

function batch() {
  const [batched, execute] = graph.batched();
  const at = (path) => GraphQueryable(batched._root, path);
  return [at, execute];
}

const [at, execute] = batch();
const first = graphGet(at("things/1"));
const made = graphPost(at("things"), body({ id: 71, name: MADE }));
const second = graphGet(at("things/2"));
const missing = failure(graphGet(at("things/404")));
const many = Array.from({ length: 21 }, () => graphGet(at("things/2")));
await execute();
assert.equal((await first).name, "alpha");
assert.deepEqual(await made, { id: 71, name: MADE });
assert.equal((await second).name, "beta");
const error = await missing;
assert.equal(error.status, 404);
assert.match(error.message, /no thing 404/);
assert.deepEqual((await Promise.all(many)).map((thing) => thing.id), Array(21).fill(2));

const [change, executeChange] = batch();
const changed = graphPatch(change("things/71"), body({ name: CHANGED }));
const removed = graphDelete(change("things/1"));
await executeChange();
await changed;
await removed;

const [read, executeRead] = batch();
const after = graphGet(read("things/71"));
const gone = failure(graphGet(read("things/1")));
await executeRead();
assert.equal((await after).name, CHANGED);
assert.equal((await gone).status, 404);

report({ names: [(await first).name, (await made).name, (await after).name], failures: [error.status, (await gone).status], many: many.length });
