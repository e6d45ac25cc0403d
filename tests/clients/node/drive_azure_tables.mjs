// @azure/data-tables: transactions of one operation, failing ones, and one that needs a real transaction.
// Usage: node drive_azure_tables.mjs BASE_URL (the gateway's origin).

import assert from "node:assert/strict";
import { AzureNamedKeyCredential, TableClient } from "@azure/data-tables";
import { CHANGED, failure, report } from "./checks.mjs";

const key = Buffer.from("not a real key").toString("base64");
const table = new TableClient(process.argv[2], "mytable", new AzureNamedKeyCredential("acct", key), {
  allowInsecureConnection: true,
  retryOptions: { maxRetries: 0 },
});
const entity = (rowKey, more) => ({ partitionKey: "p", rowKey, ...more });

const made = await table.submitTransaction([["create", entity("a", { name: "gämma 日本" })]]);
const upserted = await table.submitTransaction([["upsert", entity("b", { name: "beta" }), "Merge"]]);
const changed = await table.submitTransaction([["update", entity("a", { name: CHANGED }), "Merge"]]);
for (const answer of [made, upserted, changed]) assert.equal(answer.subResponses.length, 1);

const duplicate = await failure(table.submitTransaction([["create", entity("a")]]));
assert.equal(duplicate.name, "RestError");
const missing = await failure(table.submitTransaction([["update", entity("none", { name: "x" }), "Merge"]]));
const refused = await failure(
  table.submitTransaction([
    ["create", entity("d", { name: "one" })],
    ["create", entity("e", { name: "two" })],
  ]),
);

report({
  statuses: [made, upserted, changed].map((answer) => answer.subResponses[0].status),
  etags: [made, upserted, changed].map((answer) => answer.subResponses[0].etag),
  failures: [duplicate, missing, refused].map((error) => error.statusCode),
  refusal: refused.message,
});
