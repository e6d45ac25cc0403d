"""An upstream whose answers are large and cost it nothing: /large/N is SIZE bytes, in chunks when N is odd.

Must never hold an answer: it writes as fast as the other side reads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

SIZE = 16_000_000
_PIECE = b"x" * 64_000


class PouringUpstream:
    """`started` counts the large answers that have begun, `ended` those that were sent whole."""

    def __init__(self) -> None:
        self.port = 0
        self.started = self.ended = 0
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="pouring-upstream", daemon=True)

    def __enter__(self) -> PouringUpstream:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        with self._changed:
            self.started = self.ended = 0

    def wait_until(self, condition: Callable[[], bool], timeout: float = 60.0) -> bool:
        """Waits until the condition holds, looked at whenever a count changes."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _note(self, started: int, ended: int) -> None:
        with self._changed:
            self.started += started
            self.ended += ended
            self._changed.notify_all()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                if "/large/" in path:
                    await self._pour(writer, path.endswith(("1", "3", "5", "7", "9")))
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _pour(self, writer: asyncio.StreamWriter, chunked: bool) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + framing + b"\r\n\r\n")
        self._note(1, 0)
        for _ in range(SIZE // len(_PIECE)):
            writer.write(b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) if chunked else _PIECE)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")
        self._note(0, 1)
