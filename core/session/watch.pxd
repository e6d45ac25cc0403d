from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.session.client_clock cimport ClientClock
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.intake cimport Intake
from batchwire.core.session.outlet cimport Outlet
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport Settler

cdef class Watch:
    """Ends a batch that has waited too long. See watch.pyx."""
    cdef Conductor batch                    # None: it is over
    cdef object loop
    cdef Limits limits
    cdef Intake intake
    cdef Share share
    cdef Fills fills
    cdef Placement dispatch
    cdef Settler settler
    cdef ResultStream results
    cdef Outlet outlet
    cdef ClientClock client
    cdef object timer                       # or None

    @staticmethod
    cdef Watch of(Conductor batch, object loop, Limits limits, Intake intake, Share share, Fills fills, Placement dispatch,
                  Settler settler, ResultStream results, Outlet outlet, ClientClock client)
    cdef int go_on(self) except -1
    cdef int close(self) except -1
    cdef int look(self) except -1
    cdef int cut_idle(self) except -1
    cdef bint holds_all(self) noexcept
