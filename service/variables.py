"""What the environment says of the configuration: the variables `BATCHWIRE_…`, in the form of the file (OP-09).

Upper and lower case of a variable's name are the same, so the name of an upstream in it means that of the file which
reads the same. Nothing is passed over: what is meant for no section or key is told. Must never judge a value.
"""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from .config_errors import Path, shown

PREFIX = "BATCHWIRE_"
# Of the build (setup.py), and what Kubernetes sets in each pod for a service of our name.
_NO_SETTING = re.compile(
    PREFIX + r"(?:COMPILE|ANNOTATE|(?:\w+_)?SERVICE_HOST|(?:\w+_)?SERVICE_PORT(?:_\w+)?|(?:\w+_)?PORT(?:_\d+_.+)?)"
)
_UPSTREAMS = "upstreams"
_SWITCHES = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}


def say_routes() -> bool:
    """Whether the environment holds the routes, so that no file is needed."""
    return any(name.upper() == f"{PREFIX}ROUTES" for name in os.environ)


class Variables:
    """The environment, read for a model whose fields are the sections.

    upstreams: names that the file and the command line have. `tree`: what the variables say, in the form of the file.
    `given`: for the path of each, its name and value. `wrong`: a line for each that says nothing.
    """

    def __init__(self, model: type[BaseModel], upstreams: list[str]) -> None:
        self.tree: dict[str, Any] = {}
        self.given: dict[Path, tuple[str, Any]] = {}
        self.wrong: list[str] = []
        self._names = {name.lower(): name for name in reversed(upstreams)}
        # The value of a whole table comes before those of its keys, which win.
        for path, name in sorted(self._settings(model).items(), key=lambda item: (len(item[0]), item)):
            self._take(path, name, _kind(model, path))

    def _settings(self, model: type[BaseModel]) -> dict[Path, str]:
        found: dict[Path, str] = {}
        for name in sorted(os.environ):
            if not name.upper().startswith(PREFIX):
                continue
            path = tuple(name[len(PREFIX) :].lower().split("__"))
            if path[0] not in model.model_fields:
                if not _NO_SETTING.fullmatch(name.upper()):
                    sections = ", ".join(model.model_fields)
                    self.wrong.append(f"{name}: there is no section {path[0]!r}; there are {sections}")
            elif path in found:
                self.wrong.append(f"{name}: is the same as {found[path]}, which is set too")
            else:
                found[path] = name
        return found

    def _take(self, path: Path, name: str, kind: object) -> None:
        if kind is None:
            more = f"; {PREFIX}{path[0].upper()} is one JSON list" if path[0] == "routes" else ""
            self.wrong.append(f"{name}: there is no such key{more}")
            return
        value: Any = _plain(os.environ[name], kind)
        if _is_json(kind):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                self.wrong.append(f"{name}: is not valid JSON (was {shown(value)})")
                return
        if path[0] == _UPSTREAMS:
            if len(path) == 1:
                value = self._renamed(value)
            else:
                path = (path[0], self._names.setdefault(path[1], path[1]), *path[2:])
        self.given[path] = (name, value)
        tree: dict[str, Any] = {path[-1]: value}
        for part in reversed(path[:-1]):
            tree = {part: tree}
        self.tree = merged(self.tree, tree)

    def _renamed(self, value: Any) -> Any:
        """The upstreams of a JSON object under the names that they have."""
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {}
        for key, settings in value.items():
            name = self._names.setdefault(key.lower(), key)
            # Of two that differ in case only, none may get lost: they are refused as those of a file are.
            made[key if name in made else name] = settings
        return made


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, in the form of the file; `over` wins."""
    made = dict(base)
    for key, value in over.items():
        old = made.get(key)
        made[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return made


def _kind(model: type[BaseModel], path: Path) -> object:
    """The type of what lies there; None: there is no such key."""
    kind: Any = model
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(part)
            kind = None if field is None else field.annotation
        elif get_origin(kind) is dict and part:
            kind = get_args(kind)[1]
        else:
            return None
    return kind


def _plain(text: str, kind: Any) -> Any:
    """The number or boolean that a variable says, where its key is one; anything else is text, for others to judge."""
    if kind is bool:
        return _SWITCHES.get(text.strip().lower(), text)
    for number in (int, float):
        if {kind, *get_args(kind)} & {number, float}:
            with contextlib.suppress(ValueError):
                return number(text)
    return text


def _is_json(kind: Any) -> bool:
    return get_origin(kind) in (dict, list, tuple) or (isinstance(kind, type) and issubclass(kind, BaseModel))
