"""azure-data-tables: transactions of one operation, a failing one, and transactions that need a real transaction.

Every batch of this client is one change set. Usage: drive.py BASE_URL (the gateway's origin).
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient, TableTransactionError, UpdateMode


def failure(run: Callable[[], Any]) -> TableTransactionError:
    try:
        result = run()
    except TableTransactionError as error:
        return error
    raise AssertionError(f"no failure but {result}")


def run(base: str) -> dict[str, Any]:
    key = base64.b64encode(b"not a real key").decode()
    with TableClient(base, "mytable", credential=AzureNamedKeyCredential("acct", key), retry_total=0) as table:
        made = table.submit_transaction([("create", {"PartitionKey": "p", "RowKey": "a", "name": "gämma 日本"})])
        assert [entry["etag"] for entry in made] == ['W/"1"'], made
        upserted = table.submit_transaction([("upsert", {"PartitionKey": "p", "RowKey": "b", "name": "beta"})])
        assert [entry["etag"] for entry in upserted] == ['W/"1"'], upserted
        changed = table.submit_transaction(
            [("update", {"PartitionKey": "p", "RowKey": "a", "name": "Größe ✓"}, {"mode": UpdateMode.MERGE})]
        )
        assert [entry["etag"] for entry in changed] == ['W/"2"'], changed
        table.submit_transaction([("create", {"PartitionKey": "p", "RowKey": "c", "name": "gone"})])
        table.submit_transaction([("delete", {"PartitionKey": "p", "RowKey": "c"})])

        duplicate = failure(lambda: table.submit_transaction([("create", {"PartitionKey": "p", "RowKey": "a"})]))
        assert duplicate.status_code == 409, duplicate
        assert duplicate.error_code == "EntityAlreadyExists", duplicate.error_code

        refused = failure(
            lambda: table.submit_transaction(
                [
                    ("create", {"PartitionKey": "p", "RowKey": "d", "name": "one"}),
                    ("create", {"PartitionKey": "p", "RowKey": "e", "name": "two"}),
                ]
            )
        )
        assert refused.status_code == 501, refused
        return {
            "etags": [made[0]["etag"], upserted[0]["etag"], changed[0]["etag"]],
            "failures": [duplicate.status_code, refused.status_code],
            "refusal": refused.message,
        }


print(json.dumps(run(sys.argv[1])))
