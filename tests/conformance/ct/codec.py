"""Frames, as the tester writes and reads them.

Writing is free: every field of a frame can be set to a wrong value, because
wrong frames are what a tester is for. Reading is strict: whatever RFC 6455
forbids the testee to send becomes a `bad` event, and a case that sees one
fails. Nothing here is shared with the library under test.
"""
import os
import struct
from typing import NamedTuple, Optional

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}
MESSAGE_MAX = 64 << 20


class Event(NamedTuple):
    """What the testee did: a whole message, a control frame, or an end."""
    kind: str                  # text binary ping pong close drop bad
    data: bytes = b""          # payload, close reason, or words for drop and bad
    code: Optional[int] = None  # of a close; None when the body was empty

    def __str__(self):
        if self.kind == "close":
            return "close(%s%s)" % ("" if self.code is None else self.code,
                                    " " + brief(self.data) if self.data else "")
        if self.kind in ("drop", "bad"):
            return "%s: %s" % (self.kind, self.data.decode("utf-8", "replace"))
        return "%s[%d] %s" % (self.kind, len(self.data), brief(self.data))


def brief(data, most=24):
    shown = "".join(chr(b) if 32 <= b < 127 and b != 92 else "\\x%02x" % b for b in data[:most])
    return "'" + shown + ("'..." if len(data) > most else "'")


def text(data):
    return Event("text", data.encode() if isinstance(data, str) else bytes(data))


def binary(data):
    return Event("binary", bytes(data))


def pong(data=b""):
    return Event("pong", bytes(data))


def xor(data, key):
    """Masks whole payloads at a time: Python is slow per byte, not per bigint."""
    n = len(data)
    if n == 0 or key == b"\0\0\0\0":
        return bytes(data)
    pad = (key * ((n + 3) // 4))[:n]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(n, "little")


def encode(opcode, payload=b"", fin=True, rsv=0, mask=None, form=None, length=None):
    """One frame. mask: None or four bytes. form: 7, 16 or 64 forces a length
    encoding. length: what the header claims, when it should lie."""
    n = len(payload) if length is None else length
    if form is None:
        form = 7 if n < 126 else 16 if n < 65536 else 64
    b0 = (0x80 if fin else 0) | (rsv & 7) << 4 | opcode
    m = 0 if mask is None else 0x80
    if form == 7:
        head = bytes((b0, m | n))
    elif form == 16:
        head = struct.pack(">BBH", b0, m | 126, n)
    else:
        head = struct.pack(">BBQ", b0, m | 127, n)
    if mask is None:
        return head + bytes(payload)
    return head + mask + xor(payload, mask)


def fragments(opcode, payload, size, keyed, rsv=0):
    """The frames of one message cut every `size` bytes (always at least one)."""
    cuts = range(0, len(payload), size) if payload else (0,)
    keys = os.urandom(4 * len(cuts)) if keyed else None
    out = []
    last = len(cuts) - 1
    for i, at in enumerate(cuts):
        out.append(encode(opcode if i == 0 else CONT, payload[at:at + size], fin=i == last,
                          rsv=rsv if i == 0 else 0,
                          mask=keys[4 * i:4 * i + 4] if keys else None))
    return out


def close_body(code=None, reason=b""):
    return b"" if code is None else struct.pack(">H", code) + reason


class Broken(Exception):
    """The testee sent what the protocol forbids it to send."""


def code_may_travel(code):
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class Parser:
    """Bytes from the testee to events. `masked`: the testee must mask (it is a
    client). `inflater`: set when permessage-deflate was agreed."""

    def __init__(self, masked, inflater=None):
        self.masked = masked
        self.inflater = inflater
        self.buf = bytearray()
        self.need = 2
        self.parts = None        # payloads of the message under way
        self.kind = None
        self.packed = False      # that message is compressed
        self.dead = False
        self.keys = []           # masking keys seen, for the cases on randomness
        self.frames = 0
        self.packed_sizes = []   # payload bytes of each compressed message

    def feed(self, data):
        """Takes bytes, returns the events they complete."""
        events = []
        self.buf += data
        try:
            while not self.dead and len(self.buf) >= self.need:
                frame = self._frame()
                if frame is None:
                    break
                event = self._take(*frame)
                if event:
                    events.append(event)
        except Broken as why:
            self.dead = True
            events.append(Event("bad", str(why).encode()))
        return events

    def _frame(self):
        """The next whole frame, or None after noting how much is needed."""
        buf = self.buf
        b0, b1 = buf[0], buf[1]
        n, at = b1 & 127, 2
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(buf) < at:
                self.need = at
                return None
            n = int.from_bytes(buf[2:at], "big")
            if n < (126 if at == 4 else 65536):
                raise Broken("frame length %d is not in its shortest form" % n)
            if n > MESSAGE_MAX:
                raise Broken("frame of %d bytes" % n)
        self._check_head(b0, b1, n)
        if b1 & 0x80:
            at += 4
        if len(buf) < at + n:
            self.need = at + n
            return None
        payload = bytes(memoryview(buf)[at:at + n])
        if b1 & 0x80:
            key = bytes(buf[at - 4:at])
            self.keys.append(key)
            payload = xor(payload, key)
        del buf[:at + n]
        self.need = 2
        self.frames += 1
        return b0 >> 7, b0 >> 4 & 7, b0 & 15, payload

    def _check_head(self, b0, b1, n):
        opcode, rsv = b0 & 15, b0 >> 4 & 7
        if bool(b1 & 0x80) != self.masked:
            raise Broken("frame is not masked" if self.masked else "frame is masked")
        if opcode not in (CONT, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken("opcode %d" % opcode)
        if rsv & 3 or (rsv & 4 and (self.inflater is None or opcode not in (TEXT, BINARY))):
            raise Broken("reserved bits %d on opcode %d" % (rsv, opcode))
        if opcode >= 8 and (not b0 & 0x80 or n > 125):
            raise Broken("control frame fragmented or of %d bytes" % n)

    def _take(self, fin, rsv, opcode, payload):
        if opcode == CLOSE:
            return self._close(payload)
        if opcode >= 8:
            return Event(NAMES[opcode], payload)
        if opcode == CONT:
            if self.parts is None:
                raise Broken("continuation with no message open")
        else:
            if self.parts is not None:
                raise Broken("new message inside a fragmented one")
            self.parts, self.kind, self.packed = [], NAMES[opcode], bool(rsv & 4)
        self.parts.append(payload)
        return self._message() if fin else None

    def _message(self):
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = None
        if self.packed:
            self.packed_sizes.append(len(data))
            try:
                data = self.inflater.message(data)
            except ValueError as why:
                raise Broken("compressed message: %s" % why) from None
        if self.kind == "text":
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                raise Broken("text is not UTF-8: " + brief(data)) from None
        return Event(self.kind, data)

    @staticmethod
    def _close(payload):
        if not payload:
            return Event("close")
        if len(payload) == 1:
            raise Broken("close body of one byte")
        code, reason = int.from_bytes(payload[:2], "big"), payload[2:]
        if not code_may_travel(code):
            raise Broken("close code %d must not be sent" % code)
        try:
            reason.decode("utf-8")
        except UnicodeDecodeError:
            raise Broken("close reason is not UTF-8") from None
        return Event("close", reason, code)
