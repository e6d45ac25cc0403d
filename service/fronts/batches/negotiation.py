"""Decides from the outer head of a batch, and nothing else, how it is run and answered (GB, HD, PR).

Pure functions from method, path, query and headers to a Refusal, a Probe or an Accepted. Nothing here
may do I/O, look at a body or start anything: a refused head means that no call has started (GB-07).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from batchwire.core import BatchHead, EnvelopeError, Limits, content_type_of, new_boundary, parse_boundary
from batchwire.core.errors import quoted
from batchwire.core.front.deadlines import early

from ...config import RouteSettings
from .decoding import DECODINGS
from .inheritance import FORWARDED, Forwarding, forwarding, inherited_headers
from .media import (
    FORMATS,
    Format,
    choose_answer,
    format_option,
    parse_accept,
    parse_media_type,
    request_format,
)
from .odata_errors import ERROR_HEADERS, error_body
from .preferences import Preference, as_boolean, parse_preferences

Headers = Sequence[tuple[bytes, bytes]]
"""Header lines, names in lower case."""
Authority = tuple[str, str] | list[tuple[str, str]] | None
"""Scheme and host[:port] of a batch URL, or several by which clients know it, the first of which is told to them."""

HOP_HEADER = "batchwire-hop"
HIGHEST_VERSION = (4, 1)
_VERSION = re.compile(r"\s*(\d{1,3})\.(\d{1,3})\s*(?:;.*)?\Z")
_FORWARDED = forwarding(FORWARDED)
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9.\-_~%!$&'()*+,=]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
ErrorForm = Callable[[str, str, str], bytes]
_VERSIONED = (b"odata-version", b"odata-maxversion", b"dataserviceversion", b"maxdataserviceversion")
MOST_ELEMENTS = 128
"""Elements and parameters of a field that is parsed: HTTP/2 says thousands of them in one byte (PL-01)."""
MAX_HOST_BYTES = 300
"""Of a Host: a name of DNS has 253 bytes, a port 5. It is told to the client with each link of an answer (GW-10)."""
_WAIT_DIGITS = 9
_LISTS = ("accept", "connection", "content-type", "prefer")
_ONCE = ("content-type", "content-length", "host", "authorization", HOP_HEADER)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route and the limits say about outer heads.

    profile: "auto", "strict" or "compatible" (PR-01). max_hops: batches that a batch may have passed
    through. max_request_bytes: 0 for no limit. origins: scheme and host[:port] that clients know the route by,
    none: what the batch request says. flat_change_sets: SharePoint's form of answers; such clients expect that a batch
    goes on after an error. continue_on_error: a multipart batch does where the client does not say (CL-04).
    forward: which outer headers the calls get besides (CL-10).
    """

    profile: str = "auto"
    status_202: bool = False
    max_hops: int = 4
    max_request_bytes: int = 0
    origins: tuple[tuple[str, str], ...] = ()
    flat_change_sets: bool = False
    continue_on_error: bool = False
    forward: Forwarding = _FORWARDED

    @classmethod
    def of(cls, settings: RouteSettings, limits: Limits) -> "Policy":
        """The policy of a configured route."""
        return cls(
            settings.profile,
            settings.status_202,
            limits.max_hops,
            limits.max_request_bytes,
            tuple(settings.public_origins()),
            settings.flat_change_sets,
            settings.continue_on_error,
            forwarding(settings.forward_headers, settings.drop_headers, settings.keep_headers),
        )


@dataclass(slots=True)  # one for each batch: a frozen one costs three times as much
class OuterRequest:
    """The head of a batch, which nothing here changes. `authority` stands in where there is no Host field."""

    method: str
    scheme: str
    query: bytes
    headers: Headers
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The batch does not run; `status` is an HTTP status, `headers` are complete but for Content-Length.

    form: makes the body from code, message and target; the OData error object (ER-01) unless a dialect has its own.
    """

    status: int
    code: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...]
    form: ErrorForm = error_body

    def body(self) -> bytes:
        """The error object in the dialect's form."""
        return self.form(self.code, self.message, "")


