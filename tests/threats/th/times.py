"""Slow rows: whoever waits too long is sent away, in time and not before."""
import contextlib
import ctypes
import os
import selectors
import subprocess
import time

from ct import codec
from ct.codec import BINARY, CLOSE, CONT, PING, PONG, TEXT

from .crowd import Crowd
from .frames import TlsPeer
from .http import client_hello
from .peer import Fail, Wire, Ws, answers, frame, request, upgrade
from .suite import certificate, every, row

LATE = 8.0  # seconds that a busy machine may add


def within(seconds, low, what, slack=0.6):
    if not low - slack <= seconds <= low + LATE:
        raise Fail("%s after %.1f s, not %.0f" % (what, seconds, low))


def watch(wires, drip, every_s, until):
    """Each wire gets its next byte of `drip` every so often until it has ended or time is up.
    Returns for each (seconds, bytes received), seconds None when it has not ended."""
    ready = selectors.DefaultSelector()
    began, out = time.monotonic(), {}
    for wire in wires:
        wire.sock.setblocking(False)
        ready.register(wire.sock, selectors.EVENT_READ, (wire, bytearray()))
    sent, due = 0, began
    while len(out) < len(wires) and time.monotonic() - began < until:
        if time.monotonic() >= due:
            due += every_s
            for wire in wires:
                if drip and wire not in out:
                    with contextlib.suppress(OSError):
                        wire.sock.send(drip[sent:sent + 1])
            sent += 1
        for key, _ in ready.select(max(0, min(due - time.monotonic(), 0.5))):
            wire, got = key.data
            try:
                data = wire.sock.recv(4096)
            except OSError:
                data = b""
            got += data
            if not data:
                out[wire] = (time.monotonic() - began, bytes(got))
                ready.unregister(wire.sock)
    return [out.get(wire, (None, b"")) for wire in wires]


def expect_timeouts(results, low, judge, slack=0.6):
    for seconds, got in results:
        if seconds is None:
            raise Fail("still open")
        judge(got)
        within(seconds, low, "ended", slack)


def is_408(got):
    first = answers(got)
    if [a.status for a in first] != [408]:
        raise Fail("answered %r" % got[:80])


@row(30, "heads that drip, 20 or 19,000: 408 after 10 s, and others still come in", slow=True)
def slowloris(w):
    count = 19000 if w.full else 20
    with w.server() as server, Crowd(server.addr, "heads", count, 2.5 if w.full else 0.5) as crowd:
        crowd.opened()
        crowd.go()
        began, asked = time.monotonic(), 0
        while time.monotonic() - began < 8:
            with Wire(server.addr) as wire:
                wire.send(request("GET /n?i=%d HTTP/1.1" % asked, "Connection: close"))
                got = answers(wire.rest(5))
            if [(a.status, a.body) for a in got] != [(200, b"%d" % asked)]:
                raise Fail("somebody else is answered %s" % [a.status for a in got])
            asked += 1
            time.sleep(0.1)
        seen = crowd.result()
        w.note("%d, ended after %.1f to %.1f s; %d others answered meanwhile" %
               (count, seen["first"], seen["last"], asked))
        if seen["answers"] != {"408": count}:
            raise Fail("answered %s" % seen["answers"])
        within(seen["first"], 10, "the first ended")
        within(seen["last"], 10, "the last ended")


@row(30, "a second head that drips: 408 after 10 s", slow=True)
def second_head(w):
    with w.wire() as wire:
        wire.send(request("GET /n?i=1 HTTP/1.1"))
        wire.some()
        expect_timeouts(watch([wire], upgrade(), 0.5, 20), 10, is_408)


@row(30, "a body that drips: 408 when it is under 256 bytes a second", slow=True)
def slow_body(w):
    with w.wire() as wire:
        wire.send(request("POST /post HTTP/1.1", "Content-Length: 1000"))
        results = watch([wire], b"x" * 1000, 0.5, 20)
        expect_timeouts(results, 5, is_408)


@row(32, "connections that say nothing: closed after 10 s", slow=True)
def silence(w):
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(w.wire()) for _ in range(20)]
        expect_timeouts(watch(wires, b"", 1, 20), 10, is_408)


