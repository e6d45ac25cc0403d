"""Part `front`: what batches and messages cost in batchwire's two fronts and its peers, and what connections hold.

All contenders run at once and take turns. Small batches show a front at its dearest: the CPU of the gateway's
process alone is counted, so neither the generator nor the upstream is in a figure. Must never measure an answer
that was not checked.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from . import front_answers, h2load, idle, servers
from .front_tables import idle_table, rest_table, stream_table, unary_table
from .h2load import Load
from .limit import bare
from .processes import run_json
from .progress import say
from .servers import Gateway
from .settings import Settings
from .table import Outcome, Sample, median
from .upstream import NotInstalled, Upstream

NATIVE, GRPCIO, GO, RUST = "native", "grpcio", "go", "rust"

_STARTS: dict[str, Callable[[Upstream], AbstractContextManager[Gateway]]] = {
    NATIVE: partial(servers.batchwire, front=NATIVE),
    GRPCIO: partial(servers.batchwire, front=GRPCIO),
    GO: servers.go_peer,
    RUST: servers.rust_peer,
}
_LOADS = (Load(1, 1), Load(4, 4))
_REST = ((NATIVE, False), (NATIVE, True), (GRPCIO, True))
"""Front, and whether HTTP/1.1 is spoken to it: the grpcio front's REST knows no HTTP/2."""

Samples = dict[tuple[str, ...], list[Sample]]


@contextmanager
def _gateways(upstream: Upstream, about: list[str]) -> Iterator[dict[str, Gateway]]:
    with ExitStack() as stack:
        found: dict[str, Gateway] = {}
        for name, start in _STARTS.items():
            try:
                found[name] = stack.enter_context(start(upstream))
            except NotInstalled as lack:
                about.append(f"A gateway is left out: {lack}.")
            else:
                about += found[name].note()
        yield found


def _unary(gateways: dict[str, Gateway], settings: Settings, samples: Samples) -> None:
    for calls in settings.unary_sizes:
        for load in _LOADS:
            for name, gateway in gateways.items():
                request = front_answers.execute(gateway.addresses["grpc"], calls)
                sample = h2load.measure(request, load, settings.seconds, gateway.pid)
                samples.setdefault(("unary", name, str(calls), str(load.at_once)), []).append(sample)


def _rest(gateways: dict[str, Gateway], settings: Settings, samples: Samples) -> None:
    load = _LOADS[-1]
    for calls in settings.rest_sizes:
        for name, http1 in _REST:
            gateway = gateways[name]
            # Over HTTP/1.1 a connection carries one request at a time.
            way = Load(load.at_once, 1) if http1 else load
            request = front_answers.rest(gateway.addresses["rest"], calls, http1)
            sample = h2load.measure(request, way, settings.seconds, gateway.pid)
            samples.setdefault(("rest", name, "http1" if http1 else "http2", str(calls)), []).append(sample)


def _streams(gateways: dict[str, Gateway], settings: Settings, samples: Samples) -> None:
    for unanswered in settings.stream_unanswered:
        for name, gateway in gateways.items():
            options = ["--target", gateway.addresses["grpc"], "--gateway-pid", gateway.pid]
            options += ["--unanswered", unanswered, "--seconds", settings.seconds]
            sample = run_json("bench.h2_stream", *options)
            samples.setdefault(("stream", name, str(unanswered)), []).append(sample)


def _idle(names: Iterable[str], settings: Settings, upstream: Upstream, samples: Samples) -> None:
    """A fresh gateway each: what was used before leaves memory that new connections would take over."""
    idle.allow_files(settings.idle_connections)
    for name in names:
        say(f"front: {settings.idle_connections:,} idle connections, {name}")
        with _STARTS[name](upstream) as gateway:
            grown = idle.bytes_a_connection(gateway, settings.idle_connections)
        samples["idle", name] = [{"kib": grown / 1024}]


def run(settings: Settings, upstream: Upstream) -> Outcome:
    """Unary batches, streams and REST in turns; then idle connections."""
    samples: Samples = {}
    about: list[str] = []
    generated = True
    with _gateways(upstream, about) as gateways:
        try:
            h2load.program()
        except NotInstalled as lack:
            generated = False
            about.append(f"Unary batches and REST are left out: {lack}.")
        for turn in range(settings.rounds):
            say(f"front: round {turn + 1} of {settings.rounds}")
            if generated:
                _unary(gateways, settings, samples)
                _rest(gateways, settings, samples)
            _streams(gateways, settings, samples)
            one_by_one = bare(upstream, 1, 1000, settings.seconds)
            samples.setdefault(("bare",), []).append(one_by_one)
    _idle(gateways, settings, upstream, samples)
    tables = [stream_table(samples, about), idle_table(samples, settings.idle_connections)]
    if generated:
        tables = [unary_table(samples), rest_table(samples), *tables]
    return Outcome(tables, _figures(samples))


def _figures(samples: Samples) -> dict[str, float]:
    figures: dict[str, float] = {}
    for key, rounds in samples.items():
        name = "kib" if key[0] == "idle" else "cpu_us"
        figures["/".join(("front", *key, name))] = median(rounds, name)
    return figures
