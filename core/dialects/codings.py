"""Content and transfer codings of a body: gzip, deflate, chunked; always with a bound on what comes out.

Must never inflate without a bound: a few bytes may stand for gigabytes.
"""

import sys
import zlib

GZIP = 16 + zlib.MAX_WBITS
ZLIB = zlib.MAX_WBITS
RAW = -zlib.MAX_WBITS
GZIP_MEMBERS = 64


class UnknownCoding(ValueError):
    """A coding that is not implemented here."""


class BrokenCoding(ValueError):
    """The bytes are not what the coding's name says."""


class TooLong(ValueError):
    """More bytes would come out than the bound allows."""


def decode(codings: bytes, data: bytes, limit: int, transfer: bool = False) -> bytes:
    """Undoes the codings of a Content-Encoding or, with `transfer`, a Transfer-Encoding header value.

    codings: names in the order in which they were applied, separated by commas; any case.
    limit: most bytes to give out; 0 is no limit. Raises UnknownCoding, BrokenCoding, TooLong.
    """
    limit = limit or sys.maxsize
    for coding in reversed(codings.lower().split(b",")):
        name = coding.strip()
        if name in (b"gzip", b"x-gzip"):
            data = _gunzip(data, limit)
        elif name == b"deflate":
            data = _undeflate(data, limit)
        elif name == b"chunked" and transfer:
            data = _unchunk(data)
        elif name not in (b"", b"identity"):
            raise UnknownCoding("a coding is not supported")
    if len(data) > limit:
        raise TooLong("the decoded body is too long")
    return data


def inflate(data: bytes, kind: int, limit: int) -> tuple[bytes, bytes]:
    """One compressed stream: what it holds, and the bytes after it.

    kind: GZIP, ZLIB or RAW. Raises BrokenCoding, TooLong.
    """
    inflater = zlib.decompressobj(kind)
    try:
        out = inflater.decompress(data, min(limit + 1, sys.maxsize))
    except zlib.error as error:
        raise BrokenCoding("the compressed body is broken") from error
    if len(out) > limit:
        raise TooLong("the decoded body is too long")
    if not inflater.eof:
        raise BrokenCoding("the compressed body is cut")
    return out, inflater.unused_data


def _gunzip(data: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    while data:  # RFC 1952 2.2: several members one after the other
        if len(pieces) == GZIP_MEMBERS:  # each one costs a copy of what follows it
            raise TooLong("the compressed body has too many parts")
        piece, data = inflate(data, GZIP, limit)
        limit -= len(piece)
        pieces.append(piece)
    return b"".join(pieces)


def _undeflate(data: bytes, limit: int) -> bytes:
    # RFC 9110 8.4.1.2 means the zlib format, and notes that some send raw deflate.
    zlib_head = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    out, rest = inflate(data, ZLIB if zlib_head else RAW, limit)
    if rest:
        raise BrokenCoding("bytes follow the compressed body")
    return out


def _unchunk(data: bytes) -> bytes:
    """RFC 9112 7.1; extensions and trailers are dropped."""
    pieces = []
    at = 0
    while True:
        line_end = data.find(b"\r\n", at)
        size = data[at:line_end].split(b";", 1)[0].strip(b" \t") if line_end >= 0 else b""
        if not size or len(size) > 15 or size.strip(b"0123456789abcdefABCDEF"):
            raise BrokenCoding("the chunked body is broken")
        length = int(size, 16)
        at = line_end + 2
        if length == 0:
            break
        if data[at + length : at + length + 2] != b"\r\n":
            raise BrokenCoding("the chunked body is broken")
        pieces.append(data[at : at + length])
        at += length + 2
    rest = data[at:]
    if rest != b"\r\n" and (rest.startswith(b"\r\n") or rest.find(b"\r\n\r\n") != len(rest) - 4):
        raise BrokenCoding("the chunked body is cut, or bytes follow it")
    return b"".join(pieces)
