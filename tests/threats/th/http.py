"""Rows 1 to 34: heads, bodies, upgrades."""
import random
import re
import ssl
import time

from ct import codec

from .peer import KEY, Fail, answers, frame, request, upgrade
from .suite import Listener, every, row

POST = request("POST /post HTTP/1.1", "Content-Length: 1", body=b"x")


def refuse(w, cases, behind=POST):
    """Each input is answered with its status, Connection: close and a short
    text, then TCP ends; what came behind it is neither answered nor executed."""
    def judge(raw, want):
        got, ended = w.ask(raw + behind)
        if len(got) != 1:
            raise Fail("%d answers: %s" % (len(got), [a.status for a in got]))
        if got[0].status != want:
            raise Fail("answered %d" % got[0].status)
        if "close" not in (got[0].one("connection") or "").lower():
            raise Fail("no Connection: close but %r" % got[0].all("connection"))
        if not 0 < len(got[0].body) < 200:
            raise Fail("%d bytes of body" % len(got[0].body))
        if not ended:
            raise Fail("the connection stays open")
    with w.nothing_happens(len(cases), lambda reason: reason.startswith("HTTP_")):
        every(cases, judge)


def accept(w, cases):
    """Each input gets the status and the connection goes on."""
    def judge(raw, status):
        with w.wire() as wire:
            wire.send(raw)
            data = wire.some()
            got = answers(data or b"")
            if not got or got[0].status != status:
                raise Fail("answered %s" % [a.status for a in got])
    every(cases, judge)


GOOD = b"GET /n?i=1 HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"


@row(1, "bare LF as a line end: 400")
def bare_lf(w):
    chunked = request("POST /post HTTP/1.1", "Transfer-Encoding: chunked")
    refuse(w, [
        ("in the request line", GOOD.replace(b"1.1\r\n", b"1.1\n"), 400),
        ("behind a field", GOOD.replace(b"A: b\r\n", b"A: b\n"), 400),
        ("in the empty line", GOOD[:-2] + b"\n", 400),
        ("everywhere", GOOD.replace(b"\r\n", b"\n"), 400),
        ("in front of the request", b"\n" + GOOD, 400),
        ("CR LF in front of the request", b"\r\n" + GOOD, 400),
        ("behind a chunk size", chunked + b"1\nx\r\n0\r\n\r\n", 400),
        ("behind chunk data", chunked + b"1\r\nx\n0\r\n\r\n", 400),
        ("behind the last chunk", chunked + b"1\r\nx\r\n0\n\r\n", 400),
        ("in the trailer", chunked + b"0\r\nA: b\n\r\n", 400),
        ("behind the trailer", chunked + b"0\r\n\n", 400),
    ])


@row(2, "bare CR in a value, CR as a line end: 400")
def bare_cr(w):
    chunked = request("POST /post HTTP/1.1", "Transfer-Encoding: chunked")
    refuse(w, [
        ("inside a value", GOOD.replace(b"A: b", b"A: b\rc"), 400),
        ("at the end of a value", GOOD.replace(b"A: b", b"A: b\r"), 400),
        ("CR only, everywhere", GOOD.replace(b"\r\n", b"\r"), 400),
        ("behind the request line", GOOD.replace(b"1.1\r\n", b"1.1\r"), 400),
        ("in a name", GOOD.replace(b"A:", b"A\r:"), 400),
        ("in the target", GOOD.replace(b"/n", b"/\rn"), 400),
        ("in a chunk size", chunked + b"1\rx\r\n0\r\n\r\n", 400),
    ])


@row(3, "folded lines, spaces where none belong, names that are no tokens: 400")
def field_lines(w):
    head, end = b"GET /n?i=1 HTTP/1.1\r\n", b"Host: x\r\n\r\n"
    refuse(w, [(what.decode("latin-1"), head + what + b"\r\n" + end, 400) for what in (
        b"A: b\r\n c", b"A: b\r\n\tc", b" A: b", b"\tA: b", b"A : b", b"A\t: b", b": b", b"A",
        b"A b: c", b"A(: b", b"A\"B: c", b"A\xff: b", b"A@: b", b"A/b: c", b"A[]: b", b"{A}: b")])


