"""The attacker's side of a connection: raw bytes, and a WebSocket that lies.

Blocking sockets with deadlines. Frames come from the conformance tester's codec,
which shares nothing with the library under test.
"""
import base64
import hashlib
import socket
import ssl
import struct
import time

from ct import codec, pmd

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TIMEOUT = 10.0


class Fail(AssertionError):
    """What was expected did not happen."""


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def request(line="GET /n?i=1 HTTP/1.1", *fields, host="x", body=b"", end=b"\r\n"):
    """A request: the line and fields as they are, in order. host None: none."""
    lines = [line] + ([] if host is None else ["Host: " + host]) + list(fields)
    raw = b"".join((f if isinstance(f, bytes) else f.encode("latin-1")) + b"\r\n" for f in lines)
    return raw + end + body


def upgrade(path="/echo", *more, key=KEY, version="13", connection="Upgrade", up="websocket",
            line=None, host="x", body=b""):
    """An opening handshake; None leaves a field out."""
    fields = []
    for name, value in (("Upgrade", up), ("Connection", connection), ("Sec-WebSocket-Key", key),
                        ("Sec-WebSocket-Version", version)):
        if value is not None:
            fields.append("%s: %s" % (name, value))
    return request(line or "GET %s HTTP/1.1" % path, *fields, *more, host=host, body=body)


def frame(opcode, payload=b"", **how):
    """A frame as a good client masks it, unless told otherwise."""
    how.setdefault("mask", b"\x11\x22\x33\x44")
    if isinstance(payload, str):
        payload = payload.encode()
    return codec.encode(opcode, payload, **how)


class Answer:
    """One response of many on a connection."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.head, self.body = head, body
        part = lines[0].split(" ")
        self.status = int(part[1]) if part[0] == "HTTP/1.1" and part[1].isdigit() else 0
        self.fields = [(n.lower(), v.strip()) for n, _, v in
                       (line.partition(":") for line in lines[1:] if line)]

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None


def answers(raw):
    """Splits what a server said into responses; what does not parse is an Answer of status 0."""
    out, at = [], 0
    while at < len(raw):
        gap = raw.find(b"\r\n\r\n", at)
        answer = Answer(raw[at:gap], b"") if gap >= 0 else Answer(b"", raw[at:])
        out.append(answer)
        if not answer.status:
            break
        size = int(answer.one("content-length") or 0)
        if answer.status == 101:
            size = len(raw)
        answer.body, at = raw[gap + 4:gap + 4 + size], gap + 4 + size
    return out


class Wire:
    """A TCP connection; host: from this address of ours. `ended` says how the other side left: eof,
    reset or None."""

    def __init__(self, addr, tls=False, rcvbuf=0, host=None, first=b""):
        family = socket.AF_INET6 if ":" in addr[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(TIMEOUT)
        if host:
            self.sock.bind((host, 0))
        self.sock.connect(addr)
        if first:
            self.sock.sendall(first)  # before TLS
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        """False once the other side has gone."""
        try:
            self.sock.settimeout(TIMEOUT)
            self.sock.sendall(data)
            return True
        except socket.timeout:
            raise Fail("the server takes no more bytes") from None
        except OSError:
            return False

    def some(self, limit=TIMEOUT):
        """Bytes, b"" at the end, None when nothing came in time."""
        try:
            self.sock.settimeout(max(limit, 0.001))
            data = self.sock.recv(1 << 16)
        except socket.timeout:
            return None
        except OSError:
            self.ended = "reset"
            return b""
        if not data:
            self.ended = "eof"
        return data

    def rest(self, limit=TIMEOUT):
        """All that comes until the end; self.ended is None when there was none in time."""
        end, out = time.monotonic() + limit, bytearray()
        while data := self.some(end - time.monotonic()):
            out += data
        return bytes(out)


class Ws(Wire):
    """An open WebSocket. deflate: the offer to make; `agreed` is what came back."""

    def __init__(self, addr, path="/echo", *more, deflate=None, **how):
        super().__init__(addr, **how)
        self.waiting = []  # of an array that has been taken apart
        fields = list(more)
        if deflate:
            fields.append("Sec-WebSocket-Extensions: " + deflate)
        self.send(upgrade(path, *fields, host="%s:%d" % addr[:2]))
        raw = bytearray()
        while b"\r\n\r\n" not in raw:
            data = self.some()
            if not data:
                self.close()
                raise Fail("no answer to the handshake but %r" % bytes(raw[:80]))
            raw += data
        head, _, rest = bytes(raw).partition(b"\r\n\r\n")
        self.head = Answer(head, b"")
        if self.head.status != 101:
            self.close()
            raise Fail("handshake answered %d" % self.head.status)
        self.agreed = self.head.one("sec-websocket-extensions")
        fresh = "server_no_context_takeover" in (self.agreed or "")
        inflater = pmd.Inflater(15, fresh) if self.agreed else None
        self.parser = codec.Parser(False, inflater)
        self.events = self.parser.feed(rest)

    def put(self, opcode, payload=b"", **how):
        return self.send(frame(opcode, payload, **how))

    def text(self, payload):
        return self.put(codec.TEXT, payload)

    def next(self, limit=TIMEOUT):
        """The next event; a "drop" at the end of TCP; None when nothing came in time."""
        end = time.monotonic() + limit
        while not self.events:
            data = self.some(end - time.monotonic())
            if data is None:
                return None
            if data == b"":
                return codec.Event("drop", self.ended.encode())
            self.events += self.parser.feed(data)
        return self.events.pop(0)

    def expect(self, kind, data=None, limit=TIMEOUT):
        got = self.next(limit)
        if got is None or got.kind != kind or (data is not None and got.data != as_bytes(data)):
            raise Fail("wanted %s %s, got %s" % (kind, "" if data is None else
                                                 codec.brief(as_bytes(data)), got))
        return got

    def expect_end(self, limit=TIMEOUT):
        """TCP ends and nothing comes before."""
        return self.expect("drop", limit=limit)

    def expect_close(self, code, limit=TIMEOUT, end=TIMEOUT):
        """The server's Close, then the end of TCP, nothing else."""
        got = self.next(limit)
        if got is None or got.kind != "close" or got.code != code:
            raise Fail("wanted close(%s), got %s" % (code, got))
        self.expect_end(end)

    def ask(self, payload="still here", limit=TIMEOUT):
        self.text(payload)
        self.expect("text", payload, limit)


def as_bytes(data):
    return data.encode() if isinstance(data, str) else data


def wait_until(what, limit, words):
    """Polls; `what` returns something true in time, or the row fails with `words`."""
    end = time.monotonic() + limit
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise Fail(words() if callable(words) else words)
        time.sleep(0.005)


class Listening:
    """The other role: a server of ours that lies to a client of theirs. One connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(TIMEOUT)
        self.port, self.sock = self.listener.getsockname()[1], None

    def request(self):
        """Waits for the client and its whole head."""
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(TIMEOUT)
        raw = b""
        while b"\r\n\r\n" not in raw:
            data = self.sock.recv(65536)
            if not data:
                raise Fail("the client left within its request")
            raw += data
        return Answer(raw.partition(b"\r\n\r\n")[0], b"")

    def send(self, data):
        self.sock.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.sock, self.listener):
            if sock:
                sock.close()
