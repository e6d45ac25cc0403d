"""A demo of its own for each test, served by uvicorn on a real socket of the loopback."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from batchwire.demo.app import create_app
from batchwire.demo.store import StoreLimits
from demo_server import serving
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send


class Stage:
    """An ASGI app that is whichever app was put on it: one server for all tests, an app for each."""

    app: Starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, str]]:
    stage = Stage()
    stage.app = create_app()
    with serving(stage) as url:
        yield stage, url


@pytest.fixture
def root(stage: tuple[Stage, str]) -> str:
    """The URL of a fresh demo."""
    stage[0].app = create_app()
    return stage[1]


@pytest.fixture
def client(root: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=root, timeout=30) as client:
        yield client


@pytest.fixture
def small_client() -> Iterator[httpx.Client]:
    """A demo whose store takes 4 documents of 50 kB, 120 kB together; two are there."""
    limits = StoreLimits(documents=4, file_bytes=50_000, total_bytes=120_000)
    with serving(create_app(limits=limits)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def folder_client(tmp_path: Path) -> Iterator[httpx.Client]:
    """A demo that keeps its documents in `tmp_path`."""
    with serving(create_app(tmp_path)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client
