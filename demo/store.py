"""Documents by path, with entity tags and bounds on their number and size.

Documents live in memory; with a folder given they are also written through to it and loaded from
it at start. The store is used from one event loop. It must never take a path that has not been
through `names.document_path`, and never look inside a document.
"""

import asyncio
import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from .errors import ApiError, log
from .names import document_path


@dataclass(frozen=True)
class StoreLimits:
    """How much the store takes: `documents` in number, `file_bytes` each, `total_bytes` together."""

    documents: int = 1000
    file_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """One version of a document. Immutable: a change makes a new one, with another `etag`."""

    path: str
    data: bytes
    etag: str
    modified: datetime


class Store:
    """The documents of one app. Reads see the last complete version; hold `lock` to change one."""

    def __init__(self, folder: Path | None = None, limits: StoreLimits | None = None) -> None:
        self.limits = limits or StoreLimits()
        self._folder = folder.resolve() if folder else None
        self._documents: dict[str, Stored] = {}
        self._bytes = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._load(self._folder)

    def __len__(self) -> int:
        return len(self._documents)

    def lock(self, path: str) -> asyncio.Lock:
        """The lock that a read-change-write of the document holds; forgotten when nobody holds it."""
        return self._locks.setdefault(path, asyncio.Lock())

    def find(self, path: str) -> Stored | None:
        return self._documents.get(path)

    def get(self, path: str) -> Stored:
        """The document, or 404 DocumentNotFound."""
        found = self._documents.get(path)
        if found is None:
            raise ApiError(404, "DocumentNotFound", f"there is no document '{path}'")
        return found

    def listing(self, folder: str = "") -> list[Stored]:
        """All documents whose path begins with the folder, in the order of their paths."""
        start = f"{folder}/" if folder else ""
        return [self._documents[path] for path in sorted(self._documents) if path.startswith(start)]

    def put(self, path: str, data: bytes) -> Stored:
        """Store a version; 409 if a folder is in the way, 413 if too large, 507 if the store is full.

        Synchronous, file included: callers hold the lock of the document and must not be cancelled
        between the file and the memory.
        """
        self._check_room(path, data)
        if self._folder:
            self._write(self._folder, path, data)
        return self._publish(path, data)

    def delete(self, path: str) -> None:
        """Forget the document, or 404."""
        old = self.get(path)
        if self._folder:
            self._remove(self._folder, path)
        del self._documents[path]
        self._bytes -= len(old.data)

    def _check_room(self, path: str, data: bytes) -> None:
        if len(data) > self.limits.file_bytes:
            raise ApiError(413, "DocumentTooLarge", f"a document may have {self.limits.file_bytes} bytes")
        old = self._documents.get(path)
        if old is None:
            parts = path.split("/")
            above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
            if any(map(self._documents.__contains__, above)) or self.listing(path):
                raise ApiError(409, "PathConflict", f"'{path}' is both a document and a folder")
            if len(self._documents) >= self.limits.documents:
                raise ApiError(507, "StorageFull", f"the storage holds {self.limits.documents} documents")
        if self._bytes - (len(old.data) if old else 0) + len(data) > self.limits.total_bytes:
            raise ApiError(507, "StorageFull", f"the storage holds {self.limits.total_bytes} bytes")

    def _publish(self, path: str, data: bytes, modified: datetime | None = None) -> Stored:
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        stored = Stored(path, data, etag, modified or datetime.now(UTC))
        old = self._documents.get(path)
        self._bytes += len(data) - (len(old.data) if old else 0)
        self._documents[path] = stored
        return stored

    def _load(self, folder: Path) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_symlink() or not file.is_file():
                continue
            name = file.relative_to(folder).as_posix()
            try:
                path = document_path(name)
                if path != name or file.stat().st_size > self.limits.file_bytes:
                    raise ApiError(413, "NotLoaded", "too large, or a name that is not normalised")
                data = file.read_bytes()
                self._check_room(path, data)
            except ApiError as error:
                log.warning("a file of the storage folder is left out: %s (%s)", name, error.message)
                continue
            self._publish(path, data, datetime.fromtimestamp(file.stat().st_mtime, UTC))

    @staticmethod
    def _write(folder: Path, path: str, data: bytes) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # A name with a leading dot can be no document (names.document_path), so nothing is overwritten
        # and an interrupted write is not loaded at the next start.
        draft = folder / f".{secrets.token_hex(8)}.part"
        try:
            draft.write_bytes(data)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)

    @staticmethod
    def _remove(folder: Path, path: str) -> None:
        target = folder / path
        target.unlink(missing_ok=True)
        for parent in target.relative_to(folder).parents:
            if parent == Path() or any((folder / parent).iterdir()):
                break
            (folder / parent).rmdir()
