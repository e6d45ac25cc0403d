"""What the tests of foreign clients share: things behind a gateway, and the run of a client's script against it.

A client runs in a process and an environment of its own. It must get nothing but the address of the gateway, and what
it prints is believed only beside what the upstream saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from clients.things import Things
from harness import config
from harness.environments import java_environment, node_environment, python_environment, run_client
from harness.gateway import Gateway

CLIENTS = Path(__file__).parents[2] / "clients"
MADE = "gämma 日本"
CHANGED = "Größe ✓"
INSTALL = 900  # seconds for the first test that needs an environment


class Served(NamedTuple):
    things: Things
    origin: str  # of the gateway, without a slash at the end


@contextmanager
def served(folder: Path, root: str, base: str = "", *, authorize: bool = True, **route: Any) -> Iterator[Served]:
    """A gateway with one route, whose upstream is a new set of things.

    `base` is the path there, `root` if not given; `authorize` lets it have the Authorization of a batch; more are keys
    of the route.
    """
    with Things() as things:
        upstream = {"url": things.origin + (base or root), "forward_authorization": authorize}
        settings = config.make({"things": upstream}, [{"root": root, "upstream": "things", **route}])
        with Gateway(settings, folder) as gateway:
            yield Served(things, f"http://127.0.0.1:{gateway.http_port}")
            gateway.wait_idle()


def run_python(script: str, *arguments: str, environment: str = "python") -> Any:
    folder = CLIENTS / environment
    return run_client([python_environment(folder), folder / script, *arguments], folder)


def run_node(script: str, *arguments: str, environment: str = "node") -> Any:
    made = node_environment(CLIENTS / environment)
    return run_client(["node", made / script, *arguments], made)


def run_java(script: str, *arguments: str) -> Any:
    """Runs one source file, which java compiles as it starts."""
    folder = CLIENTS / "java"
    jars = java_environment(folder) / "jars" / "*"
    command = ["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", jars, folder / script, *arguments]
    return run_client(command, folder)


def authorizations(things: Things) -> set[str | None]:
    """What the upstream saw as Authorization, in all calls together."""
    return {headers.get("authorization") for headers in things.headers}


def came_in_order(calls: Sequence[str], *wanted: str) -> bool:
    """Whether the wanted calls stand among the others in this order."""
    rest = iter(calls)
    return all(call in rest for call in wanted)
