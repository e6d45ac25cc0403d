"""A plan that nobody closes keeps what it keeps of answers."""

from collections.abc import Iterator

import pytest
from batchwire.core.plan.references import stats
from plan_driving import PLANS


@pytest.fixture(autouse=True)
def plans_closed() -> Iterator[None]:
    yield
    for plan in PLANS:
        plan.close()
    PLANS.clear()
    assert stats() == {"references_kept": 0}