@dataclass(frozen=True, slots=True)
class Probe:
    """HEAD on the batch resource: 200 without a body, nothing starts (PR-08)."""

    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch may run.

    status: of the answer, 200 or 202 (PR-06). decoding: "", "gzip" or "deflate" (HD-19).
    inherited: header fields that calls without them get. hops: for the upstream, already one more.
    answer_headers: of the answer, but for its framing. boundary, answer_boundary: of multipart request and answer.
    last_only: the client wants the last result alone. nested_errors: see Session. form: of an error of the whole batch.
    deadline: seconds from the beginning of the batch, 0: the client does not say.
    """

    dialect: str
    answer: str
    strict: bool
    ordered: bool
    continue_on_error: bool
    authority: Authority
    inherited: list[tuple[bytes, bytes]]
    authorization: bytes | None
    hops: int
    decoding: str
    status: int
    version: str
    answer_headers: tuple[tuple[bytes, bytes], ...]
    boundary: bytes | None = None
    answer_boundary: bytes | None = None
    last_only: bool = False
    nested_errors: bool = False
    form: ErrorForm = error_body
    deadline: float = 0.0

    def batch_head(self) -> BatchHead:
        """What the core has to know of it. Its connection looks after an idle client."""
        return BatchHead(
            dialect=self.dialect,
            answer=self.answer,
            strict=self.strict,
            authority=self.authority,
            headers=self.inherited,
            authorization=self.authorization,
            continue_on_error=self.continue_on_error,
            ordered=self.ordered,
            hops=self.hops,
            boundary=self.boundary,
            answer_boundary=self.answer_boundary,
            last_only=self.last_only,
            nested_errors=self.nested_errors,
            deadline=self.deadline,
            watched=False,
        )


class RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def refusal(self, version: str = "4.0") -> Refusal:
        """The answer, which says the version."""
        return refuse(self.status, self.code, self.message, *self.headers, version=version)


def refuse(status: int, code: str, message: str, *headers: tuple[bytes, bytes], version: str = "4.0") -> Refusal:
    """A Refusal with the header fields that every error answer has (ER-02, GB-14)."""
    return Refusal(status, code, message, (*ERROR_HEADERS, version_field(version), *headers))


def version_field(version: str) -> tuple[bytes, bytes]:
    """The header field that says a version of the protocol: before 4.0 it had another name (CL-05)."""
    return b"odata-version" if version >= "4" else b"dataserviceversion", version.encode()


def version_within(headers: Headers) -> str:
    """The version of an answer, whatever is wrong with the head: the greatest within what the client takes (HD-23).

    >>> version_within([(b"odata-maxversion", b"9.9")])
    '4.01'
    """
    fields: dict[str, str] = {}
    for name, value in headers:
        if name in _VERSIONED:
            fields.setdefault(name.decode(), value.decode("latin-1"))
    highest = _as_version(fields.get("odata-maxversion", ""))
    old = _old_version(fields)
    if old is not None:
        return old
    return "4.01" if highest is not None and highest >= HIGHEST_VERSION else "4.0"


def _as_version(value: str) -> tuple[int, int] | None:
    match = _VERSION.match(value)
    return None if match is None else (int(match[1]), int(match[2]))


def _old_version(fields: dict[str, str]) -> str | None:
    """The version 1.0 to 3.0 of a client that speaks no later one, for its answer; None: it does not say so (CL-05).

    Such a client says OData-Version in spite of its version, or the fields that these versions have.
    """
    asked, highest = (_as_version(fields.get(name, "")) for name in ("odata-version", "odata-maxversion"))
    if asked is not None and asked < (4, 0):
        return f"{max(asked[0], 1)}.0"
    if asked is not None or highest is not None:
        return None
    for name in ("maxdataserviceversion", "dataserviceversion"):
        said = _as_version(fields.get(name, ""))
        if said is not None and said < (4, 0):
            return f"{max(said[0], 1)}.0"
    return None


def root_of(method: str, path: str, _media_type: str) -> str | None:
    """The service root of a path that ends in `$batch` (GB-01), else None. `$batch/` is probed with HEAD (PR-08).

    >>> root_of("POST", "/svc/$batch", "")
    '/svc/'
    """
    path = path.replace("%24", "$")
    if method == "HEAD" and path.endswith("$batch/"):
        path = path[:-1]
    return path[: -len("$batch")] if path.endswith("/$batch") else None


def negotiate(request: OuterRequest, policy: Policy) -> Accepted | Refusal | Probe:
    """Decides on the head of a batch whose path has already led to a route."""
    try:
        return _negotiate(request, policy)
    except RefusedError as error:
        return error.refusal(version_within(request.headers))


def _negotiate(request: OuterRequest, policy: Policy) -> Accepted | Probe:
    if request.method == "HEAD":
        return Probe((version_field(version_within(request.headers)),))
    if request.method != "POST":
        raise RefusedError(405, "MethodNotAllowed", "A batch is sent with POST.", (b"allow", b"POST"))
    fields = join_fields(request.headers)
    _screen(fields, policy)
    preferences = parse_preferences(fields.get("prefer", ""))
    if "return" in preferences:
        raise RefusedError(400, "PreferenceNotAllowed", "The preference return is not for a batch as a whole.")
    version, strict = _version(fields, policy)
    answer_to = _request_format(fields)
    boundary = request_boundary(fields) if answer_to.multipart else None
    answer = _answer_format(request.query, fields, answer_to, strict)
    answer_boundary = new_boundary("odata") if answer.multipart else None
    continue_on_error = as_boolean(preferences.get("continue-on-error"))
    ordered = _order(preferences.get("order"))
    wait = wait_of(preferences)
    if answer_to.multipart and ordered is False:
        ordered = None  # not applied: the answer has the structure of the request (MP-05)
    return Accepted(
        dialect=answer_to.dialect,
        answer=answer.dialect,
        strict=strict,
        ordered=_ordered(ordered, strict, answer_to, answer),
        continue_on_error=(
            answer_to.continue_by_default or version < "4" or policy.flat_change_sets or policy.continue_on_error
            if continue_on_error is None
            else continue_on_error
        ),
        authority=authorities_of(request, fields, policy),
        inherited=inherited_headers(_later_only(fields, version), preferences, policy.forward),
        authorization=fields["authorization"].encode("latin-1") if "authorization" in fields else None,
        hops=hops_of(fields, policy) + 1,
        decoding=decoding_of(fields),
        status=202 if policy.status_202 or version < "4" else 200,
        version=version,
        answer_headers=(
            (
                b"content-type",
                (content_type_of("odata", answer_boundary) if answer_boundary else answer.media_type).encode(),
            ),
            version_field(version),
            *applied(preferences, continue_on_error, ordered, wait),
            (
                b"vary",
                b"OData-MaxVersion, Prefer, Accept" if "accept" in fields else b"OData-MaxVersion, Prefer",
            ),
        ),
        boundary=boundary,
        answer_boundary=answer_boundary,
        nested_errors="x-ms-version" in fields,
        deadline=early(wait) if wait else 0.0,
    )


def _later_only(fields: dict[str, str], version: str) -> dict[str, str]:
    """CL-05: the field OData-Version is none of the versions before 4.0, and nobody behind expects them in it."""
    return {name: value for name, value in fields.items() if name != "odata-version"} if version < "4" else fields


def request_boundary(fields: dict[str, str]) -> bytes:
    """The boundary of a multipart request (MB-12)."""
    try:
        return parse_boundary(fields["content-type"])
    except EnvelopeError as error:
        raise RefusedError(error.status, error.code, error.message) from None


def _ordered(asked: bool | None, strict: bool, request: Format, answer: Format) -> bool:
    """GW-23, JR-04: in request order wherever either side is multipart, unless the client asks for another."""
    if request.multipart:
        return True
    return (not strict or answer.multipart) if asked is None else asked


def join_fields(headers: Headers) -> dict[str, str]:
    """Name → value; several lines of one name are one list, but for those that may come only once."""
    fields: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip()
        if name not in fields:
            fields[name] = value
        elif name in _ONCE:
            raise RefusedError(400, "RepeatedHeader", f"The header {quoted(name)} is given more than once.")
        else:
            repeated.setdefault(name, [fields[name]]).append(value)
    for name, values in repeated.items():
        fields[name] = ("; " if name == "cookie" else ", ").join(values)
    for name in _LISTS:
        if name in fields and fields[name].count(",") + fields[name].count(";") >= MOST_ELEMENTS:
            message = f"The header {name} must not have more than {MOST_ELEMENTS} elements and parameters."
            raise RefusedError(431, "TooManyElements", message)
    return fields


def _screen(fields: dict[str, str], policy: Policy) -> None:
    """What must not be on a batch as a whole (HD-06, HD-07) and what is too large at once (GW-13)."""
    for name in ("if-match", "if-none-match"):
        if fields.get(name, "null").lower() != "null":  # Dataverse clients send the literal null
            raise RefusedError(400, "HeaderNotAllowed", f"The header {quoted(name)} is not for a batch as a whole.")
    for name in ("isolation", "odata-isolation"):
        if name in fields:
            raise RefusedError(412, "IsolationNotSupported", "Snapshot isolation is not supported.")
    refuse_large(fields, policy)


def refuse_large(fields: dict[str, str], policy: Policy) -> None:
    """A batch that says it is larger than allowed (GW-13)."""
    length = fields.get("content-length", "0")
    if policy.max_request_bytes and length.isdecimal() and int(length) > policy.max_request_bytes:
        bound = f"limits.max_request_bytes ({policy.max_request_bytes} bytes)"
        raise RefusedError(413, "RequestTooLarge", f"The batch is larger than {bound}.")


def _version(fields: dict[str, str], policy: Policy) -> tuple[str, bool]:
    """Version of the answer and whether the profile is strict (HD-01, HD-23, PR-01)."""
    asked = _parse_version(fields, "odata-version")
    highest = _parse_version(fields, "odata-maxversion")
    if asked is not None and (asked[0] < 1 or asked > HIGHEST_VERSION or (asked < (4, 0) and asked[1])):
        raise RefusedError(400, "VersionNotSupported", "OData-Version must be 1.0, 2.0, 3.0, 4.0 or 4.01.")
    if highest is not None and highest < (4, 0):
        raise RefusedError(400, "VersionNotSupported", "OData-MaxVersion must be 4.0 or later.")
    old = _old_version(fields)
    answered = min(highest, HIGHEST_VERSION) if highest is not None else asked or (4, 0)
    strict = any(version is not None and version >= (4, 1) for version in (asked, highest))
    if policy.profile != "auto":
        strict = policy.profile == "strict"
    return old or ("4.01" if answered >= (4, 1) else "4.0"), strict


def _parse_version(fields: dict[str, str], name: str) -> tuple[int, int] | None:
    value = fields.get(name)
    if not value:
        return None
    match = _VERSION.match(value)
    if match is None:
        raise RefusedError(400, "MalformedVersion", f"The header {name} is not a version.")
    return int(match[1]), int(match[2])


def _request_format(fields: dict[str, str]) -> Format:
    accept = (b"accept", b", ".join(row.media_type.encode() for row in FORMATS))
    if not fields.get("content-type"):
        raise RefusedError(415, "UnsupportedMediaType", f"A batch needs a Content-Type: {_names()}.", accept)
    media_type, parameters = parse_media_type(fields["content-type"])
    row = request_format(media_type)
    if row is None:
        hint = (
            " One of the document dialect is sent with PUT to {root}batch."
            if media_type == "multipart/form-data"
            else ""
        )
        raise RefusedError(415, "UnsupportedMediaType", f"A batch must be {_names()}.{hint}", accept)
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RefusedError(415, "UnsupportedCharset", "A batch must be encoded in UTF-8.", accept)
    return row


def _answer_format(query: bytes, fields: dict[str, str], request: Format, strict: bool) -> Format:
    option = _format_option(query)
    if option is not None:
        answer = format_option(option)
        if answer is None:
            raise RefusedError(406, "NotAcceptable", f"A batch is answered as {_names()}, not as what $format names.")
        return answer
    if not fields.get("accept"):
        return request
    answer = choose_answer(parse_accept(fields["accept"]), request)
    if answer is None:
        raise RefusedError(
            406,
            "NotAcceptable",
            f"A batch is answered as {_names()}.",
            (b"vary", b"Accept"),
        )
    # PR-03: clients that send multipart with `Accept: application/json` mean the calls and want multipart back.
    return request if request.multipart and not strict else answer


def _format_option(query: bytes) -> str | None:
    """The value of `$format`. Other options that begin with `$` or `@` are refused (GB-13)."""
    found = None
    for item in query.decode("latin-1").split("&"):
        if not item.startswith(("$", "@", "%")):
            continue  # one of thousands that a query may have
        name, _, value = item.partition("=")
        name = unquote_plus(name)
        if not name.startswith(("$", "@")):
            continue
        if name.lower() != "$format":
            raise RefusedError(400, "QueryOptionNotAllowed", "Of the system query options a batch takes only $format.")
        if found is not None:
            raise RefusedError(400, "RepeatedQueryOption", "The query option $format is given more than once.")
        found = unquote_plus(value)
    return found


def _names() -> str:
    return " or ".join(row.media_type for row in FORMATS)


def _order(preference: Preference | None) -> bool | None:
    """True: in the order of the request, False: as they finish, None: not asked (GW-23)."""
    if preference is None:
        return None
    return {"request": True, "completion": False}.get(preference.value.lower())


def wait_of(preferences: dict[str, Preference]) -> int:
    """Seconds that the client waits for the batch (HD-13); 0: it does not say, would have it go on later, or waits for
    longer than anything runs."""
    said = preferences.get("wait")
    if said is None or "respond-async" in preferences or not (said.value.isascii() and said.value.isdigit()):
        return 0
    digits = said.value.lstrip("0")
    return int(digits or "0") if len(digits) <= _WAIT_DIGITS else 0


def applied(
    preferences: dict[str, Preference], continue_on_error: bool | None, ordered: bool | None, wait: int
) -> tuple[tuple[bytes, bytes], ...]:
    """Preference-Applied, in the client's own spelling of the names (HD-12)."""
    said = []
    if continue_on_error is not None:
        said.append(f"{preferences['continue-on-error'].spelling}={str(continue_on_error).lower()}")
    if ordered is not None:
        said.append(f"{preferences['order'].spelling}={'request' if ordered else 'completion'}")
    if wait:
        said.append(f"{preferences['wait'].spelling}={wait}")
    return ((b"preference-applied", ", ".join(said).encode()),) if said else ()


