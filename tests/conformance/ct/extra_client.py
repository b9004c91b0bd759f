"""x.10: clients against the opening handshake, honest and hostile servers."""
import asyncio
import base64
import re

from . import pmd
from .book import CLIENT
from .codec import BINARY, CLOSE, TEXT, close_body, text
from .conn import accept_of
from .judge import Stop

D = "permessage-deflate"


async def use(t, c):
    c.send(TEXT, b"hello")
    await t.clean(c, [text("hello")])


# what a client must send

async def request_form(t):
    c = await t.launch()
    q = c.request
    try:
        if not re.fullmatch(r"GET /case/x\.10\.1\?n=\d+ HTTP/1\.1", q.first):
            raise ValueError(q.first)
        port = c.transport.get_extra_info("sockname")[1]
        if q.one("host") not in ("127.0.0.1:%d" % port,):
            raise ValueError("Host: " + q.one("host"))
        if q.one("upgrade").lower() != "websocket" or \
                "upgrade" not in re.split(r"[ \t,]+", q.one("connection").lower()):
            raise ValueError("Upgrade and Connection")
        if q.one("sec-websocket-version") != "13":
            raise ValueError("version " + q.one("sec-websocket-version"))
        key = q.one("sec-websocket-key")
        if len(key) != 24 or len(base64.b64decode(key, validate=True)) != 16:
            raise ValueError("key " + key)
        for name in ("origin", "content-length", "transfer-encoding", "sec-websocket-accept"):
            if q.all(name):
                raise ValueError("a client that is no browser sends no " + name)
    except ValueError as why:
        raise Stop("a request as RFC 6455 4.1 wants it", str(why)) from None
    c.write(t.answer(c.key))
    c.start()
    await use(t, c)


async def fresh_keys(t):
    """Every connection has its own key, every frame its own mask."""
    keys, masks = set(), []
    for _ in range(4):
        c = await t.launch()
        keys.add(c.key)
        c.write(t.answer(c.key))
        c.start()
        for n in range(10):
            c.send(TEXT, b"%d" % n)
            await t.receive(c, [text(b"%d" % n)])
        await t.clean(c)
        masks += c.parser.keys
    if len(keys) != 4:
        raise Stop("four different keys", "%d" % len(keys))
    if len(set(masks)) < len(masks) - 1 or b"\0\0\0\0" in masks:
        raise Stop("%d different masks" % len(masks), "%d" % len(set(masks)))


async def waits_for_the_answer(t):
    """Nothing may be sent before the whole 101 has been read."""
    c = await t.launch()
    answer = t.answer(c.key)
    for part in (answer[:20], answer[20:-1]):
        c.write(part)
        await asyncio.sleep(0.1)
        if c.raw or c.dropped:
            raise Stop("silence until the head is complete", repr(bytes(c.raw[:40])))
    c.write(answer[-1:])
    c.start()
    await use(t, c)


async def frames_behind_the_head(t):
    c = await t.launch()
    c.write(t.answer(c.key) + c.frame(TEXT, b"first", mask=None) + b"\x81\x06sec")
    c.mask = False
    c.start()
    await asyncio.sleep(0.01)
    c.write(b"ond")
    await t.clean(c, [text("first"), text("second")])


async def cut_at_every_byte(t):
    async def one(at):
        c = await t.launch()
        answer = t.answer(c.key) + c.frame(TEXT, b"early")
        c.write(answer[:at])
        await asyncio.sleep(0.02)
        c.write(answer[at:])
        c.start()
        await t.clean(c, [text("early")])
    step = 1 if t.full else 7
    await t.batch(list(range(1, 136, step)), one, 4)


async def byte_by_byte(t):
    c = await t.launch()
    for b in t.answer(c.key) + c.frame(TEXT, b"early"):
        c.write(bytes((b,)))
        await asyncio.sleep(0.001)
    c.start()
    await t.clean(c, [text("early")])


