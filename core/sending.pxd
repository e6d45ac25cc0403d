# A socket past its transport: writing, where its buffer must be empty, saves an object and a callback; and a look at
# what has come before the loop says so.
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_send "send" (int fd, const void* p, size_t n, int flags)
    ssize_t c_recv "recv" (int fd, void* p, size_t n, int flags)
    int MSG_DONTWAIT
    int MSG_PEEK
    int MSG_NOSIGNAL

cdef extern from *:
    """
    #include <poll.h>
    #include <sys/ioctl.h>
    #include <sys/socket.h>
    #ifdef __linux__
    #include <linux/sockios.h>
    #endif
    static Py_ssize_t bw_queued(int fd) {
        int bytes = 0;
    #ifdef SIOCOUTQ
        if (fd < 0 || ioctl(fd, SIOCOUTQ, &bytes) < 0)
            bytes = 0;
    #endif
        return bytes;
    }
    #ifndef POLLRDHUP
    #ifdef __linux__
    #define POLLRDHUP 0x2000 /* hidden without _GNU_SOURCE */
    #else
    #define POLLRDHUP 0
    #endif
    #endif
    static int bw_peer_state(int fd) {
        struct pollfd one = {fd, POLLRDHUP, 0};
        if (fd < 0 || poll(&one, 1, 0) <= 0)
            return 0;
        return one.revents & (POLLERR | POLLHUP | POLLNVAL) ? 2 : one.revents & POLLRDHUP ? 1 : 0;
    }
    static void bw_reset_at_close(int fd) {
        struct linger at_once = {1, 0};
        if (fd >= 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    """
    # Bytes that the kernel holds for the peer, sent or not, and that it has not acknowledged; 0 where nobody can say.
    Py_ssize_t queued "bw_queued" (int fd) noexcept nogil
    # A PeerState, whatever is still unread; where the system cannot say, as if nothing had happened.
    int peer_state "bw_peer_state" (int fd) noexcept nogil
    # From now on its end is a reset: its peer hears of an error, what is unread is lost, and no TIME-WAIT is left.
    void reset_at_close "bw_reset_at_close" (int fd) noexcept nogil

cdef enum PeerState:
    PEER_THERE = 0
    PEER_CLOSED_ITS_SIDE = 1  # it sends no more, and may read
    PEER_GONE = 2             # it has reset the connection; on a UNIX socket also: it has closed

cdef inline Py_ssize_t send_now(int fd, const void* p, size_t n) noexcept nogil:
    """Bytes that the kernel took, 0 if it takes none now; -1: the connection is dead."""
    cdef ssize_t sent = c_send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL)
    if sent < 0 and (errno == EAGAIN or errno == EINTR):
        return 0
    return sent

cdef inline bint is_quiet(int fd) noexcept nogil:
    """Whether the peer has sent nothing that is still to be read, and neither closed nor reset."""
    cdef char byte
    return c_recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and (errno == EAGAIN or errno == EINTR)
