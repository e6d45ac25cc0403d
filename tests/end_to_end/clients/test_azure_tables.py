"""azure-data-tables against a gateway: one change set a batch, absolute URLs, and 202 by its version header (PR-06)."""

from pathlib import Path

import pytest
from foreign import CHANGED, INSTALL, authorizations, run_python, served

pytestmark = pytest.mark.timeout(INSTALL)


def test_transactions_of_one_and_a_refused_one(tmp_path: Path) -> None:
    with served(tmp_path, "/", authorize=False) as (things, origin):
        said = run_python("drive_azure_tables.py", origin)
        assert said["etags"] == ['W/"1"', 'W/"1"', 'W/"2"']
        assert said["failures"] == [409, 501]
        assert "AtomicityNotSupported" in said["refusal"]
        assert things.calls == [
            "POST /mytable",
            "PATCH /mytable(PartitionKey='p',RowKey='b')",
            "PATCH /mytable(PartitionKey='p',RowKey='a')",
            "POST /mytable",
            "DELETE /mytable(PartitionKey='p',RowKey='c')",
            "POST /mytable",
        ]
        assert authorizations(things) == {None}  # a SharedKey signs the batch and no call in it
        assert things.rows() == {"a": CHANGED, "b": "beta"}
