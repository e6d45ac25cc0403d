from batchwire.core.model cimport Buffer
from batchwire.core.origins cimport Origins
from libc.stdint cimport uint8_t

cdef enum UrlVerdict:
    URL_OK = 0
    URL_REFUSED = 1

cdef class UrlRules:
    """How inner URLs of batches resolve. See urls.pyx."""
    cdef readonly bytes root                # b"/svc/"
    cdef Origins origins
    cdef bytes origin                       # b"http://gw.example" in lower case, or None
    cdef list mounts
    cdef bint bare
    cdef bint strict
    cdef readonly str why
    cdef int respelled                      # of one answer: see MOST_RESPELLED
    cdef Buffer scratch                      # for what is decoded to be looked at
    cdef bytes relative(self, bytes url)
    cdef bytes normal(self, bytes rest)
    cdef bytes public(self, bytes location, bytes upstream_origin, bytes base_path, bytes mount=*)
    cdef bytes public_links(self, const char* body, Py_ssize_t n, bytes upstream_origin, bytes base_path,
                            bytes mount=*)
    cdef bytes checked(self, bytes rest)
    cdef bint is_endpoint(self, bytes path) except -1
    cdef bint hides(self, const uint8_t* p, Py_ssize_t n) except -1
    cdef bytes below(self, bytes location, bytes upstream_origin, bytes base_path)
    cdef Py_ssize_t respelled_end(self, const char* p, Py_ssize_t n, bytes origin) except -2
    cdef Py_ssize_t own(self, const char* p, Py_ssize_t n, bytes upstream_origin, bytes base_path) except -2
    cdef bytes locate(self, bytes location, bytes upstream_origin, bytes base_path, bytes own, bytes mount=*)

cdef bytes reference_of(bytes rest)
