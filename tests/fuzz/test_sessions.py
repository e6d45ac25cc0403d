"""Whole sessions under random batches, upstreams that answer anything, cuts, cancels, deadlines and slow takers.

FUZZ_SECONDS says how long, FUZZ_SEED where to begin, FUZZ_CASES how many at most. A case follows from its seed alone,
but for what meets what in time. `make fuzz SEED=n CASES=1` is one case again, with
`ON=.ci/on_debug/run` on the debug build.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
import uvloop
from fuzz_sessions import Case

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 40)
CASES = int(os.environ.get("FUZZ_CASES", "0")) or 1 << 62


@pytest.mark.timeout(SECONDS + 120)
def test_every_call_has_one_result_and_nothing_is_left(tmp_path: Path) -> None:
    until = time.monotonic() + SECONDS
    told = time.monotonic()
    print(f"fuzz: from seed {SEED}, {SECONDS:.0f} s", flush=True)
    # Where the process does not survive a case, the last line says which one it was.
    notes = Path(os.environ.get("FUZZ_NOTES") or tmp_path / "seed")
    done = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while done < CASES and (time.monotonic() < until or not done):
            seed = SEED + done
            notes.write_text(f"{seed}\n")
            wrong = runner.run(Case(seed).run())
            assert not wrong, f"make fuzz SEED={seed} CASES=1:\n" + "\n".join(wrong)
            done += 1
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"fuzz: {done} cases, {max(0.0, until - told):.0f} s to go", flush=True)
    print(f"fuzz: clean, {done} cases from seed {SEED}", flush=True)
