"""Messages of an answer in pieces, which are let go of one by one as the client takes them (AN-05).

Must never know what is in a message.
"""

import base64
import io

from .slices import PIECE_BYTES, Slices

_PART = PIECE_BYTES // 4 * 3


class Base64:
    """Bytes as base64, which is made when it is sent; len() and bytes() are of the text. Holds nothing but `raw`."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return (len(self._raw) + 2) // 3 * 4

    def __bytes__(self) -> bytes:
        return base64.b64encode(self._raw)


Piece = bytes | Base64


def as_base64(raw: memoryview) -> list[Piece]:
    """The text of it in pieces of about PIECE_BYTES; padded at its end alone."""
    return [Base64(raw[at : at + _PART]) for at in range(0, len(raw), _PART)]


def enveloped(flags: int, pieces: list[Piece]) -> list[Piece]:
    """Puts the prefix of gRPC, which the streams of Connect have, too, before pieces of a message; the same list."""
    pieces.insert(0, bytes([flags]) + sum(map(len, pieces)).to_bytes(4, "big"))
    return pieces


async def joined(pieces: list[bytes]) -> bytes:
    """One of them, in slices; each is let go of as soon as it is there."""
    if len(pieces) == 1:
        return pieces.pop()
    slices, whole = Slices(), io.BytesIO()  # which makes bytes of its parts without one long copy
    pieces.reverse()
    while pieces:
        piece = memoryview(pieces.pop())
        for at in range(0, len(piece), PIECE_BYTES):
            whole.write(piece[at : at + PIECE_BYTES])
            if slices.over():
                await slices.rest()
    return whole.getvalue()
