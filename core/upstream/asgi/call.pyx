"""One call at an ASGI application: the two channels of the specification, receive and send.

Must never hold more of an answer than max_header_bytes and max_body.
"""
from batchwire.core.upstream.base cimport COUNTED, CallOwner

import asyncio

from batchwire.core.upstream.asgi.answers import AnswerTooLarge, BadAnswer, HeadersTooLarge, answer_head, check_length

cdef enum:
    AT_ONCE = 16                  # times that an application is told at once that nobody waits (OP-23)


cdef class AsgiCall(Inlet):
    def __init__(self, loop, Call call, Py_ssize_t max_header_bytes, Py_ssize_t max_body, on_whole):
        self.loop = loop
        self.call = call
        self.max_header_bytes = max_header_bytes
        self.max_body = max_body
        self.on_whole = on_whole
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
                self.gone = self.loop.create_future()
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
                self.status, self.headers = answer_head(message, self.max_header_bytes)
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
            if COUNTED <= size <= self.max_body:
                # AN-05: counted before it is taken, so that what an application sends in one piece waits too.
                (<CallOwner>self.call.owner).incoming(self, self.call, size)
                while self.held:
                    # An application may send from several tasks, and cancel one of them: all wait for the same.
                    if self.resumed is None or self.resumed.done():
                        self.resumed = self.loop.create_future()
                    await asyncio.shield(self.resumed)
                if self.ended:
                    raise OSError("the client is gone")
            self.gather(data)
            if message.get("more_body", False):
                return True
            check_length(self.status, self.headers, self.call.method, self.content.size)
            self.finished = True
            self.release()
            self.on_whole(self)
        else:
            raise BadAnswer(f"the message {kind!r} is not part of an HTTP answer")
        return False

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

    cdef int gather(self, object data) except -1:
        cdef const unsigned char[::1] view
        if not data:
            return 0
        view = data
        if self.content.size + view.shape[0] > self.max_body:
            raise AnswerTooLarge()
        return self.content.put(<const char*>&view[0], view.shape[0])

    cdef int release(self) except -1:
        """Lets an application that waits for the disconnect go on."""
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)
        return 0
