"""One connection to the testee: raw bytes first, frames once it is open.

Everything the testee does ends up in one queue of events, in order, and a case
reads them with next(). The end of TCP is an event too ("drop"), so that a case
can tell who went first.
"""
import asyncio
import base64
import collections
import hashlib
import os
import socket
import struct

from . import codec
from .codec import CLOSE, Event

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


class Head:
    """A request or response head: first line and fields in order."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw, self.first = raw, lines[0]
        self.fields = []
        for line in lines[1:]:
            if line:
                name, colon, value = line.partition(":")
                if not colon or name != name.strip():
                    raise ValueError("bad header line %r" % line)
                self.fields.append((name.lower(), value.strip(" \t")))

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def one(self, name):
        """The value of a field that must be there exactly once."""
        values = self.all(name)
        if len(values) != 1:
            raise ValueError("%s occurs %d times" % (name, len(values)))
        return values[0]

    @property
    def status(self):
        part = self.first.split(" ")
        return int(part[1]) if part[0].startswith("HTTP/") and len(part) > 1 and \
            part[1].isdigit() else 0


class Conn(asyncio.Protocol):
    """`testee` is what sits at the other end: "server" or "client"."""

    def __init__(self, testee, on_head=None):
        self.testee = testee
        self.on_head = on_head      # called with (conn, Head) on the listening side
        self.mask = testee == "server"
        self.events = collections.deque()
        self.waiter = None
        self.raw = bytearray()
        self.parser = None
        self.deflater = None
        self.params = None
        self.lost = False           # the transport is gone
        self.dropped = None         # how TCP ended, once the testee ended it
        self.sent_close = False
        self.transport = None
        self.proc = None
        self.request = self.response = None

    # what the loop calls

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        if self.parser:
            self._put(self.parser.feed(data))
            return
        self.raw += data
        if self.on_head and b"\r\n\r\n" in self.raw:
            notify, self.on_head = self.on_head, None
            notify(self)
        self._wake()

    def eof_received(self):
        self._end("end of stream")
        return False

    def connection_lost(self, why):
        self.lost = True
        self._end("reset" if isinstance(why, ConnectionError) else "end of stream")
        if self.on_head:
            notify, self.on_head = self.on_head, None
            notify(self)

    def _end(self, how):
        if self.dropped is None:
            self.dropped = how
            self._put([Event("drop", how.encode())])

    def _put(self, events):
        if events:
            self.events.extend(events)
            self._wake()

    def _wake(self):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)

    async def _wait(self, limit):
        """False once `limit` seconds went by with nothing new."""
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self.waiter, max(limit, 0.001))
            return True
        except asyncio.TimeoutError:
            return False
        finally:
            self.waiter = None

    # reading

    async def next(self, limit):
        """The next event, or None when `limit` seconds passed without one."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while not self.events:
            left = end - loop.time()
            if left <= 0 or not await self._wait(left):
                return self.events.popleft() if self.events else None
        return self.events.popleft()

    async def head(self, limit):
        """The response head, or None; what follows it stays in self.raw."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while b"\r\n\r\n" not in self.raw:
            left = end - loop.time()
            if self.dropped or left <= 0:
                return None
            await self._wait(left)
        at = self.raw.index(b"\r\n\r\n") + 4
        head = Head(bytes(self.raw[:at]))
        del self.raw[:at]
        return head

    async def until_drop(self, limit):
        """Raw bytes until the testee drops TCP. True when it did in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while self.dropped is None:
            left = end - loop.time()
            if left <= 0:
                return False
            await self._wait(left)
        return True

    def start(self, params=None):
        """From raw bytes to frames; `params` when deflate was agreed."""
        from .pmd import Deflater, Inflater, Params
        self.params = params
        inflater = None
        if params is not None:
            p = params or Params()
            ours = (p.client_bits, p.client_nct) if self.mask else (p.server_bits, p.server_nct)
            theirs = (p.server_bits, p.server_nct) if self.mask else (p.client_bits, p.client_nct)
            self.deflater = Deflater(ours[0] or 15, ours[1])
            inflater = Inflater(theirs[0] or 15, theirs[1])
        self.parser = codec.Parser(not self.mask, inflater)
        ends = [e for e in self.events if e.kind == "drop"]
        self.events.clear()
        early, self.raw = bytes(self.raw), bytearray()
        self._put(self.parser.feed(early))
        self._put(ends)

    # writing

    def write(self, data):
        if self.transport and not self.transport.is_closing():
            self.transport.write(data)

    async def write_pieces(self, data, size):
        """Separate writes; each reaches the socket alone (TCP_NODELAY)."""
        view = memoryview(data)
        for at in range(0, len(data), size):
            self.write(bytes(view[at:at + size]))
            if at // size % 16 == 15 or len(data) < 4096:
                await asyncio.sleep(0)

    def frame(self, opcode, payload=b"", **how):
        """The bytes of one frame, masked as this side must unless told."""
        if "mask" not in how:
            how["mask"] = os.urandom(4) if self.mask else None
        return codec.encode(opcode, payload, **how)

    def send(self, opcode, payload=b"", **how):
        self.write(self.frame(opcode, payload, **how))

    def message(self, opcode, payload, size=None, packed=False):
        """A whole message as bytes, in fragments of `size`, compressed if asked."""
        rsv = 0
        if packed:
            payload, rsv = self.deflater.message(payload), 4
        if size is None:
            return self.frame(opcode, payload, rsv=rsv)
        return b"".join(codec.fragments(opcode, payload, size, self.mask, rsv))

    def close(self, code=1000, reason=b""):
        self.sent_close = True
        self.send(CLOSE, codec.close_body(code, reason))

    def half_close(self):
        self.transport.write_eof()

    def reset(self):
        """Ends TCP the rude way, without waiting for anybody."""
        if self.transport:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.abort()

    def finish(self):
        if self.transport:
            self.transport.close()

    def abort(self):
        """For the cleaning up: whatever is left of the connection goes now."""
        if self.transport and not self.lost:
            try:
                self.transport.abort()
            except AttributeError:
                pass  # Python 3.11 forgets the TLS state of a connection being closed
