"""Row 33: whom a proxy names. By PROXY header and by the fields of a head, from proxies that are
trusted and from others; with a real nginx and a real haproxy too. What the server took for the
client it says in its log."""
import struct
import time

from ct import codec
from ct.codec import BINARY

from .fronts import Front
from .native import V1
from .peer import Fail, Wire, Ws, answers, frame, request, upgrade, wait_until
from .suite import every, row

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + struct.pack(">HH", 50000, 443)
LONG = b"\x04" + struct.pack(">H", 536 - 3) + bytes(533)


def v2(body=V4, first=0x21, family=0x11, size=None):
    return SIGNATURE + struct.pack(">BBH", first, family, len(body) if size is None else size) + body


def serving(w, *args, **how):
    return w.server("--workers", "2", "--log-level", "info", *args, verb="serve", **how)


def last_peer(server, before):
    """Whom the next refusal in the log names."""
    lines = wait_until(lambda: server.log()[before:], 5, "nothing in the log")
    return lines[-1]["peer"]


def named(server, addr, **how):
    """Opens a WebSocket, misbehaves, and returns the peer that the log names."""
    before = len(server.log())
    with Ws(addr, "/ws", V1, **how) as ws:
        ws.expect("text")
        ws.send(frame(BINARY, b"x"))
        ws.expect_close(1003)
    return last_peer(server, before)


@row(33, "PROXY headers, wanted: the address they name; malformed or unfinished ones: closed")
def wanted(w):
    def good(first, peer):
        if not (got := named(server, server.addr, first=first)).startswith(peer):
            raise Fail("the log names %s" % got)

    def bad(raw):
        before = len(server.log())
        with Wire(server.addr) as wire:
            wire.send(raw + upgrade("/ws"))
            if got := wire.rest(5):
                raise Fail("answered %r" % got[:80])
            if not wire.ended:
                raise Fail("still open")
        lines = wait_until(lambda: server.log()[before:], 5, "nothing in the log")
        if [line["reason"] for line in lines] != ["PROXY"]:
            raise Fail("the log says %s" % lines)

    v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n"
    with serving(w, "--proxy-protocol", canary="proxied") as server:
        every([
            ("version 1", v1, "192.0.2.7:50000"),
            ("version 1, IPv6", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1"),
            ("version 1, unknown", b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
            ("version 2", v2(), "192.0.2.7:50000"),
            ("LOCAL", v2(b"", first=0x20, family=0), "127.0.0.1:"),
            ("a Unix socket", v2(bytes(216), family=0x31), "127.0.0.1:"),
            ("TLVs of 536 bytes", v2(V4 + LONG), "192.0.2.7:50000"),
        ], good)
        every([
            ("no header", b""),
            ("LF alone", v1.replace(b"\r", b"")),
            ("version 1 without end", b"PROXY TCP4 " + b"1" * 120),
            ("too short for its family", v2(V4[:8])),
            ("a TLV over the end", v2(V4 + b"\x04\0\x09x")),
            ("a wrong sum", v2(V4 + b"\x03\0\x04abcd")),
            ("longer than 4,096", v2(V4, size=4081)),
            ("datagrams", v2(V4, family=0x12)),
            ("version 3", v2(V4, first=0x31)),
            ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
        ], bad)


@row(33, "PROXY headers, not wanted: a malformed request")
def unwanted(w):
    def one(raw):
        with w.wire() as wire:
            wire.send(raw)
            got = answers(wire.rest(5))
        if [a.status for a in got] != [400] or not wire.ended:
            raise Fail("answered %s" % [a.status for a in got])
    every([("version 1", b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n" + request()),
           ("version 2", v2() + request())], one)


@row(33, "PROXY headers from a peer that is not trusted: closed unread")
def strangers(w):
    with serving(w, "--proxy-protocol", "--trusted-proxy", "127.0.0.1", canary="proxied") as server:
        before = len(server.log())
        with Wire(server.addr, host="127.0.0.5") as wire:
            wire.send(v2() + upgrade("/ws"))
            if wire.rest(5) or not wire.ended:
                raise Fail("it was heard")
        # The log is written by a thread of its own: what was refused comes first.
        last_peer(server, before)
        if (got := named(server, server.addr, first=v2())) != "192.0.2.7:50000":
            raise Fail("from the trusted one: %s" % got)


@row(33, "a PROXY header that never ends: closed after 10 s", slow=True)
def unfinished(w):
    with serving(w, "--proxy-protocol", canary="proxied") as server:
        wires = [Wire(server.addr) for _ in range(3)]
        for wire, raw in zip(wires, (b"", b"PROXY TCP4 ", SIGNATURE)):
            wire.send(raw)
        began = time.monotonic()
        for wire in wires:
            with wire:
                if wire.rest(15) or not wire.ended:
                    raise Fail("still there")
        if not 8 < time.monotonic() - began < 13:
            raise Fail("after %.1f s" % (time.monotonic() - began))


@row(33, "fields of a head are believed from trusted proxies only, and from the right")
def fields(w):
    def one(host, lines, peer, *flags):
        with serving(w, *flags) as server:
            before = len(server.log())
            with Ws(server.addr, "/ws", V1, *lines, host=host) as ws:
                ws.expect("text")
                ws.send(frame(BINARY, b"x"))
                ws.expect_close(1003)
            got = last_peer(server, before)
            if not (got == peer or got.startswith(peer + ":")):
                raise Fail("the log names %s" % got)
    trust = ("--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8")
    xff = "X-Forwarded-For: "
    every([
        ("a stranger's", "127.0.0.5", [xff + "192.0.2.1"], "127.0.0.5", *trust),
        ("without trust", None, [xff + "192.0.2.1"], "127.0.0.1"),
        ("a proxy's", None, [xff + "192.0.2.1"], "192.0.2.1", *trust),
        ("two proxies'", None, [xff + "198.51.100.1, 192.0.2.1, 10.0.0.3"], "192.0.2.1", *trust),
        ("nonsense", None, [xff + "192.0.2.1\", \"evil\":\"1"], "127.0.0.1", *trust),
        ("the other field", None, ["Forwarded: for=192.0.2.9", xff + "192.0.2.1"], "192.0.2.9",
         *trust, "--client-field", "forwarded"),
    ], one)


@row(33, "nginx and haproxy name their visitor, whatever he says himself")
def fronts(w):
    trust = ("--trusted-proxy", "127.0.0.1")
    lies = ("X-Forwarded-For: 198.51.100.66", "Forwarded: for=198.51.100.66")

    def one(kind, *flags):
        canary = "proxied" if "--proxy-protocol" in flags else "native"
        with serving(w, *flags, canary=canary) as server:
            with Front(w.against(server), kind) as front:
                before = len(server.log())
                with Ws(front.addr, "/ws", V1, *lies, host="127.0.0.9") as ws:
                    ws.expect("text")
                    ws.send(frame(BINARY, b"x"))
                    got = ws.next()
                    if got.kind != "close" or got.code != 1003:
                        raise Fail("wanted a Close, got %s" % got)
                    ws.put(codec.CLOSE, codec.close_body(1003))
                peer = last_peer(server, before)
        if peer.split(":")[0] != "127.0.0.9":
            raise Fail("the log names %s" % peer)
    every([(" ".join((kind, *flags)), kind, *flags) for kind, *flags in (
        ("nginx", *trust), ("haproxy", *trust),
        ("haproxy, tcp send-proxy", "--proxy-protocol"),
        ("haproxy, tcp send-proxy-v2", "--proxy-protocol", *trust),
        ("haproxy, tcp send-proxy-v2-ssl", "--proxy-protocol"))], one)
