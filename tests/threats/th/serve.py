"""A selection of rows against `linnet serve` as it comes, with two workers."""
import os

from ct import codec
from ct.codec import BINARY, CLOSE, CONT, PING, TEXT

from .deflate import OFFER, packed, squeeze
from .frames import STAGES, broken, flood, leave
from .http import refuse
from .native import V1, Client, publish
from .peer import Fail, Ws, answers, frame, request, upgrade, wait_until
from .suite import every, row


def serving(w, *args):
    return w.server("--workers", "2", *args, verb="serve")


@row(1, "serve: broken requests and handshakes of rows 1 to 22 have their statuses here too")
def heads(w):
    get, body = "GET /healthz HTTP/1.1", frame(TEXT, publish("t001"))
    good = request(get, "A: b")
    with serving(w) as server:
        refuse(w.against(server), [
            ("bare LF", good.replace(b"A: b\r\n", b"A: b\n"), 400),
            ("bare CR", good.replace(b"A: b", b"A: b\rc"), 400),
            ("folded", request(get, "A: b", " c"), 400),
            ("NUL", request(get, "A: b\0c"), 400),
            ("two lengths", request(get, *["Content-Length: 1"] * 2), 400),
            ("length and coding", request(get, "Content-Length: 1", "Transfer-Encoding: chunked"),
             400),
            ("an unknown coding", request(get, "Transfer-Encoding: gzip"), 501),
            ("no Host", request(get, host=None), 400),
            ("another Host", request("GET http://y/healthz HTTP/1.1"), 400),
            ("a long line", b"GET /" + b"a" * 4092, 414),
            ("a long head", request(get, "A: " + "b" * 8192), 431),
            ("a strange method", request("FOO / HTTP/1.1"), 501),
            ("HTTP/1.2", request("GET / HTTP/1.2"), 505),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            ("no key", upgrade("/ws", key=None), 400),
            ("version 12", upgrade("/ws", version="12"), 426),
            ("no upgrade", request("GET /ws HTTP/1.1"), 426),
            ("POST", upgrade("/ws", line="POST /ws HTTP/1.1"), 405),
            ("a body", upgrade("/ws", "Content-Length: %d" % len(body), body=body), 400),
            ("a stranger's page", upgrade("/ws", "Origin: https://evil.example"), 403),
            ("an opaque page", upgrade("/ws", "Origin: null"), 403),
            ("a page's name in disguise", upgrade("/ws", "Origin: http://localhost.evil.example"),
             403),
            ("nothing there", request("GET /none HTTP/1.1"), 404),
        ], behind=b"")


@row(17, "serve: with --log-level info each refusal is a line of JSON, and without it none")
def told(w):
    bad = request("GET /none?token=t0ps3cr3t HTTP/1.1")
    for flags, count in ((("--log-level", "info"), 3), ((), 0)):
        with serving(w, *flags) as server:
            for _ in range(3):
                w.against(server).ask(bad)
            if count:
                wait_until(lambda: len(server.log()) >= count, 5, "no lines in the log")
            told = [(line["level"], line["reason"], line["code"]) for line in server.log()]
            if told != [("info", "HTTP_NOT_FOUND", 404)] * count or "t0ps" in server.words():
                raise Fail("it says %s" % server.words())


@row(25, "serve: 1,000 pipelined requests for a page, answers unread: at most 1 MiB waits")
def pages(w):
    with serving(w) as server:
        inside = w.against(server)
        got, _ = inside.ask(request("GET /demo/chat/ HTTP/1.1", "Connection: close"))
        if [a.status for a in got] != [200]:
            raise Fail("the page: %s" % [a.status for a in got])
        with inside.cost() as cost, inside.wire(rcvbuf=4096) as wire:
            wire.sock.settimeout(1)
            try:
                wire.sock.sendall(request("GET /demo/chat/ HTTP/1.1") * 1000)
            except OSError:
                pass  # the server may stop reading
            for _ in range(50):
                inside.ask(request("GET /healthz HTTP/1.1", "Connection: close"))
        w.note("%d KiB held, the page is %d" % (cost.grown >> 10, len(got[0].body) >> 10))
        if cost.grown > 4 << 20 and not w.asan:  # its quarantine keeps what was freed
            raise Fail("%d KiB wait for a reader who does not read" % (cost.grown >> 10))


