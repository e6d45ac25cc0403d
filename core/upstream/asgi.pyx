"""The in-process upstream: calls an ASGI 3 application instead of a server.

One task a call, because ASGI applications are coroutines. What an application raises is logged through the
standard library and becomes a 500; its text never reaches a client. That holds for what is no Exception, too: a call
that exits or is cancelled by its own doing is one failed call, and the gateway's signals come through its loop. What an
application puts into its context (contextvars) stays in that call: each has a copy of the context in which the
application was loaded, and what follows its answer runs in that context itself. Must never let a call wait for an
application beyond the call's deadline, nor hold more of an answer than max_response_bytes and max_header_bytes.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.faults cimport fault
from batchwire.core.headers cimport valid_value
from batchwire.core.model cimport (
    CARRIED, Buffer, Call, KIND_OTHER, MAX_RESULT_HEADERS, OUTCOME_FAILED, OUTCOME_SUCCEEDED, OUTCOME_TIMED_OUT,
    OUTCOME_UNREACHABLE, Result, header_kind, now,
)
from batchwire.core.upstream.base cimport COUNTED, CallOwner, Inlet, Upstream

import asyncio
import contextvars
import logging
import re
from urllib.parse import unquote_to_bytes

from batchwire.core.errors import ConfigError

cdef double TICK = 0.02           # seconds between looks at the deadlines while calls run
cdef double SHUTDOWN = 10.0       # seconds that its lifespan may take to end
cdef enum:
    TOLD = 10
    AT_ONCE = 16                  # times that an application is told at once that nobody waits (OP-23)

cdef double TOLD_SECONDS = 1.0    # in which TOLD failures of an application are logged each; the others are counted
cdef double GRACE = 1.0           # seconds an application gets to notice that nobody waits any more
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_log = logging.getLogger("batchwire.asgi")


class AnswerTooLarge(Exception):
    """The application sent more than max_response_bytes."""


class HeadersTooLarge(Exception):
    """The application sent more than max_header_bytes of headers (OP-08). headers: those before it was so many."""

    def __init__(self, status, headers):
        super().__init__("the headers of its answer are larger than max_header_bytes")
        self.status = status
        self.headers = headers


class BadAnswer(Exception):
    """The application broke the ASGI protocol or sent what is no HTTP."""


def means_nothing(header):
    """Whether a header of an answer means nothing to the gateway."""
    return header_kind(header[0], len(header[0])) == KIND_OTHER


cdef class AsgiCall(Inlet):
    """One call at the application: the two ASGI channels, receive and send."""
    cdef AsgiUpstream upstream
    cdef Call call
    cdef object task
    cdef bytes body
    cdef bint body_given
    cdef bint ended                   # nobody waits for the answer any more
    cdef object gone                  # future: set when the client is to be told gone
    cdef unsigned long long told_gone  # times it was told so
    cdef int status
    cdef list headers
    cdef Buffer content
    cdef bint finished                # the last body message has come
    cdef bint oversized               # it is larger than allowed
    cdef object resumed               # future: set when the application may send on

    def __init__(self, AsgiUpstream upstream, Call call):
        self.upstream = upstream
        self.call = call
        self.body = b"" if call.body_owner is None else call.body_ptr[:call.body_len]
        self.content = Buffer()

    async def receive(self):
        """ASGI receive: the body in one piece, then a wait for the end."""
        if not self.body_given:
            self.body_given = True
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.ended and not self.finished:
            if self.gone is None:
                self.gone = self.upstream.loop.create_future()
            await asyncio.shield(self.gone)
        self.told_gone += 1
        if self.told_gone % AT_ONCE == 0:
            # OP-23. Not each time: one that only looks, and cancels what does not come at once, would never know.
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(self, message):
        """ASGI send. Others get a turn of the loop with each message but the first and the last (OP-23)."""
        try:
            more = await self.take(message)
        except Exception:
            await asyncio.sleep(0)
            raise
        if more:
            await asyncio.sleep(0)

    async def take(self, message):
        """What one message says becomes part of the answer; whether more of its body follows."""
        if self.ended:
            raise OSError("the client is gone")
        kind = message["type"]
        if kind == "http.response.start":
            if self.status:
                raise BadAnswer("the answer was started twice")
            try:
                self.status, self.headers = self.upstream.head(message)
            except HeadersTooLarge as error:
                self.status, self.headers = error.status, error.headers
                raise
        elif kind == "http.response.body":
            if not self.status:
                raise BadAnswer("a body came before the answer was started")
            if self.finished:
                raise BadAnswer("a body came after the end of the answer")
            data = message.get("body", b"")
            size = self.content.size + len(data)
            if COUNTED <= size <= self.most():
                # AN-05: counted before it is taken, so that what an application sends in one piece waits too.
                (<CallOwner>self.call.owner).incoming(self, self.call, size)
                while self.held:
                    # An application may send from several tasks, and cancel one of them: all wait for the same.
                    if self.resumed is None or self.resumed.done():
                        self.resumed = self.upstream.loop.create_future()
                    await asyncio.shield(self.resumed)
                if self.ended:
                    raise OSError("the client is gone")
            self.gather(data)
            if message.get("more_body", False):
                return True
            self.check_length()
            self.finished = True
            self.release()
            self.upstream.context.run(self.upstream.answered, self)
        else:
            raise BadAnswer(f"the message {kind!r} is not part of an HTTP answer")
        return False

    def check_length(self):
        """OP-05: a body of another length than its content-length is none, as of any upstream. Raises BadAnswer."""
        lengths = {value for name, value in self.headers if name.lower() == b"content-length"}
        if not lengths or self.call.method == b"HEAD" or self.status == 204 or self.status == 304:
            return
        length = lengths.pop()
        if lengths or not length.isdigit() or int(length[:20]) != self.content.size:
            raise BadAnswer("its body has not the length that its content-length says")

    cdef int pause_reading(self) except -1:
        return 0

    cdef int resume_reading(self) except -1:
        if self.resumed is not None and not self.resumed.done():
            self.resumed.set_result(None)
        return 0

    cdef int came_in(self) except -1:
        """The answer is whole, or nobody waits for it."""
        if self.inflow is not None:
            (<CallOwner>self.call.owner).came_in(self)
        return 0

    cdef Py_ssize_t most(self) noexcept:
        """Bytes that its body may have."""
        return self.upstream.max_response_bytes * (1 if self.call.members is None else CARRIED)

    cdef int gather(self, object data) except -1:
        cdef const unsigned char[::1] view
        if not data:
            return 0
        view = data
        if self.content.size + view.shape[0] > self.most():
            raise AnswerTooLarge()
        return self.content.put(<const char*>&view[0], view.shape[0])

    cdef int release(self) except -1:
        """Lets an application that waits for the disconnect go on."""
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)
        return 0


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
    cdef object lifespan              # task, or None
    cdef object lifespan_in           # queue to the application
    cdef object stopped               # future
    cdef readonly dict state          # of its lifespan
    cdef unsigned long long crashes
    cdef double told_since            # when the seconds began of which `told` failures were logged
    cdef int told
    cdef unsigned long long untold    # those of which no line spoke yet
    cdef object context               # in which it was loaded; never entered by the application
    cdef set tasks                    # of all that the application does for requests
    cdef readonly Py_ssize_t max_header_bytes
    cdef double startup_timeout

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
        self.state = {}
        self.context = contextvars.copy_context()
        self.tasks = set()
        self.max_header_bytes = max_header_bytes
        self.startup_timeout = startup_timeout

    # --- what the application does

    def begin(self, coroutine):
        """A task of the application for a request that is no call, in a context of its own (OP-04)."""
        task = self.loop.create_task(coroutine, context=self.context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def complain(self, str what not None, error=None):
        """Logs a failure of the application. error: whose traceback is told. Many at once become a number."""
        cdef double t = now()
        if t - self.told_since >= TOLD_SECONDS:
            self.told_since = t
            self.told = 0
        if self.told < TOLD:
            self.told += 1
            _log.error("%s", what, exc_info=error)
            return
        if self.untold == 0:
            self.loop.call_later(TOLD_SECONDS, self.count_untold)
        self.untold += 1

    def count_untold(self):
        untold, self.untold = self.untold, 0
        if untold:
            _log.error("the application of %s failed %d times more", self.name, untold)

    def head(self, message):
        """
        (status, [(name, value)]) of an http.response.start. Raises BadAnswer when that is no final answer of HTTP,
        HeadersTooLarge when it is more than max_header_bytes.
        """
        cdef Py_ssize_t size = 0
        status = message["status"]
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise BadAnswer("its status is none of a final answer")
        kept = []
        for name, value in message.get("headers", ()):
            if isinstance(name, str) or isinstance(value, str):
                raise BadAnswer("a header of its answer is str, not bytes")
            name, value = bytes(name), bytes(value).strip(b" \t")
            size += len(name) + len(value) + 4
            if size > self.max_header_bytes:
                raise HeadersTooLarge(int(status), kept)
            if _TOKEN.match(name) is None or not valid_value(value, len(value)):
                raise BadAnswer("a header of its answer is malformed")
            kept.append((name, value))
        return int(status), kept

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

    async def startup(self):
        """Starts the application (ASGI lifespan). RuntimeError when it does not start."""
        started = self.loop.create_future()
        self.stopped = self.loop.create_future()
        self.lifespan_in = asyncio.Queue()
        self.lifespan_in.put_nowait({"type": "lifespan.startup"})
        asked = asyncio.Event()

        async def receive():
            asked.set()
            return await self.lifespan_in.get()

        async def send(message):
            await asyncio.sleep(0)        # OP-23
            kind = message["type"]
            if kind == "lifespan.startup.complete" and not started.done():
                started.set_result(None)
            elif kind == "lifespan.startup.failed" and not started.done():
                started.set_result(message.get("message") or "no reason given")
            elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and not self.stopped.done():
                self.stopped.set_result(None)

        async def run():
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
            # The specification: one that raises, or ends, at the sight of this scope does not know lifespan and goes
            # without. It does know it once it has asked for the event.
            why = "it ended"
            try:
                await self.app(scope, receive, send)
            except BaseException as error:
                if asyncio.current_task().cancelling():
                    return
                why = f"{type(error).__name__}: {error}"
                if asked.is_set() or not isinstance(error, Exception):
                    _log.error("the application failed in its lifespan", exc_info=error)
            finally:
                if not started.done():
                    started.set_result(why if asked.is_set() else None)
                if not self.stopped.done():
                    self.stopped.set_result(None)

        self.lifespan = self.loop.create_task(run(), context=self.context.copy())
        why = f"it took longer than {self.startup_timeout:g} s"
        try:
            if (await asyncio.wait({started}, timeout=self.startup_timeout))[0]:
                why = started.result()
        finally:
            if why is not None:
                self.lifespan.cancel()
                self.lifespan = None
        if why is not None:
            lines = str(why).strip().splitlines() or [""]
            if len(lines) > 1:
                _log.error("the application did not start: %s", why)
            raise RuntimeError(f"the application did not start: {lines.pop()}")

    async def shutdown(self):
        """Ends the application (ASGI lifespan)."""
        if self.lifespan is None:
            return
        lifespan, self.lifespan = self.lifespan, None
        self.lifespan_in.put_nowait({"type": "lifespan.shutdown"})
        if not (await asyncio.wait({self.stopped}, timeout=SHUTDOWN))[0]:
            _log.error("the application did not end in time")
        lifespan.cancel()
        await asyncio.wait({lifespan}, timeout=GRACE)

    # --- Upstream

    cdef int start(self, Call call) except -1:
        cdef AsgiCall asgi_call
        if self.closed:
            return self.reject(call)
        fault("app.start")
        asgi_call = AsgiCall(self, call)
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
        cdef AsgiCall asgi_call = self.running.pop(call, None)
        if asgi_call is not None:
            self.in_flight -= 1
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
            self.complain(f"the application broke the protocol: {error}")
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application did not answer with valid HTTP")
        except BaseException as error:
            # The gateway cancels only what is settled; any other cancellation is the application's own.
            if asgi_call.ended and not asgi_call.finished:
                # Nobody waits for it: an application may well raise when its client is gone.
                _log.debug("the application raised when nobody waited for it any more", exc_info=error)
                return
            if asgi_call.finished and isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():
                return
            self.crashes += 1
            if asgi_call.finished:
                # Frameworks send their 500 first, and leave it to the server to log what they raise.
                self.complain("the application raised after its answer", error)
                return
            self.complain("the application raised", error)
            if asgi_call.status:
                why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application failed in the middle of its answer")
            else:
                why = (500, OUTCOME_FAILED, "UpstreamFailed", "the application failed")
        if asgi_call.ended or asgi_call.finished:
            return
        if why is None:
            why = (502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the application did not finish its answer")
        self.context.run(self.end, asgi_call, *why)

    def answered(self, AsgiCall asgi_call):
        cdef Call call = asgi_call.call
        cdef Result result
        if self.running.pop(call, None) is None:
            return
        asgi_call.ended = True
        asgi_call.came_in()
        result = Result()
        try:
            fault("app.answered")
            self.fill(result, asgi_call)
        except Exception as error:
            _log.error("an answer could not be read", exc_info=error)
            result.reset()
            result.set_error(502, OUTCOME_UNREACHABLE, "UpstreamBroken", "the gateway could not read the answer")
        self.hand_over(call, result)

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
        if self.running.pop(call, None) is not None:
            asgi_call.ended = True
            asgi_call.came_in()
            result.body_left_out = True
            result.add_note(note)
            self.failures += 1
            self.hand_over(call, result)
        return True

    def end(self, AsgiCall asgi_call, int status, int outcome, str code, str message):
        cdef Call call = asgi_call.call
        cdef Result result
        if self.running.pop(call, None) is None:
            return
        asgi_call.ended = True
        asgi_call.came_in()
        result = Result()
        result.reset()
        result.set_error(status, outcome, code, message)
        result.oversized = asgi_call.oversized
        if status == 504:
            self.timeouts += 1
        else:
            self.failures += 1
        self.hand_over(call, result)

    cdef int hand_over(self, Call call, Result result) except -1:
        self.in_flight -= 1
        return self.hand(call, result)

    cdef int dismiss(self, AsgiCall asgi_call) except -1:
        """Nobody waits any more: the application is told, and after a grace its task is cancelled."""
        asgi_call.ended = True
        asgi_call.came_in()
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
            _log.error("the deadlines of an upstream could not be looked at", exc_info=error)
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
        self.count_untold()
        self.cancel()

    def stats(self):
        figures = super().stats()
        figures["crashes"] = self.crashes
        return figures
