# Text in other charsets and behind escapes, read and written in small steps. See charsets.pyx.
from batchwire.core.dialects.steps cimport Pieces, Steps
from libc.stdint cimport uint8_t

cdef class Unescaping(Steps):
    """The inside of a valid JSON string -> its text in a charset."""
    cdef bytes owner                        # of the inside
    cdef const uint8_t* inside
    cdef Py_ssize_t size                    # of the inside
    cdef Py_ssize_t at                      # bytes of it that have been read
    cdef object encoder                     # None: UTF-8
    cdef Pieces pieces
    cdef bytes scratch
    cdef bint binary                        # it is data: a half is as wrong as any other character that is not base64
    cdef bint half                          # it has half of a surrogate pair
    cdef bint unfit                         # it has characters that the charset has not
    cdef bytes data                         # the text, when all steps are done

    # codec: one of media.CODECS; None: binary data in UTF-8. owner keeps the inside.
    @staticmethod
    cdef Unescaping of(bytes owner, const uint8_t* inside, Py_ssize_t size, str codec)
    cdef bint finish(self) except -1


cdef class Decoding(Steps):
    """Bytes in a charset -> the same text in UTF-8.

    A byte order mark that begins the text of UTF-16, UTF-32, or UTF-8 with a signature is no part of it.
    """
    cdef bytes body
    cdef Py_ssize_t at                      # bytes of it that have been read
    cdef Py_ssize_t skipped                 # bytes of its mark
    cdef object decoder                     # None: UTF-8
    cdef bint trims                         # a mark may still begin the text
    cdef bint ended                         # all of it has been read
    cdef Pieces pieces
    cdef readonly bytes data                # the text, when all steps are done; None: it is no text of this charset

    cdef bint read_utf8(self) except -1