@row(28, "serve: no path leaves the pages, and none comes out of a request")
def paths(w):
    def one(target, *statuses):
        with inside.wire() as wire:
            wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nOrigin: http://a%0d%0aX-Inj: 1"
                      b"\r\n\r\n")
            got = answers(wire.some() or b"")
        if not got or got[0].status not in statuses:
            raise Fail("answered %s" % [a.status for a in got])
        if b"inj" in got[0].head.lower() or b"root:" in got[0].body:
            raise Fail("answered %r" % got[0].head)
    with serving(w) as server:
        inside = w.against(server)
        every([(t.decode("latin-1"), t, 400) for t in (
            b"/demo/../../etc/passwd", b"/demo/%2e%2e/%2e%2e/etc/passwd", b"/demo/..%2fetc/passwd",
            b"/demo/%2e%2e%5cetc", b"/demo//chat/", b"//etc/passwd", b"/demo/chat/%00", b"/%c0%ae/",
            b"/demo/./chat/", b"/demo/chat/%0d%0aX-Inj:%201", b"/ws/%2e%2e")] +
            [(t.decode("latin-1"), t, 404) for t in (b"/etc/passwd", b"/demo/chat/none",
                                                     b"/demo/chat/index.htm", b"/DEMO/chat/")] +
            [("without the slash", b"/demo/chat", 301, 302, 307, 308),
             ("with line ends in the query", b"/?a=%0d%0aX-Inj:%201", 302)], one)


@row(35, "serve: broken frames and messages, and nobody hears what they say")
def messages(w):
    with serving(w, "--deflate") as server:
        inside = w.against(server)
        with Client(inside) as writer, Client(inside) as reader:
            reader.ask("subscribe", channel="t035")
            before = writer.offset("t035")
            reader.hear("message")
            said = frame(TEXT, publish("t035"))

            def one(raw, code, *more, **how):
                with inside.ws("/ws", V1, **how) as ws:
                    ws.expect("text")
                    ws.send(raw)
                    ws.expect_close(code)
            bomb = packed(squeeze(b"[" * (16 << 20)), TEXT)
            every([
                ("unmasked", codec.encode(TEXT, publish("t035").encode()) + said, 1002),
                ("a reserved bit", frame(TEXT, publish("t035"), rsv=2) + said, 1002),
                ("behind a Close", frame(CLOSE, codec.close_body(1000)) + said, 1000),
                ("inside another", frame(TEXT, "[", fin=False) + said, 1002),
                ("no start", frame(CONT, b"x") + said, 1002),
                ("not UTF-8", frame(TEXT, b"\xff") + said, 1007),
                ("binary", frame(BINARY, b"{}") + said, 1003),
                ("over the limit", frame(TEXT, b"", length=65537) + said, 1009),
                ("1,025 fragments", frame(TEXT, "[", fin=False) +
                 frame(CONT, b" ", fin=False) * 1024 + said, 1008),
                ("a control frame of 126", frame(PING, b"x" * 126) + said, 1002),
            ], one)
            for raw, code in ((bomb, 1009), (packed(b"\x07", TEXT), 1007)):
                one(raw + said, code, deflate=OFFER)
            flood(inside, frame(PING, b"x" * 125) * 100, "/ws")
            if writer.offset("t035") != before + 1:
                raise Fail("the offset moved")
            if reader.hear("message")["offset"] != before + 1:
                raise Fail("the reader heard something")


@row(57, "serve: subscribers that are reset, finished, half closed: nothing is kept")
def leaving(w):
    with serving(w) as server:
        inside = w.against(server)
        talk = upgrade("/ws", V1) + b"".join(
            frame(TEXT, '{"type":"subscribe","id":%d,"channel":"t057.%d"}' % (i, i))
            for i in range(20)) + frame(TEXT, publish("t057.1"))
        stages = [STAGES["nothing"], STAGES["half a head"], upgrade("/ws"), talk,
                  talk + frame(TEXT, "[" * 90)[:50], talk[:-9]]
        for how in ("reset", "finish", "half"):
            for _ in range(200 if w.full else 10):
                for raw in stages:
                    wire = inside.wire()
                    wire.send(raw)
                    leave(wire, how)
        with Client(inside) as client:
            client.offset("t057.1")  # to channels whose subscribers have gone
            client.ask("ping")


@row(35, "serve: random bytes for a while", full=True)
def noise(w):
    with serving(w, "--deflate") as server:
        for number in range(3000):
            with Ws(server.addr, "/ws", deflate=OFFER) as ws:
                ws.send(os.urandom(1 + number % 300))
