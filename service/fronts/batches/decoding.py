"""Undoes the Content-Encoding of an outer request body as it arrives (HD-19).

Memory is bounded by PIECE_BYTES a step, the work of a step by STEP_BYTES and STEP_MEMBERS, all of it by MAX_RATIO. The
decoded body must never be collected here.
"""

import zlib
from collections.abc import Iterator

from batchwire.core.errors import EnvelopeError

PIECE_BYTES = 65536
STEP_BYTES = 16384
"""Encoded bytes that a step takes at most: zlib copies what it leaves, and blocks without content give nothing."""
STEP_MEMBERS = 64
"""Gzip members of which a step sees the end at most: 20 bytes are one without content."""
MAX_RATIO = 200
"""Decoded bytes a body may have for each of its encoded bytes, once it has passed FREE_BYTES."""
FREE_BYTES = 1 << 20

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
DECODINGS = frozenset(_WINDOW_BITS)


class BodyDecoder:
    """Decodes one gzip or deflate (zlib) body; several gzip members in a row are one body."""

    def __init__(self, coding: str) -> None:
        self._bits = _WINDOW_BITS[coding]
        self._members = coding == "gzip"
        self._stream = zlib.decompressobj(self._bits)
        self._started = False
        self.bytes_in = 0
        self.bytes_out = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yields decoded pieces of at most PIECE_BYTES, one a step; b"" for one in which nothing came out.

        Raises EnvelopeError 400 when the data is not what it says, 413 beyond MAX_RATIO.
        """
        self.bytes_in += len(data)
        for at in range(0, len(data), STEP_BYTES):
            yield from self._decode(data[at : at + STEP_BYTES])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        members = 0
        while True:
            while self._stream.eof:
                if not data:
                    return
                if not self._members:
                    raise EnvelopeError(400, "MalformedEncoding", "Data follows the end of the encoded body.")
                self._stream = zlib.decompressobj(self._bits)
                self._started = False
            if data:
                self._started = True
            try:
                piece = self._stream.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise EnvelopeError(
                    400, "MalformedEncoding", "The body is not encoded as Content-Encoding says."
                ) from None
            self.bytes_out += len(piece)
            if self.bytes_out > FREE_BYTES and self.bytes_out > self.bytes_in * MAX_RATIO:
                raise EnvelopeError(413, "CompressionRatio", "The encoded body expands beyond all measure.")
            members += self._stream.eof
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            ended = not data and len(piece) < PIECE_BYTES
            if piece or ended or members >= STEP_MEMBERS:
                members = 0
                yield piece
            if ended:
                return

    def finish(self) -> None:
        """Says that the body has ended. Raises EnvelopeError 400 when it was cut off."""
        if self._started and not self._stream.eof:
            raise EnvelopeError(400, "TruncatedBody", "The encoded body ends too early.")
