from batchwire.core.front.room cimport Room
from batchwire.core.front.stream cimport Handler, Stream
from batchwire.core.session.session cimport Session

cdef class HttpExchange(Handler):
    cdef readonly Stream request
    cdef public object on_lost
    cdef object inbound, outbound                 # deques of bytes
    cdef object reading, writing            # futures
    cdef Py_ssize_t unread                  # bytes of inbound
    cdef Py_ssize_t stored                  # bytes of an unfinished message, see store()
    cdef Room room                          # of these two; None: nobody counts them
    cdef Session session                    # the batch that the request is for; None before there is one
    cdef Py_ssize_t owed                    # bytes of the answer that are still to be written, see owe()
    cdef Py_ssize_t unsent         # bytes written and not taken
    cdef Py_ssize_t sent                    # bytes of outbound[0]
    cdef public bint hears_damage           # who reads answers a body that is framed wrongly; else the stream is gone
    cdef object damage                      # EnvelopeError of such a body, or None
    cdef readonly bint lost                 # the stream is gone before its end
    cdef readonly bint stalled              # because the client took nothing for too long
    cdef bint finished
    cdef readonly bint broken               # ended without its end
    cdef int finish(self) except -1
    cdef int forget_stored(self) except -1
    cdef int count(self) except -1
    cdef int count_answer(self) except -1
