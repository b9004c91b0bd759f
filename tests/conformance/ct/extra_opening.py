"""x.1 to x.3: opening handshakes a server must accept, must refuse, and how it
answers offers of compression. The public suite has none of these."""
import asyncio
import os
import re

from . import pmd
from .book import SERVER
from .codec import PING, TEXT, encode, pong, text
from .conn import Head, accept_of, new_key
from .judge import SKIPPED, Stop

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = (("Host", "{host}"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
          ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"))


def build(t, edits):
    """A request head. `edits`: field name to a new value, a list of values, or
    None to leave it out; ":method", ":target", ":version" for the first line;
    ":lines" for raw bytes added as they are; ":whole" for all bytes at once."""
    if ":whole" in edits:
        return edits[":whole"]
    host = t.authority
    first = "%s %s %s\r\n" % (edits.get(":method", "GET"),
                              edits.get(":target", t.target).replace("{host}", host),
                              edits.get(":version", "HTTP/1.1"))
    out = [first.encode("latin-1"), edits.get(":before", b"")]
    fields = [(n, edits.get(n, v)) for n, v in FIELDS]
    fields += [(n, v) for n, v in edits.items() if n[0] != ":" and n not in dict(FIELDS)]
    for name, value in fields:
        for v in value if isinstance(value, list) else [value]:
            if v is not None:
                line = "%s: %s\r\n" % (name, v.replace("{host}", host))
                out.append(line.encode("latin-1"))
    out.append(edits.get(":lines", b""))
    return b"".join(out) + edits.get(":end", b"\r\n") + edits.get(":body", b"")


def hello(data=b"hello"):
    return encode(TEXT, data, mask=os.urandom(4))


# x.1: accepted

async def use(t, c, data=b"hello"):
    c.send(TEXT, data)
    await t.clean(c, [text(data)])


def accepts(edits, check=None):
    async def run(t):
        c = await t.dial()
        c.write(build(t, edits))
        c.start(await t.accepted(c, edits.get("Sec-WebSocket-Key") or KEY))
        if check:
            check(c.response)
        await use(t, c)
    return run


def answers_accept(value):
    def check(head):
        if head.one("sec-websocket-accept") != value:
            raise Stop(value, head.one("sec-websocket-accept"))
    return check


def silent_about(*names):
    def check(head):
        for name in names:
            if head.all(name):
                raise Stop("no " + name, head.all(name)[0])
    return check


def without_echoed_bytes(head):
    if b"injected" in head.raw.lower():
        raise Stop("nothing of the offered name in the answer", repr(head.raw))


QUIET = silent_about("sec-websocket-protocol", "sec-websocket-extensions")
ACCEPTED = [
    ("accept value of the RFC's sample key", {}, answers_accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
    ("accept value of sixteen zero bytes", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
     answers_accept("ICX+Yqv66kxgM0FcWaLWlFLwTAI=")),
    ("accept value of sixteen 0xFF bytes", {"Sec-WebSocket-Key": "/////////////////////w=="},
     answers_accept(accept_of("/////////////////////w=="))),
    ("no protocol and no extension unless offered", {}, QUIET),
    ("Upgrade in odd case", {"Upgrade": "WebSocket"}, None),
    ("Connection in odd case", {"Connection": "uPGRADE"}, None),
    ("Connection: keep-alive, Upgrade", {"Connection": "keep-alive, Upgrade"}, None),
    ("Connection: UPGRADE ,keep-alive", {"Connection": "UPGRADE ,keep-alive"}, None),
    ("two Connection lines", {"Connection": ["keep-alive", "Upgrade"]}, None),
    ("Upgrade as a list", {"Upgrade": "h2c, websocket"}, None),
    ("field names in odd case", {"Upgrade": None, "uPGRADE": "websocket",
                                 "Connection": None, "CONNECTION": "upgrade"}, None),
    ("values without leading space", {"Upgrade": None, ":lines": b"Upgrade:websocket\r\n"}, None),
    ("values between tabs and spaces",
     {"Upgrade": None, ":lines": b"Upgrade: \t websocket \t \r\n"}, None),
    ("key between spaces", {"Sec-WebSocket-Key": None,
                            ":lines": b"Sec-WebSocket-Key:   " + KEY.encode() + b"  \r\n"}, None),
    ("a query in the target", {":target": "/?a=1&b=%20&c"}, None),
    ("absolute target with the same authority", {":target": "http://{host}/"}, None),
    ("Content-Length: 0", {"Content-Length": "0"}, None),
    ("fifty other header lines", {":lines": b"".join(b"X-%d: v\r\n" % i for i in range(50))}, None),
    ("a head of seven KiB", {":lines": b"X-Long: " + b"a" * 6900 + b"\r\n"}, None),
    ("bytes over 0x7F in an unrelated value", {":lines": b"X-Name: \xc3\xa4\xff\r\n"}, None),
    ("an unknown extension is declined", {"Sec-WebSocket-Extensions": 'x-foo; a="b", x-bar; c=d'},
     QUIET),
    ("x-webkit-deflate-frame is declined",
     {"Sec-WebSocket-Extensions": "x-webkit-deflate-frame"}, QUIET),
    ("extensions named like properties",
     {"Sec-WebSocket-Extensions": "constructor, __proto__; toString"}, QUIET),
    ("an unknown subprotocol is not confirmed", {"Sec-WebSocket-Protocol": "soap, x.y-z"},
     silent_about("sec-websocket-protocol")),
    ("two Sec-WebSocket-Protocol lines", {"Sec-WebSocket-Protocol": ["soap", "wamp"]},
     silent_about("sec-websocket-protocol")),
    ("subprotocols named like properties",
     {"Sec-WebSocket-Protocol": "constructor, __proto__"}, silent_about("sec-websocket-protocol")),
    ("escaped line ends in a subprotocol are not echoed",
     {"Sec-WebSocket-Protocol": "a%0d%0aX-Injected"}, without_echoed_bytes),
]


async def frames_behind_the_head(t):
    """Frames in the same segment as the head are frames, not body."""
    c = await t.dial()
    c.write(build(t, {}) + hello(b"first") + hello(b"second") + encode(PING, b"p", mask=b"abcd"))
    c.start(await t.accepted(c, KEY))
    await t.clean(c, [text("first"), text("second"), pong(b"p")])


async def half_a_frame_behind_the_head(t):
    frame = hello(b"in two segments")

    async def one(at):
        c = await t.dial()
        c.write(build(t, {}) + frame[:at])
        c.start(await t.accepted(c, KEY))
        c.write(frame[at:])
        await t.clean(c, [text("in two segments")])
    await t.batch(list(range(1, len(frame))), one)


async def cut_at_every_byte(t):
    await t.dial()
    head = build(t, {}) + hello()

    async def one(at):
        c = await t.dial()
        c.write(head[:at])
        await asyncio.sleep(0.03)
        c.write(head[at:])
        c.start(await t.accepted(c, KEY))
        await t.clean(c, [text("hello")])
    await t.batch(list(range(1, len(head))), one, 48)


async def byte_by_byte(t):
    c = await t.dial()
    for b in build(t, {}) + hello():
        c.write(bytes((b,)))
        await asyncio.sleep(0.001)
    c.start(await t.accepted(c, KEY))
    await t.clean(c, [text("hello")])


# x.2: refused

def refusal(raw, statuses, must=None):
    """Checks one refusal: its status, its form, and that it is the only one.
    The status 0 stands for dropping TCP without a word."""
    wanted = "/".join("drop" if s == 0 else str(s) for s in statuses)
    if not raw:
        if 0 not in statuses:
            raise Stop(wanted, "TCP dropped without an answer")
        return
    try:
        head_end = raw.index(b"\r\n\r\n") + 4
        head, body = Head(raw[:head_end]), raw[head_end:]
        if head.status not in statuses:
            raise ValueError(head.first)
        # With 426 the list holds Upgrade too, RFC 9110 7.8.
        if "close" not in [w.strip() for w in head.one("connection").lower().split(",")]:
            raise ValueError("%d with Connection: %s" % (head.status, head.one("connection")))
        if int(head.one("content-length")) != len(body) or not 0 < len(body) <= 1024:
            raise ValueError("%d with Content-Length %s and %d bytes behind the head" % (
                head.status, head.one("content-length"), len(body)))
        for name, value in (must or {}).items():
            if value.lower() not in [v.strip().lower() for v in head.one(name).split(",")]:
                raise ValueError("%d with %s: %s" % (head.status, name, head.one(name)))
    except ValueError as why:
        wanted += "".join(" with %s: %s" % m for m in (must or {}).items())
        raise Stop(wanted + ", Connection: close, short body", str(why)) from None


async def refuse(t, raw, statuses, must=None):
    c = await t.dial()
    if callable(raw):
        raw = raw(t)
    c.write(raw)
    dropped = await c.until_drop(2 * t.scale)
    refusal(bytes(c.raw), statuses, must)
    if not dropped:
        raise Stop("TCP closed after the refusal", "still open after 2 s")


def refuses(statuses, edits, must=None):
    async def run(t):
        await refuse(t, lambda t: build(t, edits), statuses, must)
    return run


GET_ONLY = {"allow": "GET"}
UPGRADE = {"upgrade": "websocket"}
V13 = {"sec-websocket-version": "13"}


def lines(raw):
    return {":lines": raw}


def key(value):
    return {"Sec-WebSocket-Key": value}


def extensions(value):
    return {"Sec-WebSocket-Extensions": value}


def protocols(value):
    return {"Sec-WebSocket-Protocol": value}


REFUSED = [
    # first line
    ("POST", (405,), {":method": "POST", "Content-Length": "0"}, GET_ONLY),
    ("PUT", (405,), {":method": "PUT", "Content-Length": "0"}, GET_ONLY),
    ("DELETE", (405,), {":method": "DELETE"}, GET_ONLY),
    ("unknown method FOO", (501,), {":method": "FOO"}, None),
    ("method in lower case", (501,), {":method": "get"}, None),
    ("a method of 300 letters", (400, 501), {":method": "A" * 300}, None),
    ("a method that is no token", (400,), {":method": "G(T"}, None),
    ("HTTP/1.0", (400,), {":version": "HTTP/1.0"}, None),
    ("HTTP/1.2", (505,), {":version": "HTTP/1.2"}, None),
    ("HTTP/2.0", (505,), {":version": "HTTP/2.0"}, None),
    ("HTTP/0.9", (400, 505, 0), {":whole": b"GET /\r\n\r\n"}, None),
    ("malformed version", (400, 505), {":version": "HTTP/1.1x"}, None),
    ("version in lower case", (400, 505), {":version": "http/1.1"}, None),
    ("two spaces in the first line", (400,), {":method": "GET "}, None),
    ("a space inside the target", (400,), {":target": "/a b"}, None),
    ("a target that is no path", (400,), {":target": "nowhere"}, None),
    ("an absolute target with another authority", (400,), {":target": "http://other.example/"},
     None),
    ("HTTP/2 preface", (400, 405, 501, 505, 0), {":whole": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
     None),
    ("SSH banner", (400, 0), {":whole": b"SSH-2.0-OpenSSH_9.2\r\n\r\n"}, None),
    ("SOCKS5 greeting", (400, 0), {":whole": b"\x05\x01\x00\r\n\r\n"}, None),
    ("PROXY protocol line", (400, 0),
     {":whole": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n\r\n"}, None),
    # Host
    ("no Host", (400,), {"Host": None}, None),
    ("two Hosts", (400,), {"Host": ["{host}", "{host}"]}, None),
    ("empty Host", (400,), {"Host": ""}, None),
    ("Host with userinfo", (400,), {"Host": "u:p@{host}"}, None),
    ("Host with a path", (400,), {"Host": "{host}/x"}, None),
    ("Host with a space", (400,), {"Host": "a b"}, None),
    ("Host with a comma", (400,), {"Host": "{host},{host}"}, None),
    # Upgrade and Connection
    ("no Upgrade", (426,), {"Upgrade": None}, UPGRADE),
    ("Upgrade: h2c", (426,), {"Upgrade": "h2c"}, UPGRADE),
    ("Upgrade: websocketx", (426,), {"Upgrade": "websocketx"}, UPGRADE),
    ("empty Upgrade", (426,), {"Upgrade": ""}, UPGRADE),
    ("no Connection", (426,), {"Connection": None}, UPGRADE),
    ("Connection: Upgradex", (426,), {"Connection": "Upgradex"}, UPGRADE),
    ("Connection: keep-alive", (426,), {"Connection": "keep-alive"}, UPGRADE),
    ("neither Upgrade nor Connection", (426,), {"Upgrade": None, "Connection": None}, UPGRADE),
    # key
    ("no key", (400,), key(None), None),
    ("two keys", (400,), key([KEY, KEY]), None),
    ("two keys in one line", (400,), key(KEY + ", " + KEY), None),
    ("empty key", (400,), key(""), None),
    ("key of 23 characters", (400,), key(KEY[1:]), None),
    ("key of 15 bytes", (400,), key("AAAAAAAAAAAAAAAAAAAA"), None),
    ("key of 17 bytes", (400,), key("AAAAAAAAAAAAAAAAAAAAAAA="), None),
    ("key with padding bits set", (400,), key("dGhlIHNhbXBsZSBub25jZR=="), None),
    ("key in the URL alphabet", (400,), key("-_-_-_-_-_-_-_-_-_-_-A=="), None),
    ("key without padding", (400,), key("dGhlIHNhbXBsZSBub25jZQ"), None),
    ("key with a space inside", (400,), key("dGhlIHNhbXBs ZSBub25jZQ=="), None),
    # version
    ("no version", (426,), {"Sec-WebSocket-Version": None}, V13),
] + [("version " + (v or "empty"), (426,), {"Sec-WebSocket-Version": v}, V13)
     for v in ("8", "0", "12", "14", "13, 8", "013", "", "+13", "13.0", "255", "x")] + [
    ("version twice", (426,), {"Sec-WebSocket-Version": ["13", "13"]}, V13),
    ("versions 8 and 13", (426,), {"Sec-WebSocket-Version": ["8", "13"]}, V13),
    # subprotocols and extensions
    ("empty subprotocol", (400,), protocols(""), None),
    ("subprotocol with a space", (400,), protocols("a b"), None),
    ("subprotocol that is no token", (400,), protocols("ch@t"), None),
    ("subprotocol in quotes", (400,), protocols('"chat"'), None),
    ("the same subprotocol twice", (400,), protocols("chat, soap, chat"), None),
    ("the same subprotocol in two lines", (400,), protocols(["chat", "chat"]), None),
] + [("extension syntax: " + (v or "empty"), (400,), extensions(v), None)
     for v in ("permessage-deflate;;", "", ";", "foo; bar=", 'foo; bar="x', 'foo; bar="a b"',
               'foo; bar=""', "foo bar", "=x", "foo; =x", '"foo"', "foo; bar=a b", "foo;",
               'foo; bar="x"y', "foo/bar", 'foo; bar="a\\"b"')] + [
    # header syntax
    ("bare LF after the first line", (400,), {":before": b"X: y\n"}, None),
    ("bare LF after a header line", (400,), lines(b"X-A: b\n"), None),
    ("bare LF everywhere", (400,),
     {":whole": b"GET / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: Upgrade\n"
                b"Sec-WebSocket-Key: " + KEY.encode() + b"\nSec-WebSocket-Version: 13\n\n"}, None),
    ("bare CR in a value", (400,), lines(b"X-A: b\rc\r\n"), None),
    ("CR only as line end", (400,), lines(b"X-A: b\rX-B: c\r\n"), None),
    ("folded line", (400,), lines(b"X-A: b\r\n c\r\n"), None),
    ("folded line with a tab", (400,), lines(b"X-A: b\r\n\tc\r\n"), None),
    ("space before the first header", (400,), {":before": b" X-A: b\r\n"}, None),
    ("space before the colon", (400,), lines(b"X-A : b\r\n"), None),
    ("tab before the colon", (400,), lines(b"X-A\t: b\r\n"), None),
    ("empty field name", (400,), lines(b": b\r\n"), None),
    ("field name that is no token", (400,), lines(b"X(A): b\r\n"), None),
    ("field name with a byte over 0x7F", (400,), lines(b"X\xc3\xa4: b\r\n"), None),
    ("line without a colon", (400,), lines(b"nonsense\r\n"), None),
    # bodies
    ("Content-Length with a body of frames", (400,),
     {"Content-Length": "11", ":body": encode(TEXT, b"hello", mask=b"abcd")}, None),
    ("Transfer-Encoding: chunked", (400,),
     {"Transfer-Encoding": "chunked", ":body": b"0\r\n\r\n"}, None),
    ("unknown transfer coding", (400, 501), {"Transfer-Encoding": "xchunked"}, None),
    ("Content-Length and Transfer-Encoding", (400,),
     {"Content-Length": "5", "Transfer-Encoding": "chunked"}, None),
    ("two equal Content-Lengths", (400,), {"Content-Length": ["0", "0"]}, None),
    ("two Content-Lengths", (400,), {"Content-Length": ["0", "5"]}, None),
] + [("Content-Length " + (v or "empty"), (400,), {"Content-Length": v}, None)
     for v in ("0, 0", "+0", "-1", "0x0", "5 5", "1_0", "", "9223372036854775808",
               "18446744073709551621", "5")] + [
    ("Expect: foo", (417,), {"Expect": "foo"}, None),
    # limits: refused when crossed, the head never ends
    ("first line of 5 KiB", (414,), {":whole": b"GET /" + b"a" * 5120}, None),
    ("head over 8 KiB", (431,),
     {":lines": b"X: " + b"a" * 9000, ":end": b""}, None),
    ("a head of many small lines", (431,),
     {":lines": b"".join(b"X-%d: v\r\n" % i for i in range(70)), ":end": b""}, None),
]


async def control_bytes(t):
    """Every control byte, in a value, in a name and in the target."""
    controls = [b for b in list(range(0x20)) + [0x7f] if b not in (0x0a, 0x0d)]
    rows = [("0x%02x in a value" % b, {":lines": b"X-A: b%cc\r\n" % b})
            for b in controls if b != 9]
    rows += [("0x%02x in a name" % b, {":lines": b"X%cA: b\r\n" % b}) for b in controls]
    rows += [("0x%02x in the target" % b, {":target": "/a%cb" % b}) for b in controls]

    async def one(row):
        await refuse(t, lambda t: build(t, row[1]), (400,))
    await t.batch(rows, one)


async def nothing_behind_a_refusal(t):
    """A valid upgrade right behind a refused one must not be looked at."""
    refused = [("wrong version", {"Sec-WebSocket-Version": "8"}), ("no key", key(None)),
               ("no Upgrade", {"Upgrade": None}), ("POST", {":method": "POST"}),
               ("bad syntax", lines(b"X-A : b\r\n")), ("body", {"Content-Length": "11"})]

    async def one(row):
        raw = lambda t: build(t, row[1]) + build(t, {}) + hello()
        await refuse(t, raw, (400, 405, 426))
    await t.batch(refused, one)


async def refused_in_pieces(t):
    """The same refusal when the head arrives cut in two, at every byte."""
    await t.dial()
    head = build(t, {"Sec-WebSocket-Version": "8"})

    async def one(at):
        c = await t.dial()
        c.write(head[:at])
        await asyncio.sleep(0.03)
        c.write(head[at:])
        if not await c.until_drop(2 * t.scale):
            raise Stop("TCP closed after the refusal", "still open after 2 s")
        refusal(bytes(c.raw), (426,), V13)
    await t.batch(list(range(1, len(head))), one, 48)


async def slow_head(t):
    """A head that never ends is given up after ten seconds, not sooner."""
    c = await t.dial()
    head, loop = build(t, {})[:-4], asyncio.get_running_loop()
    began = loop.time()
    for b in head:
        c.write(bytes((b,)))
        if await c.until_drop(1):
            break
    if not await c.until_drop(15):
        raise Stop("408 after 10 s", "still open")
    refusal(bytes(c.raw), (408,))
    took = loop.time() - began
    if not 8 <= took <= 13:
        raise Stop("408 after 10 s", "408 after %.1f s" % took)


async def tls_hello_on_plain_port(t):
    if t.bench.options.tls:
        t.result.behaviour, t.result.got = SKIPPED, "the port speaks TLS"
        return
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(32) + b"\x00" * 40 + b"\r\n\r\n"
    await refuse(t, hello, (400, 0))


# x.3: offers of permessage-deflate

D = "permessage-deflate"
DECLINED = None
# (offer, answers allowed: None for no extension, else a check on the parameters)
OFFERS = [
    (D, [lambda p: p.client_bits is None]),
    (D + "; client_max_window_bits", [lambda p: True]),
    (D + "; client_max_window_bits=10",
     [lambda p: p.client_bits is None or p.client_bits <= 10]),
    (D + "; client_max_window_bits=8",
     [lambda p: p.client_bits in (None, 8), DECLINED]),
    (D + "; server_max_window_bits=10", [lambda p: p.server_bits is not None]),
    (D + "; server_max_window_bits=9", [lambda p: p.server_bits == 9]),
    (D + "; server_max_window_bits=15", [lambda p: p.server_bits is not None]),
    (D + '; server_max_window_bits="10"', [lambda p: p.server_bits is not None]),
    (D + "; server_max_window_bits=8", [DECLINED]),
    (D + "; server_no_context_takeover", [lambda p: p.server_nct]),
    (D + "; server_no_context_takeover; client_no_context_takeover", [lambda p: p.server_nct]),
    (D + " ; client_max_window_bits\t;server_no_context_takeover", [lambda p: p.server_nct]),
    ("Permessage-Deflate", [lambda p: True, DECLINED]),
] + [(D + "; " + bad, [DECLINED]) for bad in (
    "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
    "server_max_window_bits=08", "server_max_window_bits=15.0", "server_max_window_bits=-1",
    "server_max_window_bits=x", "server_max_window_bits=4294967305",
    "client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=010",
    "server_no_context_takeover=1", "client_no_context_takeover=true", "foo", "foo=bar",
    "server_no_context_takeover; server_no_context_takeover",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits; client_max_window_bits=9")] + [
    (D + "; foo, " + D, [lambda p: True]),
    (D + "; server_max_window_bits=8, " + D + "; server_no_context_takeover",
     [lambda p: p.server_nct]),
    ("x-unknown; a=b, " + D + "; server_max_window_bits=11",
     [lambda p: p.server_bits is not None]),
    ("x-webkit-deflate-frame, " + D, [lambda p: True]),
]


def usable_offers(offer):
    """The offers a server may take: what is unknown or invalid is left out."""
    good = []
    for name, params in pmd.parse(offer):
        try:
            wanted = [(n, v) for n, v in params]
            if name == D and len(dict(wanted)) == len(wanted) and \
                    pmd.answer_fits([(n, v) for n, v in wanted
                                     if not (n == "client_max_window_bits" and v is None)],
                                    wanted):
                good.append((name, wanted))
        except ValueError:
            pass
    return good


def offers(offer, allowed, repeated=False):
    async def run(t):
        c = await t.dial()
        values = offer.split(", ") if repeated else [offer]
        key = new_key()
        c.write(t.request(key, ["Sec-WebSocket-Extensions: " + v for v in values]))
        params = await offered(t, c, key, offer)
        if params is None and DECLINED not in allowed:
            raise Stop("permessage-deflate accepted", "no extension in the answer")
        if params is not None and not any(a and a(params) for a in allowed):
            raise Stop("another answer to this offer" if any(allowed) else "offer declined",
                       c.response.one("sec-websocket-extensions"))
        c.start(params)
        packed = params is not None
        words = b"the same words again and again, the same words again and again"
        for data in (words, words, os.urandom(3000) * 2):
            opcode = 1 if data is words else 2
            c.write(c.message(opcode, data, packed=packed))
            await t.receive(c, [text(data)._replace(kind="text" if opcode == 1 else "binary")])
        await t.clean(c)
    return run


async def offered(t, c, key, offer):
    """The parameters agreed on, or None; an answer that fits no valid offer
    stops the case."""
    await t.accepted(c, key, offer)
    values = c.response.all("sec-websocket-extensions")
    if not values:
        return None
    try:
        params = pmd.read_answer(values[0], usable_offers(offer))
    except ValueError as why:
        raise Stop("an answer that fits a valid offer", str(why)) from None
    promised = re.search(r"client_max_window_bits=(\d+)", offer)
    if promised and params.client_bits is None:  # RFC 7692 7.1.2.2: we promised it
        params = params._replace(client_bits=int(promised.group(1)))
    return params


async def long_lists(t):
    """8 KiB of separators, quotes and repeated names: refused or declined, fast."""
    rows = [("%s in %s" % (what, name), name, value * (6000 // len(value)))
            for name in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol")
            for what, value in (("spaces", " "), ("commas", ","), ("quotes", '"'),
                                ("semicolons", ";"), ("names", "a,"), ("parameters", "a;a=a;"),
                                ("backslashes", '\\"'))]

    async def one(row):
        c = await t.dial()
        c.write(build(t, {row[1]: row[2] + "x"}))
        head = await c.head(2 * t.scale)
        if head is None or head.status not in (101, 400):
            raise Stop("101 or 400", head.first if head else "nothing within 2 s")
        if head.status == 101:
            if head.all(row[1].lower()):
                raise Stop("no " + row[1], head.all(row[1].lower())[0][:60])
            c.start()
            await use(t, c)
    await t.batch(rows, one)


async def deflate_off(t):
    c = await t.dial()
    key = new_key()
    c.write(t.request(key, ["Sec-WebSocket-Extensions: " + D]))
    c.start(await t.accepted(c, key, D))
    if c.params is not None:
        raise Stop("no extension: compression is off", "permessage-deflate accepted")
    await use(t, c)


SPECIAL = [
    ("x.1.901", "frames in the same segment as the head", frames_behind_the_head, {}),
    ("x.1.902", "a frame cut at every byte, its start behind the head",
     half_a_frame_behind_the_head, {}),
    ("x.1.903", "head and first frame cut at every byte", cut_at_every_byte, {}),
    ("x.1.904", "head and first frame byte by byte", byte_by_byte, {}),
    ("x.2.901", "every control byte in value, name and target", control_bytes, {}),
    ("x.2.902", "nothing behind a refused request is read", nothing_behind_a_refusal, {}),
    ("x.2.903", "a refused head cut at every byte", refused_in_pieces, {}),
    ("x.2.904", "TLS hello on a plain port", tls_hello_on_plain_port, {}),
    ("x.2.905", "a head that never ends", slow_head, {"full": True}),
    ("x.3.901", "two offers in two header lines",
     offers(D + "; foo, " + D, [lambda p: True], repeated=True), {}),
    ("x.3.902", "long and odd lists", long_lists, {}),
    ("x.3.903", "offer while compression is off", deflate_off, {"profile": "plain"}),
]


def fill(book):
    add = lambda id, title, run, **how: book.add(id, title, run, roles=SERVER, **how)
    for i, (title, edits, check) in enumerate(ACCEPTED, 1):
        add("x.1.%d" % i, title, accepts(edits, check))
    for i, (title, statuses, edits, must) in enumerate(REFUSED, 1):
        add("x.2.%d" % i, "refused: " + title, refuses(statuses, edits, must))
    for i, (offer, allowed) in enumerate(OFFERS, 1):
        add("x.3.%d" % i, "offer: " + offer, offers(offer, allowed))
    for id, title, run, how in SPECIAL:
        add(id, title, run, **how)
