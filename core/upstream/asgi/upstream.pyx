"""The in-process upstream: calls an ASGI 3 application instead of a server.

One task a call, because ASGI applications are coroutines. What an application raises is logged through the
standard library and becomes a 500; its text never reaches a client. That holds for what is no Exception, too: a call
that exits or is cancelled by its own doing is one failed call, and the gateway's signals come through its loop. What an
application puts into its context (contextvars) stays in that call: each has a copy of the context in which the
application was loaded, and what follows its answer runs in that context itself. Must never let a call wait for an
application beyond the call's deadline.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.faults cimport fault
from batchwire.core.model cimport (
    CARRIED, Call, KIND_OTHER, MAX_RESULT_HEADERS, OUTCOME_FAILED, OUTCOME_SUCCEEDED, OUTCOME_TIMED_OUT,
    OUTCOME_UNREACHABLE, Result, header_kind, now,
)
from batchwire.core.upstream.asgi.call cimport AsgiCall
from batchwire.core.upstream.base cimport Upstream

import asyncio
import contextvars
import logging
from urllib.parse import unquote_to_bytes

from batchwire.core.errors import ConfigError
from batchwire.core.upstream.asgi.answers import AnswerTooLarge, BadAnswer, HeadersTooLarge, answer_head
from batchwire.core.upstream.asgi.complaints import Complaints
from batchwire.core.upstream.asgi.lifespan import Lifespan

cdef double TICK = 0.02           # seconds between looks at the deadlines while calls run
cdef double GRACE = 1.0           # seconds an application gets to notice that nobody waits any more
_log = logging.getLogger("batchwire.asgi")


def means_nothing(header):
    """Whether a header of an answer means nothing to the gateway."""
    return header_kind(header[0], len(header[0])) == KIND_OTHER


cdef class AsgiUpstream(Upstream):
    """
    app: an ASGI 3 application. base_path: put before every target, so it is part of the path that the application
    sees; root_path: as the ASGI scope has it. host: value of the host header. Other arguments: see Upstream.
    """
    cdef object loop
    cdef readonly object app
    cdef str root_path
    cdef bytes host
    cdef tuple server                 # host and port, as the scope has it
    cdef dict running               # Call -> AsgiCall
    cdef object ticker
    cdef object lifespan
    cdef unsigned long long crashes
    cdef readonly object complaints
    cdef object context               # in which it was loaded; never entered by the application
    cdef set tasks                    # of all that the application does for requests
    cdef Py_ssize_t max_header_bytes

    def __init__(self, loop, app, *, str name, str base_path="/", str root_path="", str host="localhost",
                 int max_in_flight=128, double call_timeout=30.0, Py_ssize_t max_response_bytes=16 << 20,
                 Py_ssize_t max_header_bytes=32768, double startup_timeout=60.0, bint forward_authorization=False):
        if max_in_flight < 1:
            raise ConfigError("max_in_flight must be at least 1")
        if any(c in host for c in "\r\n\0 /"):
            raise ConfigError("the Host of an upstream has a character that is not allowed")
        super().__init__(name, base_path.encode(), f"http://{host}".encode(), max_in_flight, call_timeout,
                         max_response_bytes, forward_authorization)
        self.loop = loop
        self.app = app
        self.root_path = root_path
        self.host = host.encode()
        bare, colon, port = host.rpartition(":")
        self.server = (bare.strip("[]"), int(port)) if colon and port.isdigit() else (host.strip("[]"), 80)
        self.running = {}
        self.context = contextvars.copy_context()
        self.tasks = set()
        self.max_header_bytes = max_header_bytes
        self.lifespan = Lifespan(loop, app, self.context, startup_timeout)
        self.complaints = Complaints(loop, name)

    # --- what the application does

    def begin(self, coroutine):
        """A task of the application for a request that is no call, in a context of its own (OP-04)."""
        task = self.loop.create_task(coroutine, context=self.context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def head(self, message):
        """(status, [(name, value)]) of an http.response.start. Raises what answer_head() does."""
        return answer_head(message, self.max_header_bytes)

    @property
    def at_work(self):
        """Whether it runs for any request, also behind its answer."""
        return bool(self.tasks)

    async def idle(self):
        """Waits for what runs now."""
        if self.tasks:
            await asyncio.wait(self.tasks)

    def cancel(self):
        """Ends what it does, as far as it can be ended."""
        for task in self.tasks:
            task.add_done_callback(self.tasks.discard)  # one that has not begun cannot take itself out
            task.cancel()

    # --- lifespan

    @property
    def state(self):
        """What its lifespan has put there."""
        return self.lifespan.state

    async def startup(self):
        """Starts the application. RuntimeError when it does not start."""
        await self.lifespan.startup()

    async def shutdown(self):
        """Ends the application."""
        await self.lifespan.shutdown()

    # --- Upstream

    cdef int start(self, Call call) except -1:
        cdef AsgiCall asgi_call
        if self.closed:
            return self.reject(call)
        fault("app.start")
        asgi_call = AsgiCall(self.loop, call, self.max_header_bytes,
                             self.max_response_bytes * (1 if call.members is None else CARRIED), self.on_whole)
        self.in_flight += 1
        self.calls += 1
        self.running[call] = asgi_call
        call.position = 0                 # it never waits for a connection
        asgi_call.task = self.loop.create_task(self.run(asgi_call, self.scope_of(call)), context=self.context.copy())
        self.tasks.add(asgi_call.task)
        if self.ticker is None:
            self.ticker = self.loop.call_later(TICK, self.tick)
        return 0

    cdef int abandon(self, Call call) except -1:
        cdef AsgiCall asgi_call = self.running.get(call)
        if asgi_call is not None and self.take_out(asgi_call):
            self.dismiss(asgi_call)
        return 0

    def scope_of(self, Call call):
        path, _, query = call.target.partition(b"?")
        headers = [(b"host", self.host)]
        for block in (call.head, call.extra):
            if block:
                for line in block.split(b"\r\n"):
                    if line:
                        name, _, value = line.partition(b": ")
                        headers.append((name.lower(), value))
        if call.body_owner is not None or call.method in (b"POST", b"PUT", b"PATCH", b"MERGE"):
            headers.append((b"content-length", b"%d" % (call.body_len if call.body_owner is not None else 0)))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": call.method.decode(),
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": self.root_path,
            "headers": headers,
            "client": None,
            "server": self.server,
            "state": self.state.copy(),
        }

    async def run(self, AsgiCall asgi_call, scope):
        try:
            await self.answer(asgi_call, scope)
        finally:
            self.tasks.discard(asgi_call.task)

    async def answer(self, AsgiCall asgi_call, scope):
        why = None
        try:
            await self.app(scope, asgi_call.receive, asgi_call.send)
        except AnswerTooLarge:
            asgi_call.oversized = True
            if not asgi_call.ended and self.cut_short(asgi_call, b"body left out: its answer is larger than allowed "
                                                      b"(max_response_bytes)"):
                return
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the answer of the application is larger than allowed "
                   "(max_response_bytes)")
        except HeadersTooLarge:
            if not asgi_call.ended and self.cut_short(asgi_call, b"body and some headers left out: its headers are larger "
                                                      b"than allowed (max_header_bytes)"):
                return
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the headers of the application's answer are larger "
                   "than allowed (max_header_bytes)")
        except BadAnswer as error:
            self.complaints.tell(f"the application broke the protocol: {error}")
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application did not answer with valid HTTP")
        except BaseException as error:
            # The gateway cancels only what is settled; any other cancellation is the application's own.
            if asgi_call.ended and not asgi_call.finished:
                # Nobody waits for it: an application may well raise when its client is gone.
                _log.debug("the application raised when nobody waited for it any more", exc_info=error, extra={"upstream": self.name})
                return
            if asgi_call.finished and isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():
                return
            self.crashes += 1
            if asgi_call.finished:
                # Frameworks send their 500 first, and leave it to the server to log what they raise.
                self.complaints.tell("the application raised after its answer", error)
                return
            self.complaints.tell("the application raised", error)
            if asgi_call.status:
                why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application failed in the middle of its answer")
            else:
                why = (500, OUTCOME_FAILED, "UpstreamFailed", "the application failed")
        if asgi_call.ended or asgi_call.finished:
            return
        if why is None:
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application did not finish its answer")
        self.context.run(self.end, asgi_call, *why)

    def on_whole(self, AsgiCall asgi_call):
        self.context.run(self.answered, asgi_call)

    cdef bint take_out(self, AsgiCall asgi_call) except -1:
        """Nobody waits for its answer from now on. Whether somebody did."""
        if self.running.pop(asgi_call.call, None) is None:
            return False
        self.in_flight -= 1
        asgi_call.ended = True
        asgi_call.came_in()
        return True

    def answered(self, AsgiCall asgi_call):
        cdef Result result
        if not self.take_out(asgi_call):
            return
        result = Result()
        try:
            fault("app.answered")
            self.fill(result, asgi_call)
        except Exception as error:
            _log.error("an answer could not be read", exc_info=error, extra={"upstream": self.name})
            result.reset()
            result.set_error(502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the gateway could not read the answer")
        self.hand(asgi_call.call, result)

    cdef int fill(self, Result result, AsgiCall asgi_call, bint with_body=True) except -1:
        cdef list headers = asgi_call.headers
        cdef bytes body = None
        cdef bint crowded = len(headers) > MAX_RESULT_HEADERS
        if with_body and asgi_call.status not in (204, 304) and asgi_call.call.method != b"HEAD":
            body = asgi_call.content.take()
        if crowded:
            # AN-03: those that mean something to the gateway are kept first.
            headers = sorted(headers, key=means_nothing)[:MAX_RESULT_HEADERS]
        result.fill(asgi_call.status, headers, body, OUTCOME_SUCCEEDED if asgi_call.status < 300 else OUTCOME_FAILED)
        if crowded:
            result.add_note(b"headers left out: there are too many")
        return 0

    cdef bint cut_short(self, AsgiCall asgi_call, bytes note) except -1:
        """AN-03: the call has been run and its status is known; only the answer is beyond a bound, as the note says."""
        cdef Call call = asgi_call.call
        cdef Result result = Result()
        self.fill(result, asgi_call, False)
        if is_read(call, result) or call.members is not None and result.status < 300:
            return False                # its body is what was asked for, or has what became of each call
        if self.take_out(asgi_call):
            result.body_left_out = True
            result.add_note(note)
            self.failures += 1
            self.hand(call, result)
        return True

    def end(self, AsgiCall asgi_call, int status, int outcome, str code, str message):
        cdef Result result
        if not self.take_out(asgi_call):
            return
        result = Result()
        result.reset()
        result.set_error(status, outcome, code, message)
        result.oversized = asgi_call.oversized
        if status == 504:
            self.timeouts += 1
        else:
            self.failures += 1
        self.hand(asgi_call.call, result)

    cdef int dismiss(self, AsgiCall asgi_call) except -1:
        """Nobody waits any more: the application is told, and after a grace its task is cancelled."""
        asgi_call.release()
        if asgi_call.task is not None:
            self.loop.call_later(GRACE, asgi_call.task.cancel)
        return 0

    def tick(self):
        self.ticker = None
        try:
            fault("app.tick")
            self.look_at_deadlines()
        except Exception as error:
            _log.error("the deadlines of an upstream could not be looked at", exc_info=error, extra={"upstream": self.name})
        if self.running and self.ticker is None:
            self.ticker = self.loop.call_later(TICK, self.tick)

    cdef int look_at_deadlines(self) except -1:
        cdef double t = now()
        cdef AsgiCall asgi_call
        late = [asgi_call for asgi_call in self.running.values() if (<AsgiCall>asgi_call).call.deadline < t]
        for asgi_call in late:
            self.end(asgi_call, 504, OUTCOME_TIMED_OUT, "UpstreamTimeout", "the upstream did not answer in time")
            self.dismiss(asgi_call)
        return 0

    def close(self):
        """Ends every running call with 502; the upstream takes no call afterwards."""
        self.closed = True
        if self.ticker is not None:
            self.ticker.cancel()
            self.ticker = None
        for asgi_call in list(self.running.values()):
            self.end(asgi_call, 502, OUTCOME_UNREACHABLE, "UpstreamClosed", "the gateway is stopping")
        self.complaints.flush()
        self.cancel()

    def stats(self):
        figures = super().stats()
        figures["crashes"] = self.crashes
        return figures
