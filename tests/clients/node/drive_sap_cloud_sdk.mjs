// @sap-cloud-sdk/odata-v4: batches in all four forms of inner URL, failures, and a change set of two writes.
// Usage: drive_sap_cloud_sdk.mjs BASE_URL (the gateway's origin). Before a batch the SDK asks for a CSRF token.

import assert from "node:assert/strict";

import { CHANGED, MADE, report } from "./checks.mjs";
import { batch, changeset, things } from "./things_api.mjs";

const destination = { url: process.argv[2], headers: { authorization: "Bearer outer-token" } };
const make = things.requestBuilder();
const entity = (fields) => things.entityBuilder().fromJson(fields);
const read = (answer) => answer.as(things);
const written = (answer) => answer.responses.map((response) => response.httpCode);

const names = [];
const failures = [];
const forms = ["relativeToService", "relativeToEntity", "noPath", "absolute"];
for (const [index, form] of forms.entries()) {
  const id = 71 + index;
  const answers = await batch(
    make.getByKey(1),
    make.getAll(),
    changeset(make.create(entity({ id, name: MADE }))),
    make.getByKey(id),
    changeset(make.update(entity({ id, name: CHANGED }))),
    make.getByKey(id),
    changeset(make.delete(id)),
    make.getByKey(404),
  )
    .withSubRequestPathType(form)
    .execute(destination);
  assert.equal(answers.length, 8, form);
  assert.equal(read(answers[0])[0].name, "alpha");
  assert.deepEqual(read(answers[1]).map((thing) => thing.id), [1, 2]);
  assert.deepEqual(written(answers[2]), [201]);
  assert.equal(answers[2].responses[0].as(things).name, MADE);
  assert.equal(read(answers[3])[0].name, MADE);
  assert.deepEqual(written(answers[4]), [204]);
  assert.equal(read(answers[5])[0].name, CHANGED);
  assert.deepEqual(written(answers[6]), [204]);
  assert.ok(answers[7].isError());
  assert.equal(answers[7].httpCode, 404);
  assert.equal(answers[7].body.error.message, "no thing 404");
  failures.push(answers[7].httpCode);
  names.push(read(answers[0])[0].name, read(answers[3])[0].name, read(answers[5])[0].name);
}

// After a failure the rest runs when it is asked for. Two writes in one change set need a transaction, which a plain
// upstream has not: none of them may run.
const answers = await batch(
  changeset(make.delete(404)),
  changeset(make.create(entity({ id: 81, name: "one" })), make.update(entity({ id: 2, name: "two" }))),
  make.getByKey(2),
)
  .addCustomHeaders({ Prefer: "continue-on-error" })
  .execute(destination);
assert.equal(answers.length, 3);
assert.ok(answers[0].isError());
assert.ok(answers[1].isError());
assert.deepEqual(answers.map((answer) => answer.httpCode), [404, 501, 200]);
assert.equal(read(answers[2])[0].name, "beta");
failures.push(answers[0].httpCode, answers[1].httpCode);
const refusal = answers[1].body.error;
assert.ok(refusal.message, JSON.stringify(refusal));

report({ forms, names, failures, refusal });
