"""What is wrong with a configuration: for each thing a line with its key or variable, what is wrong, what is allowed.

Must never read the configuration's file.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

MAX_QUOTED = 100
"""Characters of a value that a line quotes."""
Path = tuple[str, ...]

# A validator of several keys begins with the one that it is about.
_ABOUT = re.compile(r"([a-z_]+(?:\.\w+)*): (.*)", re.DOTALL)
_WORDS = {
    "extra_forbidden": "there is no such key",
    "missing": "must be given",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must have at least one entry",
}
_TABLES = {"routes": "routes", "mounts": "routes.mounts"}
_WITHOUT_VALUE = ("extra_forbidden", "missing", "too_short")


def lines(error: ValidationError, given: Mapping[Path, tuple[str, Any]], overrides: Mapping[str, Any]) -> list[str]:
    """given: path, name and value of each environment variable. overrides: what was set over file and environment, in
    the form of the file."""
    told = []
    for entry in error.errors():
        if entry["type"] == "too_short" and entry["input"]:
            continue  # for lack of the entries that have lines of their own
        for message in _message(entry).split("\n"):
            path = tuple(str(part) for part in entry["loc"])
            about = _ABOUT.fullmatch(message) if entry["type"] == "value_error" else None
            if about is not None:
                path, message = (*path, *about[1].split(".")), about[2]
            told.append(_line(path, message, {} if _holds(overrides, path) else given))
    return told


def shown(value: object) -> str:
    """A value as a line quotes it."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def _message(entry: Any) -> str:
    kind, value = entry["type"], entry["input"]
    message = _WORDS.get(kind) or entry["msg"].removeprefix("Value error, ")
    if kind == "list_type" and entry["loc"][-1] in _TABLES and isinstance(value, Mapping):
        where = _TABLES[entry["loc"][-1]]
        return f"must be a list: [[{where}]] in the file, not [{where}]"
    if kind != "value_error":
        message = message[0].lower() + message[1:]
    if kind in _WITHOUT_VALUE or isinstance(value, dict | list | tuple) or "(was " in message:
        return message
    if isinstance(value, str) and repr(value) in message:
        return message
    return f"{message} (was {shown(value)})"


def _line(path: Path, message: str, given: Mapping[Path, tuple[str, Any]]) -> str:
    said = [place for place in given if path[: len(place)] == place and _says(given[place][1], path[len(place) :])]
    if said:
        place = max(said, key=len)
        return ": ".join([given[place][0], *filter(None, [".".join(path[len(place) :])]), message])
    below = [name for place, (name, _) in given.items() if place[: len(path)] == path]
    more = f"; in the environment: {', '.join(below)}" if below else ""
    return f"{': '.join(filter(None, ['.'.join(path), message]))}{more}"


def _says(value: Any, path: Path) -> bool:
    """Whether the value of a variable, which may be of JSON, has given what lies there, or what it is missing in."""
    return not path or _holds(value, path[:-1])


def _holds(value: Any, path: Path) -> bool:
    for part in path:
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return False
    return True
