"""What attacks cost, as ratios against honest traffic of the same size: only with --full."""
import contextlib
import os
import statistics

from ct import codec
from ct.codec import BINARY, CLOSE, CONT, PING, TEXT

from .deflate import OFFER, packed, squeeze
from .peer import Fail, Ws, frame, request, upgrade
from .server import Cost
from .suite import row


def ratio(w, what, attack, honest, most=2.0):
    """CPU of the server for both, in turns; fails when the attack's median is `most` times more."""
    spent = ([], [])
    for _ in range(5):
        for which, fn in enumerate((attack, honest)):
            with w.cost() as cost:
                fn()
            spent[which].append(cost.cpu)
    bad, good = (statistics.median(s) for s in spent)
    w.note("%s: %.1f ms, honest %.1f ms, ratio %.2f" % (what, bad * 1e3, good * 1e3, bad / good))
    if bad > most * good:
        raise Fail("%s costs %.2f times as much" % (what, bad / good))


def each(w, raw, count=400):
    """Connections one after the other that say this and read to the end."""
    def run():
        for _ in range(count):
            w.ask(raw)
    return run


@row(1, "refused requests cost no more than answered ones", full=True)
def refusals(w):
    good = request("GET /n?i=1 HTTP/1.1", "Connection: close", "A: b")
    for what, raw in (
            ("bare LF", good.replace(b"A: b\r\n", b"A: b\n")),
            ("two lengths", request("GET /n?i=1 HTTP/1.1", *["Content-Length: 1"] * 2)),
            ("a length of minus the request", request("GET /n?i=1 HTTP/1.1",
                                                      "Content-Length: -58")),
            ("both framings", request("GET /n?i=1 HTTP/1.1", "Content-Length: 5",
                                      "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
            ("no Host", request("GET /n?i=1 HTTP/1.1", "Connection: close", host=None)),
            ("a strange method", good.replace(b"GET", b"FOO")),
            ("no such path", good.replace(b"/n?", b"/x?"))):
        ratio(w, what, each(w, raw), each(w, good))


@row(9, "broken chunks cost no more than whole ones", full=True)
def chunks(w):
    head = request("POST /post HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close")
    good = head + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    for what, raw in (("no CR LF", head + b"1\r\nx\r\n" * 999 + b"1\r\nxy\r\n"),
                      ("an endless extension", head + b"1;" + b"a" * 6000),
                      ("an endless trailer", head + b"0\r\n" + b"A: b\r\n" * 1000)):
        ratio(w, what, each(w, raw), each(w, good))


@row(14, "heads over the limit cost no more than heads within it", full=True)
def long_heads(w):
    good = request("GET /n?i=1 HTTP/1.1", "Connection: close", "A: " + "b" * 4000)
    ratio(w, "a head of 16 KiB", each(w, request("GET /n?i=1 HTTP/1.1", "A: " + "b" * 16000)),
          each(w, good))
    ratio(w, "65 fields", each(w, request("GET /n?i=1 HTTP/1.1", *["A: b"] * 64)), each(w, good))


@row(18, "refused handshakes cost no more than accepted ones", full=True)
def handshakes(w):
    good = upgrade() + frame(CLOSE, codec.close_body(1000))
    for what, raw in (("a short key", upgrade(key="x")), ("version 12", upgrade(version="12")),
                      ("no Upgrade", upgrade(up=None)),
                      ("a body", upgrade("/echo", "Content-Length: 9", body=b"x" * 9))):
        ratio(w, what, each(w, raw), each(w, good))


@row(35, "violations cost no more than a message and a Close", full=True)
def violations(w):
    good = upgrade() + frame(TEXT, "hello") + frame(CLOSE, codec.close_body(1000))
    for what, bad in (("unmasked", codec.encode(TEXT, b"hello")),
                      ("reserved bit", frame(TEXT, "hello", rsv=1)),
                      ("opcode 3", frame(3, b"hello")),
                      ("length 2^63", b"\x82\xff" + b"\xff" * 8),
                      ("not UTF-8", frame(TEXT, b"hell\xff")),
                      ("Close 1005", frame(CLOSE, b"\x03\xed"))):
        ratio(w, what, each(w, upgrade() + bad), each(w, good))


@row(43, "1,000 messages of 1,023 fragments: memory as their payload", full=True)
def fragments(w):
    raw = frame(TEXT, "x", fin=False) + frame(CONT, b"x", fin=False) * 1022
    with w.server() as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Ws(server.addr)) for _ in range(1000)]
        with Cost(server) as cost:
            for ws in peers:
                ws.send(raw + frame(PING))
            for ws in peers:
                ws.expect("pong")
        held = cost.grown / len(peers)
        w.note("%.0f bytes held for each, %.0f us of CPU" %
               (held, cost.cpu / len(peers) * 1e6))
        if held > 1023 * 1.25 + 4096:
            raise Fail("%.0f bytes held for each" % held)


@row(44, "1,024 frames cost at most 2.2 times what 512 do", full=True)
def linear(w):
    data = os.urandom(65536)
    with w.ws() as ws:
        def run(size):
            raw = b"".join(codec.fragments(BINARY, data, size, True))

            def go():
                for _ in range(40):
                    ws.send(raw)
                    ws.expect("binary", data)
            return go
        ratio(w, "64-byte frames", run(64), run(128), 2.2)


@row(52, "100 pings cost no more than 100 messages of the same size", full=True)
def pings(w):
    def run(opcode, count=200):
        raw = upgrade() + frame(opcode, b"x" * 125) * 100 + frame(CLOSE, codec.close_body(1000))
        return each(w, raw, count)
    ratio(w, "pings", run(PING), run(BINARY))


@row(59, "a bomb costs no more than a message of the size it may have", full=True)
def bombs(w):
    offer = "Sec-WebSocket-Extensions: " + OFFER
    end = frame(CLOSE, codec.close_body(1000))
    for path in ("/echoz", "/echot"):
        good = upgrade(path, offer) + packed(squeeze(b"\0" * 65536)) + end
        bad = upgrade(path, offer) + packed(squeeze(b"\0" * (8 << 20))) + end
        ratio(w, "8 MiB of zeros on " + path, each(w, bad, 200), each(w, good, 200))


@row(61, "corrupt data costs no more than whole data", full=True)
def corrupt(w):
    offer = "Sec-WebSocket-Extensions: " + OFFER
    data = squeeze(os.urandom(30000))
    good = upgrade("/echot", offer) + packed(data) + frame(CLOSE, codec.close_body(1000))
    for what, raw in (("a wrong block at the end", data[:-1] + b"\x06\xff"),
                      ("a wrong block at the front", b"\x07" + data)):
        ratio(w, what, each(w, upgrade("/echot", offer) + packed(raw), 200), each(w, good, 200))


@row(57, "connections that are reset cost no more than those that close", full=True)
def resets(w):
    raw = upgrade() + frame(TEXT, "x")

    def reset():
        for _ in range(400):
            wire = w.wire()
            wire.send(raw)
            wire.reset()

    def close():
        for _ in range(400):
            with w.wire() as wire:
                wire.send(raw + frame(CLOSE))
                wire.rest()
    ratio(w, "resets", reset, close)
