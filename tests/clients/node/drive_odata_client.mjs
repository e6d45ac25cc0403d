// @odata/client: batches as OData 4.01 JSON with groups and dependencies.
// Usage: drive_odata_client.mjs BASE_URL (such as http://127.0.0.1:8080/odata/v4/svc/).

import assert from "node:assert/strict";

import odata from "@odata/client";

import { CHANGED, MADE, report } from "./checks.mjs";

const client = odata.OData.New4({
  serviceEndpoint: process.argv[2],
  credential: { username: "u", password: "p" },
});
const call = (method, id, more = {}) => client.newBatchRequest({ collection: "things", method, id, ...more });
const statuses = (answers) => answers.map((answer) => answer.status);

const answers = await client.execBatchRequestsJson([
  call("GET", 1),
  call("GET", 2),
  call("POST", undefined, { entity: { id: 71, name: MADE }, requestId: "make", atomicityGroup: "g1" }),
  call("GET", 71, { requestId: "after", dependsOn: ["g1"] }),
  call("PATCH", 71, { entity: { name: CHANGED }, requestId: "change", dependsOn: ["after"] }),
  call("GET", 71, { requestId: "changed", dependsOn: ["change"] }),
  call("GET", 404, { requestId: "nope" }),
  call("GET", 1, { requestId: "never", dependsOn: ["nope"] }),
  call("DELETE", 71, { requestId: "remove", dependsOn: ["changed"] }),
]);
assert.deepEqual(statuses(answers), [200, 200, 201, 200, 204, 200, 404, 424, 204]);
const values = await Promise.all(answers.map((answer) => answer.json()));
assert.deepEqual(values.slice(0, 4).map((value) => value.name), ["alpha", "beta", MADE, MADE]);
assert.equal(values[5].name, CHANGED);
assert.equal(values[6].error.message, "no thing 404");

// Two writes in one group need a transaction, which a plain upstream has not: both are refused, the rest runs.
const pair = await client.execBatchRequestsJson([
  call("POST", undefined, { entity: { id: 72, name: "one" }, requestId: "one", atomicityGroup: "both" }),
  call("POST", undefined, { entity: { id: 73, name: "two" }, requestId: "two", atomicityGroup: "both" }),
  call("GET", 2),
]);
assert.deepEqual(statuses(pair), [501, 501, 200]);
const refusal = (await pair[0].json()).error;
assert.ok(refusal.message, JSON.stringify(refusal));

report({ statuses: [...statuses(answers), ...statuses(pair)], names: [values[3].name, values[5].name], refusal });
