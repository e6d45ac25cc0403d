"""The newest msgraph-core: the statuses of a batch.

Only statuses: with kiota-serialization-json 1.10 or later the library gives no body of a response that is a JSON
object, whatever the server sends. Usage: drive.py BASE_URL.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "python"))

from graph import STATUSES, builder, content

answer = asyncio.run(builder(sys.argv[1]).post(content()))
statuses = answer.get_response_status_codes()
assert statuses == STATUSES, statuses
print(json.dumps({"statuses": statuses}))
