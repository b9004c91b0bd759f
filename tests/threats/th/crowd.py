"""Attackers by the thousand, in a process of their own: a process has 20,000 descriptors here,
and the server needs as many as they do. `Crowd` is the row's side, `run` the process."""
import collections
import contextlib
import json
import os
import selectors
import subprocess
import sys
import time

from ct import codec
from ct.codec import BINARY

from .peer import Fail, Wire, Ws, answers, frame, request, upgrade

CHURN = (b"", request()[:20], request(), upgrade(), upgrade() + frame(codec.TEXT, "x"))


class Crowd:
    """Begins at once; `opened` returns when all have come, `go` lets them attack, `result` waits
    for their report."""

    def __init__(self, addr, kind, count, *more):
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.child = subprocess.Popen(
            [sys.executable, os.path.join(here, "run"), "--crowd", addr[0], str(addr[1]), kind,
             str(count), *map(str, more)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        said = self.child.stdout.readline()
        if not said:
            raise Fail("the crowd has gone")
        return json.loads(said)

    opened = attacked = result = line

    def go(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def say(what):
    print(json.dumps(what), flush=True)


def told():
    sys.stdin.readline()


def until_the_end(peers, drip, every_s, limit):
    """Sends a byte of `drip` to each every so often and waits until all have ended. Returns for
    each peer that has: (seconds since its own birth, bytes)."""
    ready, got, out = selectors.DefaultSelector(), {}, []
    for peer in peers:
        peer.sock.setblocking(False)
        ready.register(peer.sock, selectors.EVENT_READ, peer)
        got[peer] = bytearray()
    end, due, sent = time.monotonic() + limit, time.monotonic(), 0
    while got and time.monotonic() < end:
        if drip and time.monotonic() >= due:
            due += every_s
            for peer in got:
                with contextlib.suppress(OSError):
                    peer.sock.send(drip[sent:sent + 1])
            sent += 1
        wait = min(end, due if drip else end) - time.monotonic()
        for key, _ in ready.select(max(0, min(wait, 0.5))):
            peer = key.data
            try:
                data = peer.sock.recv(4096)
            except OSError:
                data = b""
            got[peer] += data
            if not data:
                out.append((time.monotonic() - peer.born, bytes(got.pop(peer))))
                ready.unregister(peer.sock)
    return out


def report(ended, judge):
    seconds = sorted(s for s, _ in ended)
    say({"ended": len(ended), "answers": collections.Counter(judge(got) for _, got in ended),
         "first": seconds[0] if seconds else 0, "last": seconds[-1] if seconds else 0})


def statuses(got):
    return " ".join(str(a.status) for a in answers(got))


def closes(got):
    return " ".join("%s %s" % (e.kind, e.code) for e in codec.Parser(False).feed(got)
                    if e.kind != "ping")


def born(make):
    peer = make()
    peer.born = time.monotonic()
    return peer


def heads(addr, count, every_s):
    """Heads that drip: a byte every so often."""
    peers = [born(lambda: Wire(addr)) for _ in range(count)]
    say("open")
    told()
    report(until_the_end(peers, upgrade(), float(every_s), 30), statuses)


def announced(addr, count):
    """Messages of 65,535 bytes, of which 10 come."""
    peers = [Ws(addr) for _ in range(count)]
    say("open")
    told()
    for ws in peers:
        ws.born = time.monotonic()
        ws.send(frame(BINARY, b"x" * 10, length=65535))
    say("sent")
    report(until_the_end(peers, b"", 1, 50), closes)


def churn(addr, count):
    """Come and go as fast as they can, in every stage of a connection; half are reset."""
    say("open")
    told()
    began = time.monotonic()
    for number in range(count):
        with Wire(addr) as wire:
            wire.send(CHURN[number % len(CHURN)])
            if number % 2:
                wire.reset()
    say({"seconds": time.monotonic() - began})


V1 = "Sec-WebSocket-Protocol: linnet.v1"


def deaf(addr, count, name):
    """Subscribers, each of a channel of its own, from which nobody reads."""
    peers = [Ws(addr, "/ws", V1, rcvbuf=8192) for _ in range(count)]
    for number, ws in enumerate(peers):
        ws.text('{"type":"subscribe","id":1,"channel":"%s.%d"}' % (name, number))
    for ws in peers:
        while b'"ok"' not in ws.expect("text").data:
            pass
    say("open")
    told()


def idle(addr, count):
    """They are there, and in the end each is asked whether it still is."""
    peers = [Ws(addr, "/ws", V1) for _ in range(count)]
    say("open")
    told()
    there = 0
    for ws in peers:
        with contextlib.suppress(OSError):
            ws.text('{"type":"ping","id":1}')
            while (got := ws.next()) and got.kind in ("text", "ping") and b'"pong"' not in got.data:
                pass
            there += bool(got and got.kind == "text")
    say({"there": there})


def run():
    host, port, kind, count, *more = sys.argv[2:]
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        {"heads": heads, "announced": announced, "churn": churn, "deaf": deaf, "idle": idle}[kind](
            (host, int(port)), int(count), *more)
