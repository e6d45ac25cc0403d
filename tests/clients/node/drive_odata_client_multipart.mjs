// @odata/client: batches as multipart/mixed, each write in a change set of its own (the client makes no larger ones).
// Usage: drive_odata_client_multipart.mjs BASE_URL (such as http://127.0.0.1:8080/odata/v4/svc/).

import assert from "node:assert/strict";

import odata from "@odata/client";

import { CHANGED, MADE, report } from "./checks.mjs";

const connect = (commonHeaders = {}) =>
  odata.OData.New4({
    serviceEndpoint: process.argv[2],
    credential: { username: "u", password: "p" },
    commonHeaders,
  });
const statuses = (answers) => answers.map((answer) => answer.status);

async function send(client, ...calls) {
  const requests = calls.map(([method, id, entity, params]) =>
    client.newBatchRequest({ collection: "things", method, id, entity, params }),
  );
  return client.execBatchRequests(requests);
}

const client = connect();
const answers = await send(
  client,
  ["GET", 1],
  ["GET", undefined, undefined, client.newOptions().top(1)],
  ["POST", undefined, { id: 71, name: MADE }],
  ["GET", 71],
  ["PATCH", 71, { name: CHANGED }],
  ["GET", 71],
  ["DELETE", 71],
  ["GET", 404],
);
assert.deepEqual(statuses(answers), [200, 200, 201, 200, 204, 200, 204, 404]);
const name = async (index) => (await answers[index].json()).name;
assert.equal(await name(0), "alpha");
assert.deepEqual((await answers[1].json()).value, [{ id: 1, name: "alpha" }]);
assert.deepEqual([await name(2), await name(3), await name(5)], [MADE, MADE, CHANGED]);
assert.equal((await answers[7].json()).error.message, "no thing 404");

// The client sends a common header with the batch and inside it; it counts on the batch alone.
const patient = connect({ Prefer: "continue-on-error" });
const mixed = await send(
  patient,
  ["GET", 404],
  ["POST", undefined, { id: 1, name: "again" }],
  ["PATCH", 404, { name: "x" }],
  ["GET", 2],
);
assert.deepEqual(statuses(mixed), [404, 409, 404, 200]);
assert.equal((await mixed[3].json()).name, "beta");

report({ statuses: [...statuses(answers), ...statuses(mixed)], names: [await name(2), await name(5)] });
