"""Work on documents: in a small pool of threads, changes one after the other.

The event loop stays free and calls overlap. A change is read, worked and stored under the lock of its document:
concurrent changes of one document follow each other and none is lost, changes of different documents run side by
side. Must never hold a lock while it waits for a client.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from docx.document import Document

from .package import save, with_document
from .store import Store, Stored

WORKERS = 4

Answer = TypeVar("Answer")


class Workbench:
    """Runs the work on the documents of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workers = ThreadPoolExecutor(WORKERS, "demo-docx")

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Runs `work` in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    async def change(
        self,
        path: str,
        allow: Callable[[Stored], None],
        work: Callable[[Document], tuple[Answer, bool]],
        target: str | None = None,
    ) -> tuple[Stored, Answer]:
        """Runs `work` on the document; stores the result if it says that it changed something.

        allow: raises if the version that is there must not be changed.
        target: where the result is stored in any case, the document itself staying as it is.
        """

        def worked(document: Document) -> tuple[Answer, bytes | None]:
            answer, changed = work(document)
            return answer, save(document) if changed else None

        if target is not None and target != path:
            source = self._store.get(path)
            allow(source)
            answer, data = await self.run(lambda: with_document(source.data, worked))
            async with self._store.lock(target):
                return self._store.put(target, source.data if data is None else data), answer
        async with self._store.lock(path):
            old = self._store.get(path)
            allow(old)
            answer, data = await self.run(lambda: with_document(old.data, worked))
            # On the loop, not in the thread: if the caller is cancelled while the thread works, the
            # lock is gone by the time it ends, and nothing may be stored any more.
            stored = old if data is None else self._store.put(path, data)
        return stored, answer
