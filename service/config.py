"""The configuration of the gateway: typed, validated, from TOML, environment and command line.

Every key, its default and its meaning stand here and nowhere else; what its values may be, in config_values.py. Must
never open a connection or build a core object.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .config_errors import lines, shown
from .config_values import (
    LARGEST,
    URL_PATH,
    Address,
    AppName,
    Bytes,
    Bytes0,
    Count,
    Count0,
    DroppedHeaders,
    ForwardedHeaders,
    HostHeader,
    Network,
    Origins,
    PageOrigin,
    RootPath,
    ScreenedHeaders,
    Seconds,
    Seconds0,
    ServerName,
    UpstreamUrl,
    has_dot_segment,
    is_host_port,
    kept_batches,
)
from .fronts.batches.inheritance import FORWARDED
from .systemd import PREFIX
from .variables import Variables, merged, say_routes


class ConfigurationError(Exception):
    """The configuration cannot be used; the message has one line for each key that is wrong."""


def _refuse(wrong: list[str]) -> None:
    """Of a validator of several keys: each line begins with the one that it is about, if it is about one."""
    if wrong:
        raise ValueError("\n".join(wrong))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object, about: ValidationInfo) -> object:
        """TOML and JSON have numbers, booleans and strings: whoever writes one for another means something else."""
        kind = cls.model_fields[str(about.field_name)].annotation
        if kind is bool and not isinstance(value, bool):
            raise ValueError("must be true or false")
        if kind is float and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError("must be a number")
        if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError("must be a whole number")
        return value


class TlsSettings(_Section):
    """TLS of the listeners; empty files: plain text."""

    cert_file: str = Field("", description="certificate chain (PEM); empty: no TLS")
    key_file: str = Field("", description="key of the certificate (PEM)")
    client_ca_file: str = Field("", description="CA certificates (PEM) that clients must have a certificate of; mTLS")
    reload_seconds: Seconds = Field(10, description="how often the files are looked at for new content")

    @model_validator(mode="after")
    def _together(self) -> "TlsSettings":
        wrong = []
        if bool(self.cert_file) != bool(self.key_file):
            wrong.append("cert_file and key_file go together")
        if self.client_ca_file and not self.cert_file:
            wrong.append("client_ca_file needs cert_file and key_file")
        _refuse(wrong)
        return self


class Listen(_Section):
    """Where the gateway listens."""

    front: Literal["native", "grpcio"] = Field(
        "native", description="native: each listener speaks gRPC, HTTP/1.1 and HTTP/2; grpcio: one protocol each"
    )

    grpc: Address = Field("127.0.0.1:50051", description="gRPC listener; empty: none")
    http: Address = Field("127.0.0.1:8080", description="REST listener, also metrics and health; empty: none")
    max_streams: Count = Field(1000, description="requests at once on one HTTP/2 connection")
    max_connection_seconds: Seconds0 = Field(
        0,
        description="an HTTP/2 connection takes streams about as long, then its client is to make a new one; 0: none",
    )
    keepalive_seconds: Seconds = Field(
        75, description="how long an HTTP/1.1 connection may be silent between two requests, before it is closed"
    )
    min_ping_seconds: Seconds0 = Field(
        4, description="keep-alive pings of a client that come more often, while nothing is sent, end it; 0: any"
    )
    allowed_origins: list[PageOrigin] = Field(
        default_factory=list, description='origins of web pages that may use gRPC-Web and Connect; "*": any'
    )
    trusted_proxies: list[Network] = Field(
        default_factory=list,
        description="addresses and networks (or unix) whose Forwarded and X-Forwarded-* are believed; others' are not",
    )
    tls: TlsSettings = Field(default_factory=lambda: TlsSettings.model_validate({}))
    workers: Count = Field(1, description="processes that share the listeners (SO_REUSEPORT); more than 1: no unix:")
    drain_delay_seconds: Seconds0 = Field(
        0, description="how long new batches are still taken after SIGTERM, while health checks fail already"
    )
    grace_seconds: Seconds0 = Field(10, description="how long running batches may go on then")
    stop_seconds: Seconds = Field(15, description="what follows the grace may take it, then the process is ended")

    def ending_seconds(self) -> float:
        """From the word to stop until the process is ended whatever it does."""
        return self.drain_delay_seconds + self.grace_seconds + self.stop_seconds


class Log(_Section):
    """Logs, on standard error."""

    format: Literal["json", "console"] = Field("json", description="one JSON object a line, or for people")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    batches: Annotated[Literal["all", "failed"] | float, BeforeValidator(kept_batches)] = Field(
        "all",
        description="batches that have a line: all; failed: those that did not end well or had a call that did not "
        "succeed; a number from 0 to 1: those, and that share of the others",
    )

    def share(self) -> float:
        """Of the batches that went well, those that have a line."""
        return {"all": 1.0, "failed": 0.0}[self.batches] if isinstance(self.batches, str) else self.batches


class LimitSettings(_Section):
    """Bounds of a batch; 0 means none where it says so."""

    max_calls: Count0 = Field(0, description="calls of a batch; 0: none")
    max_request_bytes: Bytes0 = Field(0, description="bytes of a batch; 0: none")
    max_call_bytes: Bytes = Field(16 << 20, description="bytes of one call in its dialect")
    max_response_bytes: Bytes = Field(16 << 20, description="bytes of one answer's body")
    max_depth: int = Field(64, ge=4, le=1024, description="nesting of JSON")
    max_header_bytes: Bytes = Field(32768, description="header bytes of one call or answer, and of a URL")
    max_in_flight: Count = Field(64, description="calls of one batch that run at once")
    max_pending: Count = Field(1024, description="calls of one batch read and not finished")
    max_pending_bytes: Bytes = Field(64 << 20, description="bytes that they hold; one call may stand out")
    batch_deadline_seconds: Seconds0 = Field(0, description="longest time of a batch; 0: none")
    client_idle_seconds: Seconds = Field(60, description="a client that neither sends nor takes is cut after it")
    max_batches: Count = Field(1000, description="batches at once in a process")
    max_batches_per_client: Count0 = Field(
        0, description="of them, batches of one client address; 0: three quarters of max_batches"
    )
    min_request_rate: float = Field(
        64,
        ge=0,
        allow_inf_nan=False,
        description="bytes a second at least of a request that has begun, after 10 s; "
        "a whole call buys client_idle_seconds; 0: any",
    )
    grpc_max_message_bytes: int = Field(4 << 20, ge=1024, le=LARGEST, description="largest gRPC message taken")
    output_high_bytes: Bytes = Field(1 << 20, description="results not taken, above which no call starts")
    max_answer_bytes_in_flight: Bytes = Field(
        32 << 20,
        description="answers of a batch being read and not taken, above which one at a time is read on",
    )
    max_request_bytes_in_process: Bytes = Field(
        128 << 20,
        description="requests of all batches of a process, read and not finished, above which one batch is read on",
    )
    max_answer_bytes_in_process: Bytes = Field(
        128 << 20,
        description="the same of all batches of a process; above 1/2, one answer of all is read on",
    )
    reference_bytes: Bytes0 = Field(
        8 << 20,
        description="kept of finished calls for references to them; calls that wait hold 8 times as much of answers",
    )
    max_reference_bytes_in_process: Bytes = Field(
        64 << 20,
        description="the same of all batches; above it, the one that keeps the most lets its oldest go (PL-11)",
    )
    reorder_bytes: Bytes = Field(8 << 20, description="window of results in request order, bytes")
    reorder_results: Count = Field(1024, description="window of results in request order, results")
    max_group_calls: Count = Field(1000, description="calls of one atomicity group that runs as one")
    max_calls_per_message: int = Field(
        16384,
        ge=256,
        le=LARGEST,
        description="calls of one message of gRPC's Batch and Execute; a batch has as many messages as it likes",
    )
    max_hops: Count = Field(4, description="batch gateways that a batch may pass through")


_OF_TLS = ("ca_file", "cert_file", "key_file", "verify", "server_name", "reload_seconds")


class UpstreamSettings(_Section):
    """One set of servers, or an ASGI app in this process."""

    url: UpstreamUrl = Field(
        "", description="http://host:port/base/, https://..., or unix:/path.sock; no user, query or fragment"
    )
    base: RootPath = Field("/", description="base path behind a UNIX socket, or of an app")
    app: AppName = Field("", description="ASGI app in this process, module:attribute; instead of url")
    startup_timeout_seconds: Seconds = Field(60, description="for the app to start (ASGI lifespan)")
    addresses: list[str] = Field(default_factory=list, description="several servers, HOST:PORT each, taken in turn")
    host: HostHeader = Field("", description="Host header; default: of the url, localhost for an app")
    max_connections: Count = Field(128, description="connections to it, in all batches together")
    max_in_flight: Count0 = Field(0, description="calls to it at once; 0: max_connections")
    connect_timeout_seconds: Seconds = Field(5, description="for a connection, TLS included")
    call_timeout_seconds: Seconds = Field(30, description="for a call that has no timeout of its own")
    idle_seconds: Seconds = Field(30, description="an unused connection is closed after it")
    max_response_bytes: Bytes0 = Field(0, description="bytes of one answer's body; 0: limits.max_response_bytes")
    forward_authorization: bool = Field(False, description="send it the Authorization of the batch request")
    batch: Literal["", "json", "multipart"] = Field(
        "", description="it takes OData batches at $batch itself, in this form: groups run as one there (GW-04)"
    )
    merge: Literal["", "MERGE", "PATCH"] = Field(
        "", description="how it gets a MERGE; default: as MERGE, or as PATCH if it takes batches (CL-03)"
    )
    coalesce: Count = Field(1, description="calls of a batch put into one such batch of its own; 1: each alone")
    ca_file: str = Field("", description="CA certificates for https (PEM); default: the system's")
    cert_file: str = Field("", description="client certificate (PEM)")
    key_file: str = Field("", description="key of the client certificate (PEM)")
    verify: bool = Field(True, description="check its certificate")
    server_name: ServerName = Field("", description="name its certificate must have; default: of the url")
    reload_seconds: Seconds = Field(10, description="how often the files are looked at for new content")

    @model_validator(mode="after")
    def _one_target(self) -> "UpstreamSettings":
        wrong = []
        if bool(self.url) == bool(self.app):
            wrong.append("needs url or app, not both" if self.url else "needs url or app")
        # Told here, where the value is not quoted: it may hold a password.
        if self.url.startswith("http"):
            parts = urlsplit(self.url)
            if "?" in self.url or "#" in self.url or "@" in parts.netloc:
                wrong.append("url: must have no user, query or fragment: none of them would be sent")
            if has_dot_segment(parts.path) or not URL_PATH.fullmatch(parts.path or "/"):
                wrong.append("url: must have a path without . and .. segments, percent-encoded")
        if bool(self.cert_file) != bool(self.key_file):
            wrong.append("cert_file and key_file go together")
        if bool(self.url) != bool(self.app):
            wrong += self._without_effect()
        if self.merge == "MERGE" and self.batch == "json":
            wrong.append("merge: a JSON batch has no MERGE (JB-07)")
        if self.coalesce > 1 and not self.batch:
            wrong.append("coalesce: needs batch, which says the form of the batches")
        for address in self.addresses:
            if not is_host_port(address):
                wrong.append(f"addresses: must be HOST:PORT each (was {shown(address)})")
        _refuse(wrong)
        return self

    def _without_effect(self) -> list[str]:
        """Keys that say nothing of this kind of upstream: who gives one expects it to be heeded."""
        kind = "app" if self.app else self.url.partition(":")[0]
        of = {
            "base": ("app", "unix"),
            "startup_timeout_seconds": ("app",),
            "addresses": ("http", "https"),
            **dict.fromkeys(("connect_timeout_seconds", "idle_seconds"), ("http", "https", "unix")),
            **dict.fromkeys(_OF_TLS, ("https",)),
        }
        hints = {"base": "; the path of the url is its base"}
        return [
            f"{key}: has no effect with {'an app' if kind == 'app' else f'{kind}:'}{hints.get(key, '')}"
            for key, kinds in of.items()
            if key in self.model_fields_set and kind not in kinds
        ]


class Mount(_Section):
    """A part of a route that another upstream serves."""

    prefix: RootPath = Field(description="full public path, the route's root included: /svc/orders/ under /svc/")
    upstream: str = Field(description="name of the upstream")


class RouteSettings(_Section):
    """A service root: batches are taken at {root}$batch."""

    root: RootPath = Field(description="public service root, begins with /")
    upstream: str = Field(description="name of the upstream")
    default: bool = Field(False, description="the route of gRPC batches that name none")
    streaming_threshold: Bytes0 = Field(1 << 20, description="documents up to it are checked whole first; 0: stream")
    dialects: tuple[Literal["odata", "document", "google"], ...] = Field(
        ("odata", "document", "google"),
        min_length=1,
        description="taken here; with odata alone, a resource called batch can be in a batch (CL-11)",
    )
    profile: Literal["auto", "strict", "compatible"] = Field("auto", description="answer profile (PR-01)")
    origin: Origins = Field(
        default_factory=list,
        description="public http(s)://host[:port], or a list; default: of the request, none in gRPC (GW-05)",
    )
    status_202: bool = Field(False, description="answer 202 instead of 200 (PR-06)")
    continue_on_error: bool = Field(
        False, description="an error in a multipart batch stops nothing where the client does not say (CL-04)"
    )
    flat_change_sets: bool = Field(
        False, description="each call of a change set has its own part of the answer, and an error stops nothing"
    )
    allow_inner_authorization: Literal["reject", "same", "drop"] = Field(
        "same", description="Authorization inside a call; same: taken if it is that of the batch (CL-09)"
    )
    forward_headers: ForwardedHeaders = Field(
        FORWARDED, description="headers of the batch that its calls get; a name, or its beginning and * (CL-10)"
    )
    drop_headers: DroppedHeaders = Field(
        (), description="headers inside calls to drop besides the built-in list, in the same form (CL-12)"
    )
    keep_headers: ScreenedHeaders = Field(
        (), description="headers inside calls that the built-in list is not for, in the same form"
    )
    serve_app: bool = Field(
        False, description="requests that are no batch go to the app as they are; for demonstrations"
    )
    mounts: list[Mount] = Field(default_factory=list, description="parts served by other upstreams")

    def public_origins(self) -> list[tuple[str, str]]:
        """Scheme and host[:port] of each `origin`; the first one is told to clients."""
        parted = (origin.partition("://") for origin in self.origin)
        return [(scheme, host) for scheme, _, host in parted]


class Config(_Section):
    """The whole configuration."""

    listen: Listen = Field(default_factory=lambda: Listen.model_validate({}))
    log: Log = Field(default_factory=lambda: Log.model_validate({}))
    limits: LimitSettings = Field(default_factory=lambda: LimitSettings.model_validate({}))
    upstreams: dict[str, UpstreamSettings] = Field(default_factory=dict)
    routes: list[RouteSettings] = Field(default_factory=list)

    @model_validator(mode="after")
    def _whole(self) -> "Config":
        _refuse([*self._wrong_names(), *self._wrong_routes(), *self._wrong_listeners()])
        return self

    def _wrong_names(self) -> Iterator[str]:
        # A variable of the environment could not tell the two apart.
        seen: dict[str, str] = {}
        for name in self.upstreams:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                yield f"upstreams.{name}: differs from upstreams.{other} in upper and lower case only"

    def _wrong_routes(self) -> Iterator[str]:
        roots: set[str] = set()
        for number, route in enumerate(self.routes):
            where = f"routes.{number}"
            if route.root in roots:
                yield f"{where}.root: {route.root} is used by two routes"
            roots.add(route.root)
            if route.upstream not in self.upstreams:
                yield f"{where}.upstream: there is no upstream {route.upstream!r}"
            elif route.serve_app and not self.upstreams[route.upstream].app:
                yield f"{where}.serve_app: {route.upstream!r} is no app in this process"
            if route.serve_app and route.mounts:
                yield f"{where}.serve_app: a route with mounts has more than one upstream"
            prefixes: set[tuple[str, ...]] = set()
            for place, mount in enumerate(route.mounts):
                here = f"{where}.mounts.{place}"
                if mount.upstream not in self.upstreams:
                    yield f"{here}.upstream: there is no upstream {mount.upstream!r}"
                if not mount.prefix.startswith(route.root) or mount.prefix == route.root:
                    yield f"{here}.prefix: must lie under {route.root}"
                # As a call's path is compared with it (OP-10).
                prefix = tuple(unquote(segment, errors="surrogateescape") for segment in mount.prefix.split("/"))
                if prefix in prefixes:
                    yield f"{here}.prefix: {mount.prefix} is used by two mounts of the route"
                prefixes.add(prefix)
        if sum(route.default for route in self.routes) > 1:
            yield "routes: only one route may be the default"

    def _wrong_listeners(self) -> Iterator[str]:
        listen = self.listen
        if not listen.grpc and not listen.http:
            yield "listen: at least one of grpc and http is needed"
        if listen.front == "grpcio" and listen.tls.cert_file:
            yield "listen.tls: needs the native front"
        if listen.front == "grpcio" and listen.grpc and listen.grpc == listen.http and not listen.http.endswith(":0"):
            yield "listen: with the front grpcio, grpc and http cannot share an address"
        for front in ("grpc", "http"):
            if listen.workers > 1 and getattr(listen, front).startswith("unix:"):
                yield f"listen.{front}: a UNIX socket belongs to one process, so workers must be 1"
            if listen.workers > 1 and getattr(listen, front).startswith(PREFIX):
                yield f"listen.{front}: a socket of systemd is passed to one process, so workers must be 1"
            if listen.front == "grpcio" and getattr(listen, front).startswith(PREFIX):
                yield f"listen.{front}: a socket of systemd needs the native front"


def load(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a TOML file, lets the environment override it, and the command line both.

    overrides: nested mapping in the form of the file. Raises ConfigurationError.
    """
    config, wrong, _ = read(path, overrides)
    if config is None or wrong:
        raise ConfigurationError("\n".join(wrong))
    return config


