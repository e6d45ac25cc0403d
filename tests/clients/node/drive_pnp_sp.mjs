// @pnp/sp: SharePoint's multipart batches with absolute URLs; 25 calls in chunks of 20, change sets, a refused one.
// Usage: drive_pnp_sp.mjs BASE_URL (such as http://127.0.0.1:8080/sites/dev).

import assert from "node:assert/strict";

import { BrowserFetch, DefaultParse, InjectHeaders, body } from "@pnp/queryable";
import { SPQueryable, spDelete, spGet, spPatch, spPost, spfi } from "@pnp/sp";
import "@pnp/sp/batching.js";
import { DefaultInit } from "@pnp/sp/behaviors/defaults.js";

import { CHANGED, MADE, Token, failure, report } from "./checks.mjs";

const site = spfi(process.argv[2]).using(DefaultInit(), Token("outer-token"), BrowserFetch(), DefaultParse());

// SharePoint goes on after a failed call; a service that keeps to OData does so when it is asked.
const patient = spfi(site).using(InjectHeaders({ Prefer: "continue-on-error" }));

function batch(root) {
  const [batched, execute] = root.batched();
  return [(path) => SPQueryable(batched._root, `_api/${path}`), execute];
}

const [at, execute] = batch(site);
const first = spGet(at("things(1)"));
const made = spPost(at("things"), body({ id: 71, name: MADE }));
const read = spGet(at("things(71)"));
const changed = spPatch(at("things(71)"), body({ name: CHANGED }));
const again = spGet(at("things(71)"));
const removed = spDelete(at("things(71)"));
const many = Array.from({ length: 18 }, () => spGet(at("things(2)")));
const last = failure(spGet(at("things(404)")));
await execute();
assert.equal((await first).name, "alpha");
assert.equal((await made).name, MADE);
assert.equal((await read).name, MADE);
await changed;
assert.equal((await again).name, CHANGED);
await removed;
assert.deepEqual((await Promise.all(many)).map((thing) => thing.name), Array(18).fill("beta"));
const missing = await last;
assert.equal(missing.status, 404);
assert.match(missing.message, /no thing 404/);

const [in2, execute2] = batch(patient);
const before = spGet(in2("things(2)"));
const nope = failure(spGet(in2("things(404)")));
const lone = failure(spPatch(in2("things(405)"), body({ name: "x" })));
const between = spGet(in2("things(1)"));
// Consecutive writes share a change set: without transactions behind the gateway none of them may run.
const one = failure(spPost(in2("things"), body({ id: 72, name: "one" })));
const two = failure(spPost(in2("things"), body({ id: 73, name: "two" })));
const end = spGet(in2("things(2)"));
await execute2();
assert.equal((await before).name, "beta");
assert.equal((await between).name, "alpha");
assert.equal((await end).name, "beta");
const failures = (await Promise.all([last, nope, lone, one, two])).map((error) => error.status);
assert.deepEqual(failures, [404, 404, 404, 501, 501]);

report({ names: [(await first).name, (await read).name, (await again).name], failures, refusal: (await one).message });