def answer_of(key, edits):
    """A 101; `edits` as in extra_opening: a value, a list, or None per field."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Accept": accept_of(key)}
    fields.update((n, v) for n, v in edits.items() if n[0] != ":")
    out = [edits.get(":status", "HTTP/1.1 101 Switching Protocols")]
    for name, value in fields.items():
        out += ["%s: %s" % (name, v.replace("{accept}", accept_of(key)))
                for v in (value if isinstance(value, list) else [value]) if v is not None]
    end = edits.get(":end", "\r\n")
    return (end.join(out) + end + edits.get(":lines", "") + end).encode("latin-1") + \
        edits.get(":body", b"")


def takes(edits):
    async def run(t):
        c = await t.launch()
        c.write(answer_of(c.key, edits))
        c.start()
        await use(t, c)
    return run


async def refuses_answer(t, c, write):
    """The client ends TCP, sends no frame, and exits with a failure."""
    write(c)
    if not await c.until_drop(3 * t.scale):
        raise Stop("the client drops TCP", "still connected after 3 s" +
                   (", having sent %d bytes" % len(c.raw) if c.raw else ""))
    if c.raw:
        raise Stop("nothing sent after a bad answer", repr(bytes(c.raw[:40])))
    await t.gone(c, 1)


def refuses(edits):
    async def run(t):
        c = await t.launch()
        await refuses_answer(t, c, lambda c: c.write(
            answer_of(c.key, edits) + c.frame(TEXT, b"must not be read")))
    return run


TAKEN = [
    ("field values in odd case", {"Upgrade": "WebSocket", "Connection": "uPgrade"}),
    ("field names in odd case", {"Upgrade": None, "uPGRADE": "websocket",
                                 "Sec-WebSocket-Accept": None, "sec-websocket-ACCEPT": "{accept}"}),
    ("Connection as a list", {"Connection": "keep-alive, Upgrade"}),
    ("another reason phrase", {":status": "HTTP/1.1 101 Fine With Me"}),
    ("no reason phrase", {":status": "HTTP/1.1 101 "}),
    ("other fields", {"Server": "x", "Date": "Thu, 01 Jan 2026 00:00:00 GMT", "X-A": ["b", "c"]}),
]


def extension(value):
    return {"Sec-WebSocket-Extensions": value}


SPOILED = [
    ("wrong Accept", {"Sec-WebSocket-Accept": accept_of("AAAAAAAAAAAAAAAAAAAAAA==")}),
    ("Accept in another case", {"Sec-WebSocket-Accept": "S3PPLMBITXAQ9KYGZZHZRBK+XOO="}),
    ("empty Accept", {"Sec-WebSocket-Accept": ""}),
    ("no Accept", {"Sec-WebSocket-Accept": None}),
    ("two Accepts", {"Sec-WebSocket-Accept": ["{accept}", "{accept}"]}),
    ("Accept with a second value", {"Sec-WebSocket-Accept": "{accept}, {accept}"}),
    ("no Upgrade", {"Upgrade": None}), ("Upgrade: h2c", {"Upgrade": "h2c"}),
    ("no Connection", {"Connection": None}), ("Connection: close", {"Connection": "close"}),
    ("Connection: Upgradex", {"Connection": "Upgradex"}),
    ("unknown extension", extension("x-foo")),
    ("our extension and an unknown one", extension(D + ", x-foo")),
    ("two answers for one extension", extension([D, D])),
    ("subprotocol never offered", {"Sec-WebSocket-Protocol": "soap"}),
    ("empty subprotocol", {"Sec-WebSocket-Protocol": ""}),
    ("two subprotocols", {"Sec-WebSocket-Protocol": ["soap", "soap"]}),
] + [("extension answer " + v, extension(D + "; " + v)) for v in (
    "server_max_window_bits=16", "server_max_window_bits=7", "server_max_window_bits=08",
    "server_max_window_bits", "server_max_window_bits=x", "client_max_window_bits=16",
    "client_max_window_bits=7", "client_max_window_bits", "client_max_window_bits=",
    "server_no_context_takeover=1", "foo", "foo=1", "server_max_window_bits=4294967305",
    "server_no_context_takeover; server_no_context_takeover",
    "server_max_window_bits=10; server_max_window_bits=10")] + [
    ("extension syntax " + (v or "empty"), extension(v)) for v in
    ("", D + ";;", D + ";", '"' + D + '"', D + '; server_max_window_bits="10')] + [
    ("HTTP/1.0", {":status": "HTTP/1.0 101 Switching Protocols"}),
    ("HTTP/2", {":status": "HTTP/2 101 Switching Protocols"}),
    ("status 200", {":status": "HTTP/1.1 200 OK"}),
    ("status 301", {":status": "HTTP/1.1 301 Moved", "Location": "/elsewhere"}),
    ("status 400", {":status": "HTTP/1.1 400 Bad Request"}),
    ("status 401", {":status": "HTTP/1.1 401 Unauthorized", "WWW-Authenticate": "Basic"}),
    ("status 404", {":status": "HTTP/1.1 404 Not Found"}),
    ("status 426", {":status": "HTTP/1.1 426 Upgrade Required", "Sec-WebSocket-Version": "8"}),
    ("status 500", {":status": "HTTP/1.1 500 Oops"}),
    ("status 1010", {":status": "HTTP/1.1 1010 Switching Protocols"}),
    ("status 10", {":status": "HTTP/1.1 10 Switching Protocols"}),
    ("no status line", {":status": "Hello there"}),
    ("SSH banner", {":status": "SSH-2.0-OpenSSH_9.2"}),
    ("bare LF", {":end": "\n"}),
    ("folded line", {":lines": "X-A: b\r\n c\r\n"}),
    ("space before a colon", {":lines": "X-A : b\r\n"}),
    ("NUL in a value", {":lines": "X-A: b\0c\r\n"}),
    ("line without a colon", {":lines": "nonsense\r\n"}),
]


async def unoffered_deflate(t):
    c = await t.launch("plain")
    if t.offers_of(c):
        raise Stop("no offer while compression is off", str(t.offers_of(c)))
    await refuses_answer(t, c, lambda c: c.write(answer_of(c.key, extension(D))))


async def unoffered_window(t):
    """An answer may name client_max_window_bits only if the offer did."""
    c = await t.launch()
    offered = [n for name, params in t.offers_of(c) for n, _ in params]
    if "client_max_window_bits" in offered:
        c.write(answer_of(c.key, extension(D + "; client_max_window_bits=15")))
        c.start(pmd.Params(client_bits=15))
        await use(t, c)
    else:
        await refuses_answer(t, c, lambda c: c.write(
            answer_of(c.key, extension(D + "; client_max_window_bits=15"))))


async def endless(t, first, more):
    """The client must stop reading long before its memory is full."""
    c = await t.launch()
    c.write(first)
    for _ in range(64):
        if c.dropped:
            break
        c.write(more)
        await asyncio.sleep(0.01)
    if not await c.until_drop(0.1 * t.scale):
        raise Stop("the client gives up a head without end", "still reading after 1 MiB")
    await t.gone(c, 1)


async def silence_in_head(t):
    """TCP ends inside the head."""
    c = await t.launch()
    c.write(t.answer(c.key)[:60])
    c.finish()
    await t.gone(c, 1)


async def reset_after_head(t):
    """TCP ends without a close: abnormal, so the exit code says so."""
    c = await t.launch()
    c.write(t.answer(c.key))
    c.start()
    c.send(TEXT, b"hello")
    await t.receive(c, [text("hello")])
    c.finish()
    await t.gone(c, 1)


async def masked_by_server(t):
    c = await t.open()
    c.write(c.frame(BINARY, b"masked", mask=b"\x01\x02\x03\x04"))
    await t.fails(c, (1002,), must_close=True)


async def answered_close_code(t):
    """A server that says 1012 (restart) is answered in kind."""
    c = await t.open()
    c.sent_close = True
    c.send(CLOSE, close_body(1012, b"restarting"))
    await t.clean(c, [], send_close=False, codes=(1012,))


def fill(book):
    rows = [
        ("form of the request", request_form), ("fresh keys and masks", fresh_keys),
        ("nothing before the whole answer", waits_for_the_answer),
        ("frames in the same segment as the answer", frames_behind_the_head),
        ("answer cut at every byte", cut_at_every_byte), ("answer byte by byte", byte_by_byte),
        ("compression never offered", unoffered_deflate),
        ("window bits never offered", unoffered_window),
        ("a header line without end", lambda t: endless(
            t, b"HTTP/1.1 101 Switching Protocols\r\nX: ", b"a" * 16384)),
        ("header lines without end", lambda t: endless(
            t, b"HTTP/1.1 101 Switching Protocols\r\n", b"X: y\r\n" * 2700)),
        ("a status line without end", lambda t: endless(t, b"HTTP/1.1 101 ", b"a" * 16384)),
        ("TCP ends inside the answer", silence_in_head),
        ("TCP ends without a close", reset_after_head),
        ("masked frame from the server", masked_by_server),
        ("close 1012", answered_close_code),
    ]
    for i, (title, run) in enumerate(rows, 1):
        profile = {"profile": "plain"} if run is unoffered_deflate else {}
        book.add("x.10.%d" % i, title, run, roles=CLIENT, **profile)
    for i, (title, edits) in enumerate(TAKEN, 101):
        book.add("x.10.%d" % i, "taken: " + title, takes(edits), roles=CLIENT)
    for i, (title, edits) in enumerate(SPOILED, 201):
        book.add("x.10.%d" % i, "refused: " + title, refuses(edits), roles=CLIENT)