@row(32, "TLS: silence, half a ClientHello, a whole one and silence: closed after 10 s", slow=True)
def tls_silence(w):
    where, cert, key = certificate()
    each = 300 if w.full else 4
    with where, w.server("--tls-cert", cert, "--tls-key", key, tls=True) as server, \
            contextlib.ExitStack() as stack:
        base, wires, began = server.rss(), [], time.monotonic()
        for raw in (b"", client_hello()[:100], client_hello()):
            for _ in range(each):
                wires.append(stack.enter_context(Wire(server.addr)))
                wires[-1].send(raw)
        for _ in range(each):
            wires.append(stack.enter_context(TlsPeer(server.addr)))
            wires[-1].handshake()
        time.sleep(1)
        held = (server.rss() - base) / len(wires)
        w.note("%.1f KiB held for each" % (held / 1024))
        if w.full and held > 40 << 10:
            raise Fail("%.0f KiB held for each" % (held / 1024))
        taken = time.monotonic() - began
        expect_timeouts(watch(wires, b"", 1, 20), 10, lambda got: None, 0.6 + taken)


def timed_out(got):
    events = [e for e in codec.Parser(False).feed(got) if e.kind != "ping"]
    if [(e.kind, e.code) for e in events] != [("close", 1008)]:
        raise Fail("answered %s" % [str(e) for e in events])


@row(41, "65,535 bytes announced, 10 sent, 50 or 10,000 times: 1008 after 30 s, no memory for the "
     "rest", slow=True)
def announced(w):
    count = 10000 if w.full else 50
    with w.server() as server, Crowd(server.addr, "announced", count) as crowd:
        crowd.opened()
        idle = server.rss()
        crowd.go()
        crowd.attacked()
        time.sleep(2)  # all of it has arrived
        held = (server.rss() - idle) / count
        w.note("%.2f KiB held for each of %d" % (held / 1024, count))
        if w.full and held > 1024:
            raise Fail("%.2f KiB held for each" % (held / 1024))
        seen = crowd.result()
        if seen["answers"] != {"close 1008": count}:
            raise Fail("answered %s" % seen["answers"])
        within(seen["first"], 30, "the first closed")
        within(seen["last"], 30, "the last closed")


@row(41, "messages that drip, in one frame or in many: 1008 after 30 s", slow=True)
def dripping(w):
    with w.ws() as one, w.ws() as many:
        one.send(frame(BINARY, b"", length=1000))
        many.send(frame(TEXT, "a", fin=False))
        pieces = frame(CONT, b"", fin=False) * 100
        expect_timeouts(watch([one, many], pieces, 1, 45), 30, timed_out)


@row(41, "messages without a pause, each whole in a second, are not cut off", slow=True)
def overlapping(w):
    with w.ws() as ws:
        raw, number, end = frame(TEXT, "over and over"), 0, time.monotonic() + 34
        ws.send(raw[:7])
        while time.monotonic() < end:
            ws.send(raw[7:] + raw[:7])
            ws.expect("text", "over and over")
            number += 1
            time.sleep(0.25)  # there is always a message under way
        w.note("%d messages" % number)


@row(50, "a peer that does not end TCP behind the Close: dropped within 5 s", slow=True)
def lingering(w):
    def one(path, raw, code):
        with w.ws(path) as ws:
            ws.send(raw)
            got = ws.next()
            if not got or got.kind != "close" or got.code != code:
                raise Fail("answered %s" % (got,))
            began = time.monotonic()
            while time.monotonic() - began < 9 and ws.send(frame(TEXT, "more")):
                time.sleep(0.1)
            if time.monotonic() - began > 6.5:
                raise Fail("still taken after %.1f s" % (time.monotonic() - began))
    every([
        ("its own Close", "/echo", frame(CLOSE, codec.close_body(1000)), 1000),
        ("after a violation", "/echo", codec.encode(TEXT, b"x"), 1002),
        ("never answers ours", "/ps", frame(TEXT, "?"), 1008),
    ], one)


@row(52, "40 pings a second are not too many", slow=True)
def steady_pings(w):
    with w.ws() as ws:
        for number in range(280):
            ws.put(PING, b"%d" % number)
            ws.expect("pong", b"%d" % number)
            time.sleep(0.025)


