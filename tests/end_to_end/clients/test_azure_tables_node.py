"""@azure/data-tables against a gateway: a failed transaction is an error to the client (CL-07)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, authorizations, run_node, served

pytestmark = pytest.mark.timeout(INSTALL)


def test_transactions_of_one_and_failed_ones(tmp_path: Path) -> None:
    with served(tmp_path, "/", authorize=False) as (things, origin):
        said = run_node("drive_azure_tables.mjs", origin)
        assert said["statuses"] == [204, 204, 204]
        assert said["etags"] == ['W/"1"', 'W/"1"', 'W/"2"']
        assert said["failures"] == [409, 404, 501]
        assert things.calls == [
            "POST /mytable",
            "PATCH /mytable(PartitionKey='p',RowKey='b')",
            "PATCH /mytable(PartitionKey='p',RowKey='a')",
            "POST /mytable",
            "PATCH /mytable(PartitionKey='p',RowKey='none')",
        ]
        assert authorizations(things) == {None}
        assert things.rows() == {"a": CHANGED, "b": "beta"}
