"""The figures batchwire has promised itself, checked against what a run found. Must never bend a figure."""

from collections.abc import Iterator
from dataclasses import dataclass

from .table import Table, number

PEER = "grpc.aio + aiohttp"
GO = "grpc-go + net/http"
RUST = "tonic + hyper"
FLOOR = "grpc.aio, no calls"


@dataclass(frozen=True)
class Target:
    """One promise: `found` must be at most, or at least, `bound`. None: not measured in this run."""

    text: str
    found: float | None
    bound: float
    at_most: bool
    unit: str = ""

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        met = self.found <= self.bound if self.at_most else self.found >= self.bound
        return "met" if met else "**missed**"


def _ratio(figures: dict[str, float], above: str, below: str) -> float | None:
    over, under = figures.get(above), figures.get(below)
    return over / under if over is not None and under else None


def targets(figures: dict[str, float]) -> Iterator[Target]:
    """Every target with the figure of this run. One batch at a time is what the targets are about."""
    for calls, bound in ((100, 1.3), (1000, 1.2)):
        ratio = _ratio(figures, f"batchwire/grpc/{calls}/1/cpu_us", f"bare client/none/{calls}/1/cpu_us")
        text = f"CPU a call against the bare client, gRPC streaming, {calls:,} GETs a batch"
        yield Target(text, ratio, bound, at_most=True, unit="x")
    ratio = _ratio(figures, f"{PEER}/grpc/100/1/cpu_us", "batchwire/grpc/100/1/cpu_us")
    text = f"calls a CPU second against {PEER}, 100 GETs a batch"
    yield Target(text, ratio, 5.0, at_most=False, unit="x")
    for calls in (10, 100, 1000):
        ratio = _ratio(figures, f"{GO}/grpc/{calls}/1/cpu_us", f"batchwire/grpc/{calls}/1/cpu_us")
        yield Target(f"calls a CPU second against {GO}, {calls:,} GETs a batch", ratio, 1.0, at_most=False, unit="x")
    yield from _small_batches(figures)
    yield from _front(figures)
    for way in ("read", "write"):
        yield Target(
            f"JSON: {way}, slowest shape", figures.get(f"json/{way}/mb_per_s"), 300.0, at_most=False, unit=" MB/s"
        )
    for way in ("read", "write"):
        found = figures.get(f"multipart/{way}/mb_per_s")
        yield Target(f"multipart: {way}, slowest shape of 1 KB bodies", found, 200.0, at_most=False, unit=" MB/s")
    ratio = _ratio(figures, "dialects/document/cpu_us", "dialects/rest/cpu_us")
    yield Target("CPU of 100 GETs in the document dialect against JSON", ratio, 1.2, at_most=True, unit="x")
    for front, name in (("grpc", "gRPC"), ("rest", "REST JSON")):
        growth = figures.get(f"memory/{front}/growth_mib")
        text = f"growth of memory in one large streamed batch, {name}"
        yield Target(text, growth, 64.0, at_most=True, unit=" MiB")
    for front, name in (("grpc", "gRPC"), ("rest", "REST JSON")):
        lead = figures.get(f"memory/{front}/first_call_lead_s")
        text = f"first call reaches the upstream before the document ends, {name}"
        yield Target(text, lead, 0.0, at_most=False, unit=" s before")
        lead = figures.get(f"memory/{front}/first_result_lead_s")
        text = f"first result reaches the client before the last call starts, {name}"
        yield Target(text, lead, 0.0, at_most=False, unit=" s before")


def _small_batches(figures: dict[str, float]) -> Iterator[Target]:
    """What a batch that is one RPC or one REST request costs, against the peers and against each other."""
    for calls, at_once, bound in ((1, 1, 1.6), (1, 16, 2.0), (10, 16, 4.0)):
        above, below = (f"front/unary/{front}/{calls}/{at_once}/cpu_us" for front in ("go", "native"))
        text = f"batches a CPU second against {GO}, Execute of {calls}, {at_once} at once"
        yield Target(text, _ratio(figures, above, below), bound, at_most=False, unit="x")
    for calls, bound in ((1, 1.1), (10, 0.8), (100, 0.8), (1000, 0.8)):
        above, below = (f"front/unary/{front}/{calls}/16/cpu_us" for front in ("native", "rust"))
        text = f"CPU against {RUST}, Execute of {calls:,}, 16 at once"
        yield Target(text, _ratio(figures, above, below), bound, at_most=True, unit="x")
    for way, name, bound in (("http2", "HTTP/2", 1.3), ("http1", "HTTP/1.1", 1.5)):
        for calls in (1, 10):
            above, below = f"front/rest/native/{way}/{calls}/cpu_us", f"front/unary/native/{calls}/16/cpu_us"
            text = f"CPU of a JSON batch of {calls} over {name} against Execute of the same, 16 at once"
            yield Target(text, _ratio(figures, above, below), bound, at_most=True, unit="x")


def _front(figures: dict[str, float]) -> Iterator[Target]:
    """What the native front must gain on the grpcio front, and may hold."""
    for calls, bound in ((1, 5.0), (10, 3.0)):
        for at_once in (1, 16):
            above, below = (f"front/unary/{front}/{calls}/{at_once}/cpu_us" for front in ("grpcio", "native"))
            text = f"batches a CPU second against the grpcio front, Execute of {calls}, {at_once} at once"
            yield Target(text, _ratio(figures, above, below), bound, at_most=False, unit="x")
    for unanswered in (1, 64):
        above, below = (f"front/stream/{front}/{unanswered}/cpu_us" for front in ("grpcio", "native"))
        text = f"CPU a message of a Batch stream against the grpcio front, a call each, {unanswered} unanswered"
        yield Target(text, _ratio(figures, above, below), 8.0, at_most=False, unit="x less")
    found = figures.get("front/idle/native/kib")
    yield Target("memory of an idle gRPC connection, native front", found, 12.0, at_most=True, unit=" KiB")


def table(figures: dict[str, float]) -> Table:
    """The table of targets."""
    result = Table("Targets", ["target", "bound", "found", "verdict"])
    for target in targets(figures):
        bound = f"{'≤' if target.at_most else '≥'} {target.bound:g}{target.unit}"
        found = "" if target.found is None else f"{number(target.found)}{target.unit}"
        result.rows.append([target.text, bound, found, target.verdict])
    result.notes = [note for calls in (100, 1000) if (note := _floor(figures, calls))]
    return result


def _floor(figures: dict[str, float], calls: int) -> str:
    """What the front costs before any work of batchwire: it says where to look, and moves no target."""
    bare, front = (figures.get(f"{name}/{calls}/1/cpu_us") for name in ("bare client/none", f"{FLOOR}/grpc"))
    if bare is None or front is None:
        return ""
    return (
        f"At {calls:,} GETs a batch the bare client costs {number(bare)} µs a call and {FLOOR} {number(front)} µs:"
        f" together {number((bare + front) / bare)}x the bare client."
    )