@row(54, "only a pong with the payload of a ping gives a round-trip time", slow=True)
def round_trips(w):
    """Pings come to whoever says nothing for 25 s."""
    with w.server() as server, Ws(server.addr) as honest, Ws(server.addr) as liar:
        before = server.stats()["rtts"]
        ping = liar.expect("ping", limit=25 + LATE)
        liar.put(PONG, bytes(b ^ 1 for b in ping.data) or b"x")
        liar.put(PONG)
        liar.ask()
        if server.stats()["rtts"] != before:
            raise Fail("a wrong payload gave a round-trip time")
        honest.put(PONG, honest.expect("ping", limit=LATE).data)
        honest.ask()
        if server.stats()["rtts"] != before + 1:
            raise Fail("a right one did not")


# -- a peer that vanishes ---------------------------------------------------------------------

class Away:
    """A network namespace at the end of a cable, with a peer in it that can vanish. Where none
    may be made, the peer is one of ours that falls silent instead."""

    here, there = "169.254.%d.1", "169.254.%d.2"

    def __init__(self):
        number = os.getpid() % 200 + 20
        self.name, self.link = "threats%d" % os.getpid(), "thr%d" % (os.getpid() % 100000)
        self.here, self.there, self.real = self.here % number, self.there % number, True

    def run(self, *words):
        subprocess.run(words, check=True, capture_output=True)

    def __enter__(self):
        try:
            self.run("ip", "netns", "add", self.name)
            self.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "far",
                     "netns", self.name)
            self.run("ip", "addr", "add", self.here + "/30", "dev", self.link)
            self.run("ip", "link", "set", self.link, "up")
            self.run("ip", "-n", self.name, "addr", "add", self.there + "/30", "dev", "far")
            self.run("ip", "-n", self.name, "link", "set", "far", "up")
        except (OSError, subprocess.CalledProcessError):
            self.__exit__()
            self.real, self.here = False, "127.0.0.1"
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "link", "del", self.link], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def connect(self, addr, path):
        """A socket of that namespace: which one counts when it is made, for this thread."""
        if not self.real:
            return Ws(addr, path)
        libc, inside = ctypes.CDLL(None, use_errno=True), 0x40000000
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        far = os.open("/run/netns/" + self.name, os.O_RDONLY)
        try:
            if libc.setns(far, inside) != 0:
                raise Fail("setns: " + os.strerror(ctypes.get_errno()))
            try:
                return Ws(addr, path)
            finally:
                libc.setns(home, inside)
        finally:
            os.close(home)
            os.close(far)

    def vanish(self):
        """All that is sent there is dropped, and nothing comes back."""
        if not self.real:
            return
        mac = subprocess.run(["ip", "-n", self.name, "-br", "link", "show", "far"], check=True,
                             capture_output=True, text=True).stdout.split()[2]
        self.run("ip", "neigh", "replace", self.there, "lladdr", mac, "dev", self.link, "nud",
                 "permanent")
        self.run("ip", "-n", self.name, "addr", "flush", "dev", "far")


@row(58, "a peer that vanishes, idle or with data under way: gone after 35 s", slow=True)
def vanished(w):
    with Away() as away, w.server("--listen", away.here + ":0") as server:
        idle = away.connect(server.addr, "/echo")
        hearing = away.connect(server.addr, "/ps")
        hearing.text("+t058")
        with idle, hearing, Ws(server.addr, "/ps") as speaker:
            speaker.text("=t058\nbefore")
            hearing.expect("text", "before")
            away.vanish()
            began, before = time.monotonic(), server.stats()["closes"]
            speaker.text("=t058\nnobody acknowledges this")
            gone = []
            while len(gone) < 2 and time.monotonic() - began < 50:
                speaker.put(PING)  # it is alive itself
                speaker.expect("pong")
                while server.stats()["closes"] - before > len(gone):
                    gone.append(time.monotonic() - began)
                time.sleep(0.25)
        w.note("%s: gone after %s s" % ("vanished" if away.real else "silent",
                                        ", ".join("%.1f" % s for s in gone)))
        if len(gone) < 2 or gone[0] < 20 or gone[1] > 35 + LATE:
            raise Fail("gone after %s" % gone)