def authority_of(request: OuterRequest, fields: dict[str, str]) -> tuple[str, str] | None:
    """Scheme and host[:port] of the batch URL, for absolute URLs in it (GW-05, GW-10); None: not known."""
    host = fields.get("host") or request.authority
    if host and not _AUTHORITY.match(host):
        raise RefusedError(400, "MalformedHost", "The header host is not a host.")
    if host and len(host) > MAX_HOST_BYTES:
        raise RefusedError(400, "HostTooLong", f"The header host has more than {MAX_HOST_BYTES} bytes.")
    return (request.scheme, host.lower()) if host else None


def authorities_of(request: OuterRequest, fields: dict[str, str], policy: Policy) -> Authority:
    """By what clients know the batch URL: the route's origins, first the one that this request came by."""
    said = authority_of(request, fields)
    if not policy.origins:
        return said
    return sorted(policy.origins, key=lambda origin: said is None or origin[1] != said[1])


def hops_of(fields: dict[str, str], policy: Policy) -> int:
    value = fields.get(HOP_HEADER, "0")
    if not (value.isascii() and value.isdecimal() and len(value) <= 4):
        raise RefusedError(400, "MalformedHeader", f"The header {HOP_HEADER} is not a number.")
    if int(value) >= policy.max_hops:
        raise RefusedError(508, "LoopDetected", "The batch has passed through too many gateways.")
    return int(value)


def decoding_of(fields: dict[str, str]) -> str:
    coding = fields.get("content-encoding", "").lower().removeprefix("x-")
    if coding in ("", "identity"):
        return ""
    if coding in DECODINGS:
        return coding
    raise RefusedError(
        415,
        "UnsupportedContentEncoding",
        "A batch may be encoded with gzip or deflate.",
        (b"accept-encoding", b"gzip, deflate, identity"),
    )
