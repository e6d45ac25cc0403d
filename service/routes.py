"""Turns the configuration into upstreams and routes of the core, and finds the route of a batch.

Must never look at a batch.
"""

import asyncio
import importlib
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchwire.core import AsgiUpstream, HttpUpstream, Limits, Names, Route, Upstream
from batchwire.core.errors import ConfigError

from .certificates import CertificateWatch, load_pair, naming, try_all
from .config import Config, ConfigurationError, LimitSettings, RouteSettings, UpstreamSettings
from .fronts.http.served_app import ServedApp


class RouteTable:
    """The routes of one worker, with the upstreams behind them.

    `settings` gives the configuration of a route by its root.
    """

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        limits = make_limits(config.limits)
        names = Names(loop)
        self._watches = [self._watch(name, upstream, loop) for name, upstream in config.upstreams.items()]
        self.upstreams: dict[str, Upstream] = {
            name: make_upstream(name, upstream, config.limits, loop, names)
            for name, upstream in config.upstreams.items()
        }
        self.settings: dict[str, RouteSettings] = {route.root: route for route in config.routes}
        self._by_root: dict[str, Route] = {}
        self._served: list[ServedApp] = []
        self._default: Route | None = None
        for number, settings in enumerate(config.routes):
            try:
                route = self._route(settings, limits)
            except ConfigError as error:
                raise ConfigurationError(f"routes.{number}: {error}") from None
            self._by_root[settings.root] = route
            if settings.default or len(config.routes) == 1:
                self._default = route
            upstream = self.upstreams[settings.upstream]
            if settings.serve_app and isinstance(upstream, AsgiUpstream):
                self._served.append(ServedApp(settings.root, upstream))

    def _route(self, settings: RouteSettings, limits: Limits) -> Route:
        return Route(
            root=settings.root,
            upstream=self.upstreams[settings.upstream],
            mounts=[(mount.prefix, self.upstreams[mount.upstream]) for mount in settings.mounts],
            limits=limits,
            streaming_threshold=settings.streaming_threshold,
            inner_authorization=settings.allow_inner_authorization,
            flat_change_sets=settings.flat_change_sets,
            drop_headers=settings.drop_headers,
            keep_headers=settings.keep_headers,
            bare_batch=any(name != "odata" for name in settings.dialects),
        )

    def _watch(self, name: str, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> CertificateWatch:
        def reload() -> None:
            upstream = self.upstreams[name]
            if isinstance(upstream, HttpUpstream):
                upstream.renew_tls(make_tls(name, settings))

        files = (settings.ca_file, settings.cert_file, settings.key_file)
        return CertificateWatch(files, settings.reload_seconds, loop, reload, upstream=name)

    def by_root(self, root: str) -> Route | None:
        """The route of a service root; "" and a root without its last slash are understood."""
        if not root:
            return self._default
        return self._by_root.get(root if root.endswith("/") else root + "/")

    def root_over(self, raw_path: str) -> str:
        """The root of the route that a path lies under, the longest of several; "" for none."""
        return max((root for root in self._by_root if raw_path.startswith(root)), key=len, default="")

    def served_app(self, raw_path: str) -> ServedApp | None:
        """The app that answers a request which is no batch; of several routes, that of the longest root."""
        return max((app for app in self._served if app.takes(raw_path)), key=lambda app: len(app.root), default=None)

    def default(self) -> Route | None:
        """The route of gRPC batches that name none."""
        return self._default

    async def start(self) -> None:
        """Starts the apps of ASGI upstreams. Raises ConfigurationError: one that does not start is fatal (OP-05).

        From then on the certificates of upstreams are read anew when they change (OP-20).
        """
        for name, upstream in self._apps():
            try:
                await upstream.startup()
            except RuntimeError as error:
                raise ConfigurationError(f"upstreams.{name}: {error}") from None
        for watch in self._watches:
            watch.begin()

    async def stop(self) -> None:
        """Closes all connections and ends the apps."""
        for watch in self._watches:
            watch.close()
        await asyncio.gather(*(upstream.shutdown() for _, upstream in self._apps()))
        for upstream in self.upstreams.values():
            upstream.close()

    def apps_at_work(self) -> bool:
        """Whether any app still runs for a request, its answer given or not."""
        return any(upstream.at_work for _, upstream in self._apps())

    async def apps_idle(self) -> None:
        """Waits until none of those requests runs that do now."""
        for _, upstream in self._apps():
            await upstream.idle()

    def cancel_apps(self) -> None:
        """Ends what apps still do."""
        for _, upstream in self._apps():
            upstream.cancel()

    def _apps(self) -> list[tuple[str, AsgiUpstream]]:
        return [(name, upstream) for name, upstream in self.upstreams.items() if isinstance(upstream, AsgiUpstream)]


def make_limits(settings: LimitSettings) -> Limits:
    """The core's bounds from the section [limits]."""
    return Limits(**settings.model_dump())


def make_upstream(
    name: str, settings: UpstreamSettings, limits: LimitSettings, loop: asyncio.AbstractEventLoop, names: Names
) -> Upstream:
    """An upstream of the core. Raises ConfigurationError for an app or a certificate that cannot be loaded."""
    try:
        upstream = _plain_upstream(name, settings, limits, loop, names)
        if settings.batch:
            upstream.take_batches(settings.batch, settings.coalesce)
        if settings.merge:
            upstream.take_merge(settings.merge)
    except (ConfigError, OverflowError) as error:
        raise ConfigurationError(f"upstreams.{name}: {error}") from None
    return upstream


def _plain_upstream(
    name: str, settings: UpstreamSettings, limits: LimitSettings, loop: asyncio.AbstractEventLoop, names: Names
) -> Upstream:
    max_response_bytes = settings.max_response_bytes or limits.max_response_bytes
    if settings.app:
        return AsgiUpstream(
            loop,
            load_app(settings.app, f"upstreams.{name}.app"),
            name=name,
            base_path=settings.base,
            host=settings.host or "localhost",
            max_in_flight=settings.max_in_flight or settings.max_connections,
            call_timeout=settings.call_timeout_seconds,
            max_response_bytes=max_response_bytes,
            max_header_bytes=limits.max_header_bytes,
            startup_timeout=settings.startup_timeout_seconds,
            forward_authorization=settings.forward_authorization,
        )
    unix = settings.url.startswith("unix:")
    url = urlsplit(settings.url if not unix else "http://localhost" + settings.base)
    if url.hostname is None:
        raise ConfigurationError(f"upstreams.{name}.url: has no host")
    port = url.port or (443 if url.scheme == "https" else 80)
    path = url.path if url.path.endswith("/") else url.path + "/"
    addresses = [] if unix else [_split(address) for address in settings.addresses] or [(url.hostname, port)]
    return HttpUpstream(
        loop,
        name=name,
        scheme=url.scheme,
        addresses=addresses,
        unix_path=settings.url.removeprefix("unix:") if unix else None,
        base_path=path,
        host=settings.host or url.netloc,
        ssl=make_tls(name, settings) if url.scheme == "https" else None,
        server_name=settings.server_name or (url.hostname if url.scheme == "https" else None),
        max_connections=settings.max_connections,
        max_in_flight=settings.max_in_flight,
        connect_timeout=settings.connect_timeout_seconds,
        call_timeout=settings.call_timeout_seconds,
        idle_timeout=settings.idle_seconds,
        max_response_bytes=max_response_bytes,
        max_header_bytes=limits.max_header_bytes,
        forward_authorization=settings.forward_authorization,
        names=names,
    )


def make_tls(name: str, settings: UpstreamSettings) -> ssl.SSLContext:
    """The TLS context of an https upstream. Raises ConfigurationError."""
    section = f"upstreams.{name}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a pair is looked at though nobody can be trusted

    def trust() -> None:
        nonlocal context
        if not settings.ca_file:
            context = ssl.create_default_context()
            return
        with naming(f"{section}.ca_file", settings.ca_file):
            context = ssl.create_default_context(cafile=settings.ca_file)

    trials: list[Callable[[], object]] = [trust]
    if settings.cert_file:
        trials.append(lambda: load_pair(context, section, settings.cert_file, settings.key_file))
    try_all(*trials)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_app(target: str, key: str) -> Callable[..., Any]:
    """Imports `module:attribute`; the current folder is searched first, as servers of apps do.

    key: of the configuration, for ConfigurationError.
    """
    module_name, _, attribute = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        # Whatever the module does when it is imported.
        name = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        words = (str(error).splitlines() or [""])[0]
        raise ConfigurationError(f"{key}: the app {target} cannot be loaded: {name}{words}") from None
    if not callable(found):
        raise ConfigurationError(f"{key}: the app {target} is no ASGI application")
    made: Callable[..., Any] = found
    return made


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
