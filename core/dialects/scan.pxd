# The C helpers of scan.h. Only modules of this package may cimport it: the header is found beside them.
from libc.stdint cimport uint8_t

cdef extern from "scan.h" nogil:
    Py_ssize_t bw_plain_run(const uint8_t* p, Py_ssize_t i, Py_ssize_t n)
    Py_ssize_t bw_unescaped_run(const uint8_t* p, Py_ssize_t i, Py_ssize_t n)
    Py_ssize_t bw_quote_run(const uint8_t* p, Py_ssize_t i, Py_ssize_t n)
    Py_ssize_t bw_utf8_length(const uint8_t* p, Py_ssize_t left)
    Py_ssize_t bw_utf8_run(const uint8_t* p, Py_ssize_t i, Py_ssize_t n)
    Py_ssize_t bw_string_run(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, int* escaped)
    void bw_escape_prepare()
    Py_ssize_t bw_escape(const uint8_t* p, Py_ssize_t n, uint8_t* out)
    Py_ssize_t bw_escaped_length(const uint8_t* p, Py_ssize_t n)
    bint bw_has_half_pair(const uint8_t* p, Py_ssize_t n)
    Py_ssize_t bw_unescape(const uint8_t* p, Py_ssize_t n, uint8_t* out)
    Py_ssize_t bw_unescape_part(const uint8_t* p, Py_ssize_t* at, Py_ssize_t stop, Py_ssize_t n, uint8_t* out, int* half)
