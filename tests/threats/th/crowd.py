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


def subscribers(addr, count, channel):
    """Connections of linnet.v1 that are in a channel, or in none."""
    peers = [Ws(addr, "/ws", "Sec-WebSocket-Protocol: linnet.v1") for _ in range(count)]
    for ws in peers if channel else ():
        ws.text(json.dumps({"type": "subscribe", "id": 1, "channel": channel}))
    for ws in peers:
        ws.expect("text", limit=30)  # the welcome
        while channel and b'"re":1' not in ws.expect("text", limit=30).data:
            pass
    return peers


def leave(addr, count):
    """Wait to be sent away: what each heard, in how many half seconds they left, and when they shall return."""
    peers = subscribers(addr, count, None)
    say("open")
    for ws in peers:
        ws.born = 0
    began, left, returns, heard = time.monotonic(), collections.Counter(), [], []
    for seconds, got in until_the_end(peers, b"", 1, 60):
        left[int((seconds - began) * 2)] += 1
        words = []
        for e in codec.Parser(False).feed(got):
            if e.kind == "text":
                told = json.loads(e.data)
                words.append(told["type"])
                returns.append(told.get("after_ms", 0))
            elif e.kind == "close":
                words.append(str(e.code))
        heard.append(" ".join(words))
    returns.sort()
    say({"answers": collections.Counter(heard), "waves": len(left), "most": max(left.values(), default=0),
         "spread_ms": returns[-1] - returns[0] if returns else 0})


def listen(addr, count, channel):
    """Subscribers who read all they get, and in the end count who is left, and who of them heard the last."""
    peers = subscribers(addr, count, channel)
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ, None)
    for ws in peers:
        ws.sock.setblocking(False)
        ws.tail = b""
        ready.register(ws.sock, selectors.EVENT_READ, ws)
    say("open")
    cut, quiet, asked = 0, 0, False
    while not (asked and quiet >= 2):  # nothing came for a while
        found = ready.select(0.5)
        quiet = 0 if found else quiet + 1
        for key, _ in found:
            if key.data is None:
                sys.stdin.readline()
                ready.unregister(sys.stdin)
                asked = True
            elif not swallowed(key.data):
                ready.unregister(key.data.sock)
                cut += 1
                key.data.tail = None
    ends = collections.Counter(ws.tail.rpartition(b'"offset":')[2].partition(b",")[0].decode("latin-1")
                               for ws in peers if ws.tail is not None)
    say({"kept": count - cut, "cut": cut, "level": len(ends) <= 1})


def swallowed(ws):
    """False when it has been closed."""
    try:
        data = ws.sock.recv(65536)
    except BlockingIOError:
        return True
    except OSError:
        return False
    ws.tail = (ws.tail + data)[-400:]
    return bool(data)


def stay(addr, count):
    """Answer each ping, whatever its kind, until told to count who is left."""
    peers = subscribers(addr, count, None)
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ, None)
    for ws in peers:
        ws.sock.setblocking(False)
        ready.register(ws.sock, selectors.EVENT_READ, ws)
    say("open")
    kept, told_times = count, 0
    while told_times < 2:
        for key, _ in ready.select(1):
            ws = key.data
            if ws is None:
                sys.stdin.readline()
                told_times += 1
            elif not answered(ws):
                ready.unregister(ws.sock)
                kept -= 1
    say({"kept": kept})


def answered(ws):
    """False when it has been closed."""
    try:
        data = ws.sock.recv(4096)
    except BlockingIOError:
        return True
    except OSError:
        return False
    for e in ws.parser.feed(data):
        if e.kind == "ping":
            ws.put(codec.PONG, e.data)
        elif e.kind == "text" and b'"ping"' in e.data:
            ws.text('{"type":"pong"}')
        elif e.kind == "close":
            return False
    return bool(data)


def run():
    host, port, kind, count, *more = sys.argv[2:]
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        {"heads": heads, "announced": announced, "churn": churn, "deaf": deaf, "leave": leave,
         "stay": stay, "listen": listen}[kind](
            (host, int(port)), int(count), *more)
