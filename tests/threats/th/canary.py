"""A well-behaved client in a process of its own: echoes all the time, and tells on request
how that went. Any line on stdin: {"answered", "lost", "p99", "worst"} since the last one."""
import json
import select
import sys
import time

from .peer import Fail, Wire, Ws, request


def page(addr, tls, limit):
    """For servers that let nobody stay who has not logged in."""
    with Wire(addr, tls=tls) as wire:
        wire.send(request("GET /healthz HTTP/1.1", "Connection: close"))
        if not wire.rest(limit).startswith(b"HTTP/1.1 200 "):
            raise Fail("/healthz is not answered")


def asker(addr, tls, kind):
    """One question and its answer: over an echo, in the native protocol, or a page."""
    if kind == "echo":
        return Ws(addr, tls=tls).ask
    if kind == "page":
        return lambda words, limit: page(addr, tls, limit)
    first = b"PROXY UNKNOWN\r\n" if kind == "proxied" else b""
    ws = Ws(addr, "/ws", "Sec-WebSocket-Protocol: linnet.v1", tls=tls, first=first)
    ws.expect("text")  # welcome

    def ping(words, limit):
        ws.text('{"type":"ping","id":"%s"}' % words)
        while b"pong" not in (got := ws.expect("text", limit=limit).data):
            if b'"ping"' not in got:  # the server's own is no answer
                raise Fail("the canary heard %r" % got)
    return ping


def main(host, port, tls, kind):
    ask = asker((host, int(port)), tls == "tls", kind)
    times, lost, number = [], "", 0
    print("ready", flush=True)
    while True:
        number += 1
        if not lost:
            began = time.perf_counter()
            try:
                ask("canary %d" % number, 30)
                times.append(time.perf_counter() - began)
            except (Fail, OSError) as why:
                lost = str(why) or "gone"
        if not select.select([sys.stdin], [], [], 0.02)[0]:
            continue
        if not sys.stdin.readline():
            return
        times.sort()
        p99 = times[min(len(times) - 1, len(times) * 99 // 100)] if times else 0
        print(json.dumps({"answered": len(times), "lost": lost, "p99": p99,
                          "worst": times[-1] if times else 0}), flush=True)
        times = []


def run():
    try:
        main(*sys.argv[2:6])
    except (KeyboardInterrupt, BrokenPipeError):
        pass