@row(4, "control bytes in a value, a name or the target: 400, all 256 values")
def control_bytes(w):
    places = [("value", b"A: b%sc", lambda b: b == 9 or 32 <= b != 127),
              ("name", b"A%sb: c",
               lambda b: b in b"!#$%&'*+-.^_`|~:" or (b < 128 and chr(b).isalnum())),
              ("target", None, lambda b: 33 <= b < 127 and b not in b"\"#<>\\^`{|}%[]")]
    bad, good = [], []
    for place, form, legal in places:
        for b in range(256):
            one = bytes((b,))
            raw = GOOD.replace(b"i=1", b"i=" + one + b"1") if form is None else \
                GOOD.replace(b"A: b", form.replace(b"%s", one))
            if not legal(b):
                if place != "target" or b < 33 or b == 127:
                    bad.append(("%s 0x%02x" % (place, b), raw, 400))
            elif place != "target" or chr(b).isalnum():
                good.append(("%s 0x%02x" % (place, b), raw, 200))
    # A space in the target begins the version, and then there are two.
    refuse(w, bad)
    accept(w, good)


@row(5, "two Content-Length, also equal ones: 400")
def two_lengths(w):
    post = "POST /post HTTP/1.1"
    refuse(w, [
        ("equal", request(post, "Content-Length: 1", "Content-Length: 1", body=b"x"), 400),
        ("different", request(post, "Content-Length: 1", "Content-Length: 2", body=b"xy"), 400),
        ("other case", request(post, "Content-Length: 1", "content-length: 1", body=b"x"), 400),
        ("a list", request(post, "Content-Length: 1, 1", body=b"x"), 400),
        ("a list of different", request(post, "Content-Length: 5, 6", body=b"x"), 400),
        ("with an empty one", request(post, "Content-Length: 1", "Content-Length:", body=b"x"),
         400),
    ])


@row(6, "Content-Length that is no number: 400 at once")
def bad_lengths(w):
    sized = "POST /post HTTP/1.1"
    own = len(request(sized, "Content-Length: -00"))
    cases = [(v, request(sized, "Content-Length: " + v, body=b"x"), 400) for v in (
        "+5", "-1", "0x10", "5 5", "1_0", "5 x", "", "9223372036854775808",
        "18446744073709551621", "99999999999999999999999999", "-%d" % own, "1.0", "1e1", "٣",
        "1;", "\"1\"", "NaN") if v.isascii()]
    cases.append(("Arabic digit", request(sized, b"Content-Length: \xd9\xa3"), 400))
    with w.cost() as cost:
        refuse(w, cases)
    refuse(w, [("2^63-1 is a number, but too large", request(
        sized, "Content-Length: 9223372036854775807"), 413)])
    if cost.cpu > 1:
        raise Fail("%.2f s of CPU" % cost.cpu)


@row(7, "Content-Length together with Transfer-Encoding: 400")
def both_framings(w):
    post = "POST /post HTTP/1.1"
    te, cl = "Transfer-Encoding: chunked", "Content-Length: 6"
    refuse(w, [
        ("length first", request(post, cl, te, body=b"0\r\n\r\nG"), 400),
        ("coding first", request(post, te, cl, body=b"0\r\n\r\nG"), 400),
        ("length 0", request(post, te, "Content-Length: 0", body=b"0\r\n\r\n"), 400),
        ("on a GET", request("GET /n?i=1 HTTP/1.1", te, cl, body=b"0\r\n\r\n"), 400),
        ("unknown coding", request(post, "Transfer-Encoding: x", cl, body=b"0\r\n\r\n"), 400),
    ])