def read(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Config | None, list[str], dict[str, Any]]:
    """The same, for whoever looks further: the configuration, if its values hold, and a line for each thing wrong.

    Besides, all that was said, in the form of the file.
    Raises ConfigurationError for a file that cannot be read.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: {error}") from None
    overrides = overrides or {}
    variables = Variables(Config, [*_upstreams(data), *_upstreams(overrides)])
    wrong = variables.wrong
    said = merged(merged(data, variables.tree), overrides)
    try:
        config = Config.model_validate(said)
    except ValidationError as error:
        return None, [*wrong, *lines(error, variables.given, overrides)], said
    if not config.routes and not say_routes():
        wrong.append("routes: there is none")
    if config.routes and "routes" not in overrides:
        wrong += _idle_upstreams(config, variables, _upstreams(data))
    return config, wrong, said


def _upstreams(data: Mapping[str, Any]) -> list[str]:
    """Their names in what has not been validated yet."""
    section = data.get("upstreams")
    return list(section) if isinstance(section, Mapping) else []


def _idle_upstreams(config: Config, variables: Variables, in_file: list[str]) -> list[str]:
    """A variable for an upstream that is nobody's is one whose name was not written as in the file."""
    used = {route.upstream for route in config.routes}
    used.update(mount.upstream for route in config.routes for mount in route.mounts)
    known = used.union(in_file)
    told = []
    for path, (name, value) in variables.given.items():
        if path[0] == "upstreams":
            for upstream in path[1:2] or value:
                if upstream not in known:
                    told.append(f"{name}: no route uses an upstream {upstream!r}; there are {', '.join(sorted(known))}")
    return told


def one_route(upstream: str, app: str, root: str) -> dict[str, Any]:
    """The overrides that make the one route of the command line."""
    target = {"app": app} if app else {"url": upstream}
    return {"upstreams": {"main": target}, "routes": [{"root": root, "upstream": "main", "default": True}]}
