"""Reads the `Prefer` field of RFC 7240 as OData wants it (HD-14, HD-15).

Names are case-insensitive and lose the `odata.` prefix, the first instance of a name counts, values
may be quoted, several lines are one list. It must never fail: what is malformed is left out, as RFC
7240 asks of every preference that a server does not understand.
"""

import re
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_WORD = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_PREFERENCE = re.compile(rf"\s*({_TOKEN})(?:\s*=\s*({_WORD})?)?\s*")
_PARAMETER = re.compile(rf";\s*(?:{_TOKEN}(?:\s*=\s*(?:{_WORD})?)?)?\s*")
_MALFORMED = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.?)*+"?+)*+')  # possessive: never backtracks
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Preference:
    """One preference. `name` is lower-case without `odata.`, `value` unquoted; the rest as it was written."""

    name: str
    spelling: str
    value: str
    word: str

    def __str__(self) -> str:
        """The preference in the form of the field, without parameters."""
        return f"{self.spelling}={self.word}" if self.word else self.spelling


def parse_preferences(field: str) -> dict[str, Preference]:
    """The preferences of all `Prefer` lines, joined with ",", by normalised name; first one counts."""
    found: dict[str, Preference] = {}
    position, end = 0, len(field)
    while position < end:
        match = _PREFERENCE.match(field, position)
        if match is not None:
            after = match.end()
            while (parameter := _PARAMETER.match(field, after)) is not None:
                after = parameter.end()
            if after == end or field[after] == ",":
                preference = _preference(match[1], match[2] or "")
                found.setdefault(preference.name, preference)
                position = after + 1
                continue
        malformed = _MALFORMED.match(field, position)
        position = (malformed.end() if malformed is not None else end) + 1
    return found


def as_boolean(preference: Preference | None) -> bool | None:
    """true, false in any case, or no value, which is true (HD-15); None when absent or anything else."""
    if preference is None:
        return None
    return {"": True, "true": True, "false": False}.get(preference.value.lower())


def _preference(spelling: str, word: str) -> Preference:
    name = spelling.lower()
    value = _ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word
    return Preference(name.removeprefix("odata."), spelling, value, word)
