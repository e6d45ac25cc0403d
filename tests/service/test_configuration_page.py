"""docs/configuration.md names every key with its default and what it may be, as service/config.py has them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from batchwire.service import config
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "[listen]": config.Listen,
    "[listen.tls]": config.TlsSettings,
    "[log]": config.Log,
    "[limits]": config.LimitSettings,
    "[upstreams.NAME]": config.UpstreamSettings,
    "[[routes]]": config.RouteSettings,
    "[[routes.mounts]]": config.Mount,
}
COUNT, BYTES, YEAR = 2147483647, 4611686018427387904, 31536000
UPPER = {COUNT, BYTES, YEAR}
"""Said once, above the tables: the most of counts, bytes and seconds."""
OWN = {"batches": '`"all"`, `"failed"`, 0 to 1'}


def rows(section: str) -> dict[str, tuple[str, str]]:
    """Default and values of each key in the table of a section."""
    text = PAGE.split(f"\n## `{section}`\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|", text, re.MULTILINE)
    return {key: (default, values) for key, default, values in found}


def bound(field: FieldInfo, name: str) -> float | None:
    return next((getattr(one, name) for one in field.metadata if getattr(one, name, None) is not None), None)


def values_of(key: str, field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{json.dumps(one)}`" for one in get_args(kind))
    if kind not in (int, float):
        named = {bool: "`true`, `false`", str: "text", list: "list", tuple: "list"}
        return OWN.get(key) or named[get_origin(kind) or kind]  # type: ignore[index]
    above, least, most = bound(field, "gt"), bound(field, "ge"), bound(field, "le")
    low = f"above {above}" if above is not None else f"from {least}"
    usual = most is None or most == (
        BYTES if "bytes" in key or key == "streaming_threshold" else most in UPPER and most
    )
    return low if usual else f"{low} to {most}"


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    value: Any = field.get_default(call_default_factory=True)  # type: ignore[call-arg]
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_has_its_default_and_its_values(section: str) -> None:
    fields = {key: field for key, field in SECTIONS[section].model_fields.items() if key not in ("tls", "mounts")}
    wanted = {key: (default_of(field), values_of(key, field)) for key, field in fields.items()}
    assert rows(section) == wanted


def test_the_most_of_counts_bytes_and_seconds_is_said() -> None:
    fields = [field for model in SECTIONS.values() for field in model.model_fields.values()]
    said = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]{7,}", PAGE.split("\n## ")[0])}
    assert said >= UPPER
    assert {most for field in fields if (most := bound(field, "le")) is not None} <= UPPER | {1024}