@row(8, "Transfer-Encoding other than one chunked: 501 for unknown codings, 400 otherwise")
def codings(w):
    def post(value, version="1.1"):
        return request("POST /post HTTP/" + version, b"Transfer-Encoding: " + value,
                       body=b"1\r\nx\r\n0\r\n\r\n")
    refuse(w, [
        ("identity", post(b"identity"), 501),
        ("xchunked", post(b"xchunked"), 501),
        ("chunkedx", post(b"chunkedx"), 501),
        ("gzip, chunked", post(b"gzip, chunked"), 501),
        ("chunked, identity", post(b"chunked, identity"), 501),
        ("chunked, chunked", post(b"chunked, chunked"), 400),
        ("in two lines", request("POST /post HTTP/1.1", "Transfer-Encoding: chunked",
                                 "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
        ("VT before", post(b"\x0bchunked"), 400),
        ("FF before", post(b"\x0cchunked"), 400),
        ("NUL before", post(b"\0chunked"), 400),
        ("empty", post(b""), 400),
        ("a comma", post(b","), 400),
        ("quoted", post(b"\"chunked\""), 501),
        ("a parameter", post(b"chunked;a=b"), 501),
        ("in HTTP/1.0", post(b"chunked", "1.0"), 400),
    ])


@row(9, "broken chunks: 400; cut off: not executed")
def chunks(w):
    head = request("POST /post HTTP/1.1", "Transfer-Encoding: chunked")
    end = b"x\r\n0\r\n\r\n"
    refuse(w, [
        ("17 hex digits", head + b"00000000000000001\r\n" + end, 400),
        ("16 hex digits, 2^64-1", head + b"ffffffffffffffff\r\n" + end, 413),
        ("over the limit", head + b"100001\r\n" + end, 413),
        ("a sign", head + b"+1\r\n" + end, 400),
        ("minus", head + b"-1\r\n" + end, 400),
        ("0x", head + b"0x1\r\n" + end, 400),
        ("_", head + b"1_0\r\n" + end, 400),
        ("space before", head + b" 1\r\n" + end, 400),
        ("space behind", head + b"1 \r\n" + end, 400),
        ("bare semicolon", head + b"1;\r\n" + end, 400),
        ("semicolon, space", head + b"1; \r\n" + end, 400),
        ("no size", head + b"\r\n" + end, 400),
        ("no hex digit", head + b"g\r\n" + end, 400),
        ("no CR LF behind the data", head + b"1\r\nxy\r\n0\r\n\r\n", 400),
        ("more data than announced", head + b"1\r\nxx0\r\n\r\n", 400),
        ("an endless extension", head + b"1;" + b"a" * 20000, 400),
        ("trailer without a colon", head + b"0\r\nA\r\n\r\n", 400),
        ("trailer folded", head + b"0\r\nA: b\r\n c\r\n\r\n", 400),
        ("endless trailer", head + b"0\r\n" + b"A: b\r\n" * 3000, 400),
    ])
    with w.nothing_happens():
        for at in range(1, len(b"1\r\n" + end)):
            with w.wire() as wire:
                wire.send(head + (b"1\r\n" + end)[:at])
                wire.sock.shutdown(1)
                if wire.rest() or not wire.ended:
                    raise Fail("a body cut at %d was answered" % at)
    accept(w, [("a whole one with extension and trailer",
                head + b"1;a=b\r\nx\r\n0;c=\"d\"\r\nE: f\r\n\r\n", 200)])


@row(12, "Host missing, repeated or malformed: 400")
def hosts(w):
    line = "GET /n?i=1 HTTP/1.1"
    refuse(w, [("missing", request(line, host=None), 400),
               ("twice", request(line, "Host: x"), 400),
               ("twice, different", request(line, "Host: y"), 400)] +
           [(v, request(line, host=v), 400) for v in (
               "", "a@b", "a:b@c", "x/y", "x y", "x,y", "x:y", "x:99999", "[::1", "::1", "x?y",
               "x#y", "http://x", "x\\y", "[x]", "x:-1", "<x>")])
    accept(w, [(v, request(line, host=v), 200) for v in (
        "x", "x:80", "[::1]", "[::1]:8080", "a-b.example", "127.0.0.1:1")])


@row(13, "absolute target that differs from Host: 400")
def absolute(w):
    def get(target, host):
        return request("GET %s HTTP/1.1" % target, host=host)
    refuse(w, [
        ("another name", get("http://y/n?i=1", "x"), 400),
        ("another port", get("http://x:81/n?i=1", "x:82"), 400),
        ("a port more", get("http://x:81/n?i=1", "x"), 400),
        ("userinfo", get("http://a@x/n?i=1", "x"), 400),
        ("no authority", get("http:///n?i=1", "x"), 400),
        ("another scheme", get("ftp://x/n?i=1", "x"), 400),
        ("authority form", get("x:80", "x:80"), 400),
        ("asterisk", get("*", "x"), 400),
        ("relative", get("n?i=1", "x"), 400),
        ("a fragment", get("/n?i=1#f", "x"), 400),
    ])
    accept(w, [("the same", get("http://x/n?i=1", "x"), 200),
               ("the same, other case", get("http://X/n?i=1", "x"), 200)])


@row(14, "request line, head, number of fields: 414 and 431 when the limit is crossed")
def long_heads(w):
    def line(size):
        return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"

    def head(size):  # its first `size` bytes
        return b"GET /n?i=1 HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (size - 33)
    fields = b"GET /n?i=1 HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 64
    # Not a byte more than proves it is sent: the answer must not wait for the end of the head.
    refuse(w, [
        ("line of 4,097", line(4097), 414),
        ("line that does not end", b"GET /" + b"a" * 4092, 414),
        ("head of 8,193", head(8193), 431),
        ("65 fields", fields, 431),
        ("8,193 bytes of one name", b"GET / HTTP/1.1\r\n" + b"a" * 8177, 431),
    ], behind=b"")
    accept(w, [("line of 4,096", line(4096) + b"\r\nHost: x\r\n\r\n", 404),
               ("head of 8,192", head(8188) + b"\r\n\r\n", 200),
               ("64 fields", fields[:-6] + b"\r\n", 200)])


@row(14, "a head without end: the server soon stops taking bytes, and keeps none")
def endless_head(w):
    most = 1 << 30 if w.full else 64 << 20
    taken = w.stats()["bytes_in"]
    with w.cost() as cost, w.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\n")
        piece, sent, began = b"A: " + b"b" * 65531 + b"\r\n", 0, time.monotonic()
        while sent < most and wire.send(piece):
            sent += len(piece)
        if time.monotonic() - began > 8:
            raise Fail("still taking bytes after %.0f s" % (time.monotonic() - began))
        if [a.status for a in answers(wire.rest())] not in ([431], []):  # or lost in a reset
            raise Fail("not answered 431")
    # It reads up to 64 KiB at a time: one such piece with the limit in it, and one that is the
    # end of its patience. The canary's few bytes are among them.
    taken = w.stats()["bytes_in"] - taken
    if taken > 160 << 10:
        raise Fail("%d KiB were read" % (taken >> 10))
    w.note("%d KiB were read" % (taken >> 10))
    w.note("%d MiB in %.1f s, %.2f s of CPU" % (sent >> 20, cost.seconds, cost.cpu))
    if cost.grown > 4 << 20:
        raise Fail("%d KiB more memory" % (cost.grown >> 10))


@row(16, "methods: unknown 501, known but not served 405, POST with Upgrade 405")
def methods(w):
    def ask(method, path="/post"):
        return request("%s %s HTTP/1.1" % (method, path))
    refuse(w, [
        ("get", ask("get", "/n?i=1"), 501),
        ("FOO", ask("FOO"), 501),
        ("300 letters", ask("A" * 300), 501),
        ("PRI", ask("PRI"), 501),
        ("CONNECT", ask("CONNECT", "x:80"), 501),
        ("TRACE", ask("TRACE"), 501),
        ("no token", ask("G(T"), 400),
        ("a tab behind it", request("GET\t/n?i=1 HTTP/1.1"), 400),
        ("two spaces", request("GET  /n?i=1 HTTP/1.1"), 400),
        ("a space in front", request(" GET /n?i=1 HTTP/1.1"), 400),
        ("POST with Upgrade", upgrade(line="POST /echo HTTP/1.1"), 405),
        ("PUT with Upgrade", upgrade(line="PUT /echo HTTP/1.1"), 405),
    ])
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "GET", "HEAD"):
        got, _ = w.ask(request("%s /post HTTP/1.1" % method, "Connection: close"))
        if len(got) != 1 or got[0].status != 405 or got[0].one("allow") != "POST":
            raise Fail("%s on /post: %s, Allow: %r" %
                       (method, [a.status for a in got], got and got[0].all("allow")))


def client_hello():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    talk = context.wrap_bio(ssl.MemoryBIO(), out)
    try:
        talk.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


@row(17, "other protocols on the port: refused or closed")
def strangers(w):
    refuse(w, [
        ("HTTP/0.9", b"GET /n?i=1\r\n", 400),
        ("HTTP/1.0 upgrade", upgrade(line="GET /echo HTTP/1.0"), 400),
        ("HTTP/1.2", GOOD.replace(b"1.1", b"1.2"), 505),
        ("HTTP/2.0", GOOD.replace(b"1.1", b"2.0"), 505),
        ("HTTP/1.10", GOOD.replace(b"1.1", b"1.10"), 400),
        ("http/1.1", GOOD.replace(b"HTTP", b"http"), 400),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("TLS", client_hello(), 400),
        ("SOCKS4", b"\x04\x01\x00\x50\x7f\0\0\x01root\0", 400),
        ("SOCKS5", b"\x05\x01\x00", 400),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        ("RDP", b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", 400),
        ("SMTP", b"EHLO x\r\n", 400),
        ("Redis", b"*1\r\n$4\r\nPING\r\n", 400),
        ("PROXY v1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GOOD, 400),
        ("PROXY v2", b"\r\n\r\n\0\r\nQUIT\n" + GOOD, 400),
    ])


@row(18, "Sec-WebSocket-Key: 400 unless it is base64 of 16 bytes, once")
def keys(w):
    refuse(w, [("missing", upgrade(key=None), 400),
               ("twice", upgrade("/echo", "Sec-WebSocket-Key: " + KEY), 400)] +
           [(v, upgrade(key=v), 400) for v in (
               "", "x", KEY[:-1], KEY + "=", KEY[:-2], "A" * 24, KEY[:21] + "*==",
               "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZf==", KEY[:-1] + "A",
               "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWVl", "=" * 24,
               KEY[:12] + " " + KEY[12:], "-_" * 11 + "==", KEY + ", " + KEY)])


@row(19, "Sec-WebSocket-Version other than 13: 426 that names 13, and the connection ends")
def versions(w):
    cases = [(v, upgrade(version=v)) for v in
             ("8", "0", "12", "14", "13, 8", "8, 13", "013", "", "13.0", "+13", "1 3", "x", "255")]
    cases.append(("twice", upgrade("/echo", "Sec-WebSocket-Version: 13")))
    cases.append(("missing", upgrade(version=None)))
    refuse(w, [(reason, raw, 426) for reason, raw in cases])
    for reason, raw in cases:
        got, _ = w.ask(raw)
        if got[0].one("sec-websocket-version") != "13":
            raise Fail("%s: the answer names %r" % (reason, got[0].all("sec-websocket-version")))


@row(20, "Connection and Upgrade: lists and any case are read, anything else is no upgrade")
def connections(w):
    accept(w, [(str(how), upgrade(**how), 101) for how in (
        {"connection": "keep-alive, Upgrade"}, {"connection": "uPgRaDe , KEEP-ALIVE"},
        {"connection": ",, upgrade,"}, {"connection": "keep-alive\t,\tupgrade"},
        {"up": "WebSocket"}, {"up": "h2c, websocket"})])
    accept(w, [("two Connection lines", upgrade("/echo", "Connection: upgrade",
                                                connection="keep-alive"), 101)])
    refuse(w, [(str(how), upgrade(**how), 426) for how in (
        {"connection": "Upgradex"}, {"connection": "keep-alive"}, {"connection": None},
        {"connection": "\"Upgrade\""}, {"connection": "Upgrade;x"}, {"up": "websocketx"},
        {"up": "h2c"}, {"up": None}, {"up": "websocket/13"}, {"connection": "", "up": ""})])


def padded(name, piece, size):
    """A field of about `size` bytes, as much as head and line limits leave."""
    return "%s: %s" % (name, (piece * (size // len(piece) + 1))[:size])


@row(21, "long and odd subprotocol and extension lists: 400 or declined, never agreed")
def lists(w):
    ext, proto = "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"
    room = 7900 - len(upgrade())
    refuse(w, [("%s of %r" % (name, piece), upgrade("/echoz", padded(name, piece, room)), 400)
               for name in (ext, proto) for piece in ("\"", "a b ", "a;;", "=", "\\")] +
           [(v, upgrade("/echoz", ext + ": " + v), 400) for v in (
               "permessage-deflate; x=\"", "permessage-deflate; x=\"a", "a; b=", "a; =b", "a b",
               "permessage-deflate; server_max_window_bits=\"1\\\"", ";", "a;", "a, b;")])
    seen = []
    for name, value in [(ext, v) for v in (
            "constructor", "__proto__", "toString; hasOwnProperty=1", "a, " * 2000 + "b",
            " " * 7000 + "a", ", " * 3000 + "a", "permessage-deflate; x" + "y" * 7000,
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=11")] + [
            (proto, v) for v in ("constructor", "__proto__", "Chat", "superchatx")]:
        got, _ = w.ask(upgrade("/chat" if name == proto else "/echoz", name + ": " + value[:room]) +
                       frame(codec.CLOSE))
        if got[0].status not in ((101,) if len(value) < 1000 else (101, 400)):
            seen.append("%s: %d" % (value[:60], got[0].status))
        if got[0].status == 101 and (got[0].all(ext.lower()) or got[0].all(proto.lower())):
            seen.append("%s: agreed" % value[:60])
    if seen:
        raise Fail("\n".join(seen))


@row(21, "their cost grows as their length does", full=True)
def list_times(w):
    for name in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
        for piece in (",", " ", "a,", "a;b,", "a;b=\"c\",", "a;b=\"\\c\","):
            spent = []
            for size in (1900, 3800, 7600):
                raw = upgrade("/echoz", padded(name, piece, size - size % len(piece)) + "z")
                with w.cost() as cost:
                    for _ in range(400):
                        w.ask(raw + frame(codec.CLOSE))
                spent.append(cost.cpu / 400)
            w.note("%s of %r: %s us for 1.9, 3.8, 7.6 KiB" %
                   (name, piece, ", ".join("%.0f" % (s * 1e6) for s in spent)))
            if spent[2] > 1e-3 or spent[2] > 2.2 * spent[1]:
                raise Fail("%s of %r: %s" % (name, piece, spent))


@row(22, "an upgrade with a body: 400, the body is never read as frames")
def upgrade_body(w):
    publish = frame(codec.TEXT, "=t022\nfrom a body")
    with Listener(w, "t022") as listener:
        refuse(w, [
            ("length", upgrade("/ps", "Content-Length: %d" % len(publish), body=publish), 400),
            ("chunked", upgrade("/ps", "Transfer-Encoding: chunked",
                                body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(publish), publish)), 400),
        ], behind=publish)
        listener.silent()
    accept(w, [("a length of 0 is no body", upgrade("/ps", "Content-Length: 0"), 101)])


# -- the same bytes, cut otherwise --------------------------------------------------------

def without_date(raw):
    return re.sub(rb"\r\nDate: [^\r]*", b"", raw)


def deliver(w, inputs):
    """Each input is a list of pieces that arrive apart from each other; what comes back."""
    out = []
    for at in range(0, len(inputs), 500):
        wires = [(w.wire(), pieces) for pieces in inputs[at:at + 500]]
        for step in range(max(len(pieces) for _, pieces in wires)):
            for wire, pieces in wires:
                if step < len(pieces):
                    wire.send(pieces[step])
            time.sleep(0.0005)  # the server reads this before more comes
        for wire, _ in wires:
            out.append(without_date(wire.rest()))
            wire.close()
    return out


def good_heads():
    browser = ("User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept-Encoding: gzip, deflate, br",
               "Cache-Control: no-cache", "Accept-Language: en,de;q=0.9", "Pragma: no-cache")
    heads = [upgrade("/echo"), upgrade("/echoz", "Sec-WebSocket-Extensions: permessage-deflate"),
             upgrade("/echo", *browser), upgrade("/chat", "Sec-WebSocket-Protocol: a, chat"),
             upgrade("/echo", host="[::1]:80"), upgrade("/echo", connection="keep-alive, Upgrade")]
    for i in range(14):
        heads.append(upgrade("/echo?" + "a=%d&" % i * i, "X-%d: %s" % (i, "y" * i * 7)))
    return heads


@row(23, "frames behind a head in one segment, and every cut of it: the same events")
def cuts(w):
    chance = random.Random(23)
    for number, head in enumerate(good_heads()[:20 if w.full else 4]):
        whole = head + frame(codec.TEXT, "first") + frame(codec.PING, b"p") + \
            frame(codec.CLOSE, codec.close_body(1000))
        want = deliver(w, [[whole]])[0]
        text = want.partition(b"\r\n\r\n")[2]
        if text != b"\x81\x05first\x8a\x01p\x88\x02\x03\xe8":
            raise Fail("head %d: answered %r" % (number, text))
        singles = [(i,) for i in range(1, len(whole))]
        pairs = [(i, j) for i in range(1, len(whole)) for j in range(i + 1, len(whole))]
        if not w.full:
            pairs = chance.sample(pairs, 60)
        chosen = singles[:: 1 if w.full or number < 2 else 5] + pairs
        inputs = [[whole[a:b] for a, b in zip((0, *at), (*at, len(whole)))] for at in chosen]
        wrong = [at for at, got in zip(chosen, deliver(w, inputs)) if got != want]
        if wrong:
            raise Fail("head %d differs when cut at %s" % (number, wrong[:10]))


@row(34, "every valid request one byte at a time: the same answers")
def single_bytes(w):
    close = "Connection: close"
    valid = [head + frame(codec.TEXT, "x") + frame(codec.CLOSE) for head in good_heads()[:8]]
    valid += [request("GET /n?i=7 HTTP/1.1", close), request("HEAD /big HTTP/1.1", close),
              request("POST /post HTTP/1.1", "Content-Length: 3", close, body=b"abc"),
              request("POST /post HTTP/1.1", "Transfer-Encoding: chunked", close,
                      body=b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n"),
              request("GET /none HTTP/1.1", close), request("PUT /n HTTP/1.1", close),
              request("GET /redirect?to=%2fn HTTP/1.1", close),
              request("GET /n?i=1 HTTP/1.1") + request("POST /both HTTP/1.1", "Content-Length: 2",
                                                      body=b"hi") +
              request("GET /n?i=2 HTTP/1.1", close),
              request("GET http://x/n?i=3 HTTP/1.1", close),
              b"GET /n?i=4 HTTP/1.0\r\n\r\n"]
    want = deliver(w, [[raw] for raw in valid])
    got = deliver(w, [[raw[i:i + 1] for i in range(len(raw))] for raw in valid])
    for raw, a, b in zip(valid, want, got):
        if a != b or not a:
            raise Fail("%r: %r, byte by byte %r" % (raw[:60], a[:200], b[:200]))


# -- many at once --------------------------------------------------------------------------

@row(25, "1,000 pipelined requests in one segment: answered in order")
def pipeline(w):
    want = [b"%d" % i for i in range(1000)]
    raw = b"".join(request("GET /n?i=%d HTTP/1.1" % i) for i in range(999)) + \
        request("GET /n?i=999 HTTP/1.1", "Connection: close")
    got, _ = w.ask(raw)
    if [a.body for a in got] != want:
        raise Fail("%d answers, in order: %s" %
                   (len(got), [a.body for a in got] == want[:len(got)]))


@row(25, "200 pipelined requests that are answered later: in order, at most 16 at work")
def pipeline_later(w):
    count, most, released = 200, 0, 0
    raw = b"".join(request("GET /later?i=%d HTTP/1.1" % i) for i in range(count - 1)) + \
        request("GET /later?i=%d HTTP/1.1" % (count - 1), "Connection: close")
    with w.wire() as wire, w.wire() as other:
        wire.send(raw)
        end = time.monotonic() + 20
        while released < count and time.monotonic() < end:
            other.send(request("GET /release HTTP/1.1"))
            waiting = int(answers(other.some() or b"")[0].body)
            most, released = max(most, waiting), released + waiting
        got = answers(wire.rest())
    w.note("%d at work" % most)
    if [a.body for a in got] != [b"%d" % i for i in range(count)] or most > 16:
        raise Fail("%d answers, %d at work at once" % (len(got), most))


@row(25, "1,000 pipelined requests, answers of 64 KiB that nobody reads: at most 1 MiB waits")
def pipeline_unread(w):
    raw = request("GET /big HTTP/1.1") * 999 + request("GET /big HTTP/1.1", "Connection: close")
    with w.cost() as cost, w.wire() as wire:
        wire.sock.settimeout(1)
        try:
            wire.sock.sendall(raw)
        except OSError:
            pass  # the server may stop reading
        time.sleep(0.3)  # nothing to await: the server is to do nothing more
        held = w.shared.rss() - cost.base
        data = wire.rest(20)
    w.note("%d KiB held" % (held >> 10))
    if held > 2 << 20:  # 1 MiB, and what a connection and the allocator need
        raise Fail("%d KiB wait for a reader who does not read" % (held >> 10))
    got = answers(data)
    if [len(a.body) for a in got] != [65536] * 1000:
        raise Fail("%d whole answers once they are read, %s" %
                   (sum(len(a.body) == 65536 for a in got), wire.ended))


@row(25, "a long answer with Connection: close arrives whole, however slowly it is read")
def slow_download(w):
    raw = request("GET /big HTTP/1.1") * 99 + request("GET /big HTTP/1.1", "Connection: close")
    with w.wire(rcvbuf=4096) as wire:
        wire.send(raw)
        time.sleep(2.5)  # longer than the server lingers
        got = answers(wire.rest(20))
    if [len(a.body) for a in got] != [65536] * 100:
        raise Fail("%d whole answers, then %s" %
                   (sum(len(a.body) == 65536 for a in got), wire.ended))


@row(26, "Expect: 100 then the answer; unknown 417; refused without reading the body")
def expectations(w):
    head = request("POST /post HTTP/1.1", "Content-Length: 2", "Expect: 100-continue",
                   "Connection: close")
    with w.wire() as wire:
        wire.send(head)
        if (wire.some() or b"").splitlines()[:1] != [b"HTTP/1.1 100 Continue"]:
            raise Fail("no 100")
        wire.send(b"ok")
        got = answers(wire.rest())
        if [(a.status, a.body) for a in got] != [(200, b"ok")]:
            raise Fail("answered %s" % [(a.status, a.body) for a in got])
    expect = ("Content-Length: 2", "Expect: 100-continue")
    refuse(w, [("foo", request("POST /post HTTP/1.1", "Content-Length: 2", "Expect: foo"), 417),
               ("foo, 100-continue", request("POST /post HTTP/1.1", "Content-Length: 2",
                                             "Expect: foo, 100-continue"), 417),
               ("404", request("POST /none HTTP/1.1", *expect), 404),
               ("413", request("POST /post HTTP/1.1", "Content-Length: 1048577",
                               "Expect: 100-continue"), 413),
               ("426", request("POST /echo HTTP/1.1", *expect), 405),
               ("404, chunked", request("POST /none HTTP/1.1", "Transfer-Encoding: chunked",
                                        "Expect: 100-continue"), 404)], behind=b"")
    got, ended = w.ask(request("PUT /post HTTP/1.1", *expect))
    if [a.status for a in got] != [405] or not ended:
        raise Fail("a method that is not served: %s, %s" % ([a.status for a in got], ended))


@row(28, "paths with more than one reading, too many or repeated parameters: 400 or 404")
def paths(w):
    def get(target):
        return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    refuse(w, [(t.decode("latin-1"), get(t), 400) for t in (
        b"/a%00b", b"/%2e%2e/n", b"/%2e%2e/", b"/a/../n", b"/./n", b"/..\\\\n", b"/a%5cb", b"//n",
        b"/a//b", b"/%2f%2fn", b"/%c0%af", b"/%e0%80%af", b"/%ff", b"/%", b"/%4", b"/%zz", b"/%0a",
        b"/a/%2e%2e%2fn", b"/n?i=%", b"/n?i=%zz", b"/n?" + b"a=1&" * 65)])
    refuse(w, [("10,000 parameters", get(b"/n?" + b"a&" * 10000), 414)])
    for target, status in ((b"/sid?sid=a&sid=b", 400), (b"/sid?sid=a&%73id=b", 400),
                           (b"/sid?sid=a", 200), (b"/n%3fi=1", 404), (b"/nothing", 404),
                           (b"/n?" + b"a=1&" * 63 + b"i=1", 200)):
        with w.wire() as wire:
            wire.send(get(target))
            got = answers(wire.some() or b"")
            if not got or got[0].status != status:
                raise Fail("%r: %s" % (target[:40], [a.status for a in got]))


@row(29, "line ends in values that could be echoed: none comes out")
def injection(w):
    evil = ["%0d%0aX-Injected:%201", "%0aX-Injected:1", "%0d", "%0d%0a%0d%0aX-Injected"]
    inputs = [request("GET /redirect?to=/a" + e + " HTTP/1.1", "Connection: close") for e in evil]
    for e in evil:
        inputs += [upgrade("/chat", "Sec-WebSocket-Protocol: chat" + e),
                   upgrade("/chat", "Sec-WebSocket-Protocol: chat, x" + e),
                   upgrade("/echoz", "Sec-WebSocket-Extensions: permessage-deflate" + e),
                   upgrade("/echo", "Origin: http://localhost" + e),
                   upgrade("/echo", "Origin: http://evil.example" + e),
                   request("GET /n?i=1 HTTP/1.1", "Origin: http://a" + e, "Connection: close")]
    for raw in inputs:
        # A good Close behind it: an upgrade that is accepted ends too.
        with w.wire() as wire:
            wire.send(raw + frame(codec.CLOSE))
            head = wire.rest().partition(b"\r\n\r\n")[0]
        if b"injected" in head.lower() or b"%0" in head or not head:
            raise Fail("%r is answered %r" % (raw[:120], head))
    got, _ = w.ask(request("GET /redirect?to=/ok HTTP/1.1", "Connection: close"))
    if got[0].status != 302 or got[0].one("location") != "/ok":
        raise Fail("a clean redirect: %d %r" % (got[0].status, got[0].all("location")))
