"""Memory that large bodies have had goes back to the system (glibc alone is asked for that)."""

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif

    static void bw_tune_malloc(void)
    {
    #if defined(__GLIBC__)
        mallopt(M_MMAP_THRESHOLD, 1 << 19);     /* below what an outbox makes pieces of */
        mallopt(M_TRIM_THRESHOLD, 16 << 20);
    #endif
    }

    static void bw_trim(void)
    {
    #if defined(__GLIBC__)
        malloc_trim(1 << 20);
    #endif
    }
    """
    void bw_tune_malloc() nogil
    void bw_trim() nogil


def tune_malloc():
    """For a process that is a gateway: large bodies go back to the system when they are freed.

    glibc would raise its threshold with the first one and keep the others in its heap, where one that lives behind
    them holds all of their memory.
    """
    bw_tune_malloc()


cdef class Tide:
    cdef int ebb(self, Py_ssize_t held) except -1:
        """Most has been let go of. What lies small between the large would keep it in the heap for good."""
        self.most = held
        bw_trim()                         # some 12 ms for 200 MB
        return 0
