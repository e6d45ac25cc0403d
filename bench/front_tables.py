"""The tables of part `front`. Must never measure."""

from .table import Sample, Table, median, number, spread

_NAMES = {
    "native": "batchwire, native front",
    "grpcio": "batchwire, grpcio front",
    "go": "grpc-go + net/http",
    "rust": "tonic + hyper",
}

Samples = dict[tuple[str, ...], list[Sample]]


def _of(samples: Samples, kind: str) -> list[tuple[tuple[str, ...], list[Sample]]]:
    return [(key[1:], rounds) for key, rounds in samples.items() if key[0] == kind]


def unary_table(samples: Samples) -> Table:
    """Execute of few calls."""
    table = Table(
        "Front: Execute, one unary RPC a batch",
        ["calls a batch", "at once", "gateway", "batches/s", "CPU µs a batch", "batches a CPU second", "generator µs"],
        notes=[
            "h2load sends; 16 at once are 4 connections with 4 streams each.",
            "Batches a CPU second: of the gateway's process alone, from the median of its CPU time a batch.",
        ],
    )
    for (name, calls, at_once), rounds in _of(samples, "unary"):
        row = [calls, at_once, _NAMES[name], number(median(rounds, "requests_per_second")), spread(rounds, "cpu_us")]
        row += [number(1e6 / median(rounds, "cpu_us")), number(median(rounds, "generator_us"))]
        table.rows.append(row)
    return table


def rest_table(samples: Samples) -> Table:
    """JSON batches over HTTP/2 and HTTP/1.1."""
    table = Table(
        "Front: JSON batches over HTTP/2 and HTTP/1.1, 16 at once",
        ["calls a batch", "gateway", "protocol", "batches/s", "CPU µs a batch", "generator µs"],
        notes=["h2load sends: HTTP/2 on 4 connections with 4 streams each, HTTP/1.1 on 16 connections."],
    )
    for (name, protocol, calls), rounds in _of(samples, "rest"):
        row = [calls, _NAMES[name], {"http1": "HTTP/1.1", "http2": "HTTP/2"}[protocol]]
        row += [number(median(rounds, "requests_per_second")), spread(rounds, "cpu_us")]
        table.rows.append([*row, number(median(rounds, "generator_us"))])
    return table


def stream_table(samples: Samples, notes: list[str]) -> Table:
    """One Batch stream, a call a message."""
    alone = number(median(samples["bare",], "cpu_us"))
    columns = ["calls unanswered", "gateway", "calls/s", "messages a call", "CPU µs a message", "CPU µs a call"]
    table = Table(
        "Front: one Batch stream, each call in a message of its own",
        [*columns, "generator µs a message"],
        notes=[
            "Messages: both ways. With 1 call unanswered every result has a message of its own.",
            f"The inner calls are in these figures; the bare client, one call at a time, costs {alone} µs a call.",
            *notes,
        ],
    )
    for (name, unanswered), rounds in _of(samples, "stream"):
        row = [unanswered, _NAMES[name], number(median(rounds, "calls_per_second"))]
        row += [number(median(rounds, "messages_per_call")), spread(rounds, "cpu_us")]
        table.rows.append([*row, number(median(rounds, "call_us")), number(median(rounds, "generator_us"))])
    return table


def idle_table(samples: Samples, connections: int) -> Table:
    """Memory of idle connections."""
    table = Table(
        f"Front: {connections:,} idle gRPC connections",
        ["gateway", "KiB a connection"],
        notes=["Growth of resident memory of a fresh gateway: settings exchanged, no request sent. No rounds."],
    )
    table.rows = [[_NAMES[name], number(median(rounds, "kib"))] for (name,), rounds in _of(samples, "idle")]
    return table
