"""The HTTP/1.1 upstream: a bounded pool of keep-alive connections to one or several addresses.

Deadlines are kept by one ticker for the whole pool, not by a timer a call. Must never hold a call back while
a connection is free, nor open more connections than max_connections.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.errors import ConfigError
from batchwire.core.faults cimport fault
from batchwire.core.model cimport (
    Buffer, Call, OUTCOME_FAILED, OUTCOME_SUCCEEDED, OUTCOME_TIMED_OUT, OUTCOME_UNREACHABLE, Result, now,
)
from batchwire.core.sending cimport reset_at_close
from batchwire.core.upstream.base cimport CallOwner
from batchwire.core.upstream.http1 cimport ConnectionPool, HttpConnection, may_repeat

import asyncio
import logging
from collections import deque
from errno import ECONNREFUSED
from os import strerror

from batchwire.core.scarce_log import ScarceLog
from batchwire.core.upstream.names import Names

_log = logging.getLogger("batchwire.core")
cdef double TICK = 0.02          # seconds between looks at the deadlines while calls run
cdef double IDLE_TICK = 1.0      # seconds between looks at idle connections while none runs


def held_since(HttpConnection connection not None):
    return connection.paused_since


cdef bint meets_itself(HttpConnection connection) except -1:
    """GW-15: nobody listens, and the system took the very port for our side that we connect to (RFC 9293 3.5,
    simultaneous open): what is sent would come back. Such a connection is ended, and leaves nothing on the port, where
    the upstream is to listen again."""
    if connection.closed or connection.transport.get_extra_info("sockname") != connection.transport.get_extra_info("peername"):
        return False
    reset_at_close(connection.socket)
    connection.shut()
    return True


cdef class HttpUpstream(ConnectionPool):
    """
    addresses: [(host, port), ...], taken in turn for new connections; or unix_path.
    host: value of the Host header. base_path: path put before every target, "/" at both ends.
    max_connections: also the most calls on the wire; max_in_flight: calls handed over and not finished.
    connect_timeout, call_timeout, idle_timeout: seconds. max_response_bytes, max_header_bytes: bytes a call.
    names: where hosts are looked up, shared with other upstreams; None: its own.
    """
    cdef object names
    cdef list addresses
    cdef str unix_path
    cdef object ssl
    cdef int era                    # counts the contexts
    cdef str server_name
    cdef int max_connections
    cdef double connect_timeout
    cdef double idle_timeout
    cdef Py_ssize_t max_header_bytes
    cdef list idle                  # last used last
    cdef list running               # HttpConnection with a call
    cdef object queue               # calls that wait for a connection being made or running
    cdef object retry_queue         # calls that wait for a new one: the one that they had was stale
    cdef set connections            # open ones
    cdef set attempts               # tasks that connect
    cdef unsigned int turn
    cdef object ticker
    cdef bint ticking               # at the pace of running calls
    cdef double clock               # when the ticker was last armed: near enough for what waits for seconds
    cdef unsigned long long connects, connect_failures, retries, taken_back
    cdef Result spare

    def __init__(self, loop, *, str name, str scheme="http", addresses=(), unix_path=None, str base_path="/",
                 str host="", ssl=None, server_name=None, int max_connections=128, int max_in_flight=0,
                 double connect_timeout=5.0, double call_timeout=30.0, double idle_timeout=30.0,
                 Py_ssize_t max_response_bytes=16 << 20, Py_ssize_t max_header_bytes=32768,
                 bint forward_authorization=False, names=None):
        if max_connections < 1:
            raise ConfigError("max_connections must be at least 1")
        if not addresses and not unix_path:
            raise ConfigError("an upstream needs an address or a UNIX socket")
        if not host:
            host = "localhost" if unix_path else f"{addresses[0][0]}:{addresses[0][1]}"
        if any(c in host for c in "\r\n\0 /"):
            raise ConfigError("the Host of an upstream has a character that is not allowed")
        super().__init__(name, base_path.encode(), f"{scheme}://{host}".encode(),
                         max_in_flight or max_connections, call_timeout, max_response_bytes,
                         forward_authorization)
        self.loop = loop
        self.names = names or Names(loop)
        self.addresses = list(addresses)
        self.unix_path = unix_path
        self.ssl = ssl
        self.server_name = server_name
        self.max_connections = max_connections
        self.connect_timeout = connect_timeout
        self.idle_timeout = idle_timeout
        self.max_header_bytes = max_header_bytes
        self.host_line = b"Host: " + host.encode() + b"\r\n"
        self.scratch = Buffer()
        self.spare = Result()
        self.idle = []
        self.running = []
        self.queue = deque()
        self.retry_queue = deque()
        self.connections = set()
        self.attempts = set()
        self.connect_log = ScarceLog("an upstream cannot be reached", loop, upstream=name)

    # --- Upstream

    cdef int start(self, Call call) except -1:
        cdef HttpConnection connection
        fault("upstream.start")
        if self.closed:
            return self.reject(call)
        self.in_flight += 1
        self.calls += 1
        if not self.ticking:
            self.arm(True)
        while self.idle:
            connection = self.idle.pop()
            if connection.fits(call):
                return self.run(connection, call)
            connection.shut()
        self.queue.append(call)
        if len(self.connections) + len(self.attempts) < self.max_connections:
            self.attempt()
        return 0

    cdef int abandon(self, Call call) except -1:
        cdef HttpConnection connection
        cdef int slot = call.position
        if slot >= 0:
            connection = self.running[slot]
            if connection.call is call:
                self.unlist(connection)
                call.position = -1
                connection.call = None
                connection.shut()
                self.in_flight -= 1
        elif self.forget_waiting(call):
            self.in_flight -= 1
        return 0

    cdef bint forget_waiting(self, Call call) except -1:
        """Takes a call out of the queue that it waits in; False: it waits in none."""
        for waiting in (self.queue, self.retry_queue):
            try:
                waiting.remove(call)
            except ValueError:
                continue
            return True
        return False

    # --- connections

    cdef int run(self, HttpConnection connection, Call call) except -1:
        connection.slot = <int>len(self.running)
        call.position = connection.slot
        self.running.append(connection)
        connection.call = call
        try:
            connection.send(call)
        except Exception as error:
            # BU-04: it may be the call of another batch than the one on whose behalf we are here.
            _log.error("a call could not be sent", exc_info=error, extra={"upstream": self.name})
            connection.answer.broken("the gateway could not send the call")
            if connection.call is call:
                connection.response_complete()
        return 0

    cdef int unlist(self, HttpConnection connection) except -1:
        """Takes a connection out of `running` in O(1): the last one moves into its place."""
        cdef HttpConnection last
        cdef int slot = connection.slot
        if slot < 0:
            return 0
        last = self.running.pop()
        if last is not connection:
            self.running[slot] = last
            last.slot = slot
            if last.call is not None:
                last.call.position = slot
        connection.slot = -1
        return 0

    cdef int answered(self, HttpConnection connection, Call call) except -1:
        # The next call may take this connection before complete() returns, so the result changes hands first.
        cdef Result result = connection.answer.result
        connection.answer.result = self.spare
        self.spare = result
        self.unlist(connection)
        call.position = -1
        result.outcome = OUTCOME_SUCCEEDED if 200 <= result.status < 300 else OUTCOME_FAILED
        self.in_flight -= 1
        if not connection.closed:
            self.free(connection)
        self.hand(call, result)
        if self.spare is result:
            result.let_go()               # or every idle connection would keep the last body that it has read
        return 0

    cdef int free(self, HttpConnection connection) except -1:
        cdef bint outdated = connection.era != self.era
        if self.queue and not (outdated and connection.kept) and connection.fits(self.queue[0]):
            return self.run(connection, self.queue.popleft())
        if self.queue or self.closed or outdated:
            return connection.shut()          # gone() makes another for those that wait
        connection.kept = True
        connection.idle_since = self.clock
        self.idle.append(connection)
        return 0

    cdef int broke(self, HttpConnection connection, Call call, bint unanswered) except -1:
        """The connection failed under a call. A stale one, closed by the server as we wrote, is tried again
        where that is safe: once, on a new connection, when no byte had left or a second answer says
        the same (RFC 9112 9.3.1, GW-15). Idle ones may be as stale. gone() follows at once and makes the
        new connection in the place of this one."""
        cdef Result head
        self.unlist(connection)
        call.position = -1
        if unanswered and connection.kept and not call.retried and not self.closed and (
                connection.unsent or may_repeat(call)):
            call.retried = True
            self.retries += 1
            self.retry_queue.append(call)
            return 0
        self.failures += 1
        head = self.head_of(connection, call)
        if head is not None:
            return self.cut_short(call, head)
        return self.fail(call, 502, OUTCOME_UNREACHABLE, "UpstreamBroken", f"the upstream failed: {connection.answer.why}",
                         connection.answer.excess)

    cdef Result head_of(self, HttpConnection connection, Call call):
        """AN-03: the result of a call that has been run, and of whose answer only a bound of ours, or a delay, has kept
        the body; else None. Calls that travel together have theirs in the body, unless it is one that refuses them all."""
        cdef Result result = connection.answer.result
        if not (connection.answer.excess or connection.delayed) or is_read(call, result) or (
                call.members is not None and 200 <= result.status < 300):
            return None
        result.outcome = OUTCOME_SUCCEEDED if 200 <= result.status < 300 else OUTCOME_FAILED
        result.body_left_out = True
        result.add_note(b"body left out: " + connection.answer.why.encode())
        return result

    cdef Result cut(self, Call call):
        cdef HttpConnection connection = self.running[call.position] if call.position >= 0 else None
        self.abandon(call)
        if connection is None:
            return None
        connection.answer.why = "it was not taken in time"
        return self.head_of(connection, call)

    cdef int cut_short(self, Call call, Result result) except -1:
        self.in_flight -= 1
        return self.hand(call, result)

    cdef int fail(self, Call call, int status, int outcome, str code, str message, bint oversized=False) except -1:
        cdef Result result = Result()
        result.reset()
        result.oversized = oversized
        result.set_error(status, outcome, code, message)
        self.in_flight -= 1
        return self.hand(call, result)

    cdef int gone(self, HttpConnection connection) except -1:
        self.connections.discard(connection)
        try:
            self.idle.remove(connection)
        except ValueError:
            pass
        if len(self.queue) + len(self.retry_queue) > len(self.attempts) and not self.closed:
            # A connection died that a waiting call was waiting for.
            self.attempt()
        return 0

    cdef int attempt(self) except -1:
        task = self.loop.create_task(self.connect())
        self.attempts.add(task)
        task.add_done_callback(self.attempts.discard)
        return 0

    async def connect(self):
        cdef HttpConnection connection
        cdef unsigned int turn = self.turn, attempt
        why = "no address"
        self.turn += 1
        for attempt in range(max(1, len(self.addresses))):
            address = f"unix:{self.unix_path}"
            if self.unix_path is None:
                host, port = self.addresses[(turn + attempt) % len(self.addresses)]
                address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                fault("upstream.connect")
                async with asyncio.timeout(self.connect_timeout):
                    if self.unix_path is not None:
                        _, made = await self.loop.create_unix_connection(
                            self.make_connection, self.unix_path, ssl=self.ssl,
                            server_hostname=self.server_name if self.ssl else None)
                    else:
                        made = await self.reach(host, port, turn // len(self.addresses))
            except TimeoutError:
                why = "connecting took too long"
            except Exception as error:
                # OSError for the most part; but no kind of failure may leave the calls that wait without an answer.
                why = getattr(error, "strerror", None) or type(error).__name__
            else:
                connection = made
                self.connects += 1
                self.attempts.discard(asyncio.current_task())
                if self.closed:
                    connection.shut()
                    return
                if not connection.closed:
                    connection.address = address
                    self.connections.add(connection)
                    if self.retry_queue:
                        self.run(connection, self.retry_queue.popleft())
                    else:
                        self.free(connection)
                    return
                why = "it closed the connection at once"
            self.connect_log.add(address=address, reason=why)
        self.connect_failures += 1
        self.attempts.discard(asyncio.current_task())
        # As many calls fail as have no other attempt left to wait for.
        while len(self.retry_queue) > len(self.attempts):
            self.unreachable(self.retry_queue.popleft(), why)
        while len(self.queue) + len(self.retry_queue) > len(self.attempts) + len(self.connections):
            self.unreachable(self.queue.popleft(), why)

    async def reach(self, str host, int port, unsigned int turn):
        """A connection to the first address of a host that takes one; raises why the last of them did not. Addresses
        that were known already may be out of date: where none takes one, the host is looked up and tried again."""
        tried = None
        for _ in range(2):
            found = await self.names.find(host)
            if found.addresses == tried:
                break
            tried = found.addresses
            error = OSError(None, found.reason)
            try:
                for address in found.in_turn(turn):
                    try:
                        _, made = await self.loop.create_connection(
                            self.make_connection, address, port, ssl=self.ssl,
                            server_hostname=(self.server_name or host) if self.ssl else None)
                    except OSError as failed:
                        error = failed
                    else:
                        found = None
                        if meets_itself(made):
                            raise ConnectionRefusedError(ECONNREFUSED, strerror(ECONNREFUSED))
                        return made
            finally:
                if found is not None:         # also when the time is over
                    self.names.drop(host, found)
        raise error

    cdef int unreachable(self, Call call, str why) except -1:
        self.failures += 1
        if call.retried:
            return self.fail(call, 502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the upstream failed: it closed the "
                             f"connection without an answer, and could not be reached again: {why}")
        return self.fail(
            call, 502, OUTCOME_UNREACHABLE, "UpstreamUnreachable", f"the upstream could not be reached: {why}")

    def make_connection(self):
        cdef HttpConnection connection = HttpConnection(self, self.max_header_bytes)
        connection.era = self.era
        return connection

    def renew_tls(self, ssl not None):
        """OP-20: a context for the connections that follow. Those that carry a call end behind it, others now."""
        self.ssl = ssl
        self.era += 1
        while self.idle:
            (<HttpConnection>self.idle.pop()).shut()

    # --- time

    cdef int arm(self, bint ticking) except -1:
        if self.ticker is not None:
            self.ticker.cancel()
        self.ticking = ticking
        self.clock = now()
        self.ticker = self.loop.call_later(TICK if ticking else IDLE_TICK, self.tick)
        return 0

    def tick(self):
        self.ticker = None
        try:
            fault("upstream.tick")
            self.look_at_deadlines()
        except Exception as error:
            _log.error("the deadlines of an upstream could not be looked at", exc_info=error, extra={"upstream": self.name})
        self.ticking = False
        if self.in_flight or self.connections or self.attempts:
            self.arm(self.in_flight > 0)

    cdef int look_at_deadlines(self) except -1:
        cdef double t = now()
        cdef HttpConnection connection
        cdef Call call
        cdef list late = None
        for connection in self.running:
            if connection.call is not None and (
                    connection.call.deadline < t
                    # AN-09: others wait for what is held by those whose clients do not take.
                    or ((self.in_ring or self.queue) and connection.waited(t) > self.call_timeout)):
                late = [] if late is None else late
                late.append(connection.call)
        for waiting in (self.queue, self.retry_queue):
            for call in waiting:
                if call.deadline < t:
                    late = [] if late is None else late
                    late.append(call)
        if late is not None:
            for call in late:
                self.expire(call)
        if self.in_ring or self.queue:
            self.take_held()
        while self.idle and (<HttpConnection>self.idle[0]).idle_since + self.idle_timeout < t:
            connection = self.idle.pop(0)
            connection.shut()
        return 0

    cdef int take_held(self) except -1:
        """AN-09: connections whose answers wait for room go to batches that run nothing, and to calls that have none."""
        cdef CallOwner owner
        cdef HttpConnection connection
        cdef Call call
        cdef Py_ssize_t wanted = 0 if self.attempts else len(self.queue)
        for owner in self.ring:
            wanted += owner.calls_running() == 0
        if wanted == 0:
            return 0
        for connection in sorted([each for each in self.running if (<HttpConnection>each).may_give_back()], key=held_since):
            call = connection.call
            owner = call.owner
            if not owner.may_take_back(call):
                continue
            self.abandon(call)
            owner.take_back(call)
            self.taken_back += 1
            wanted -= 1
            if wanted == 0:
                break
        return self.give_room()

    cdef int expire(self, Call call) except -1:
        cdef HttpConnection connection
        cdef Result head
        if call.position >= 0:
            connection = self.running[call.position]
            self.unlist(connection)
            call.position = -1
            connection.call = None
            connection.shut()
            connection.answer.why = "it was not taken in time"
            head = self.head_of(connection, call)
            if head is not None:
                self.timeouts += 1
                return self.cut_short(call, head)
        elif not self.forget_waiting(call):
            return 0
        self.timeouts += 1
        return self.fail(call, 504, OUTCOME_TIMED_OUT, "UpstreamTimeout", "the upstream did not answer in time")

    # --- life

    def close(self):
        """Closes all connections; running calls get 502. The upstream takes no call afterwards."""
        self.closed = True
        if self.ticker is not None:
            self.ticker.cancel()
            self.ticker = None
        for task in list(self.attempts):
            task.cancel()
        for connection in list(self.connections):
            (<HttpConnection>connection).shut()
        for waiting in (self.queue, self.retry_queue):
            while waiting:
                self.fail(waiting.popleft(), 502, OUTCOME_UNREACHABLE, "UpstreamClosed", "the gateway is stopping")
        self.connect_log.tell_rest()

    def stats(self):
        figures = super().stats()
        figures.update(
            connections=len(self.connections),
            idle=len(self.idle),
            connecting=len(self.attempts),
            connects=self.connects,
            connect_failures=self.connect_failures,
            retries=self.retries,
            taken_back=self.taken_back,
        )
        return figures
