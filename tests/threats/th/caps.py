"""Rows 77, 82, 84 and 109 against `linnet serve`: how many of one address, and how fast."""
import json
import time

from ct.codec import TEXT

from .native import V1, Client, publish
from .peer import Fail, Wire, Ws, answers, frame, upgrade, wait_until
from .suite import row

XFF = "X-Forwarded-For: "
ALICE, BOB = "127.0.0.5", "127.0.0.6"  # the canary is somebody else


def serving(w, *args):
    return w.server("--workers", "2", "--max-per-address", "5", *args, verb="serve")


def comes_in(addr, *fields, host=None):
    """An open WebSocket; None for a 429."""
    try:
        return Ws(addr, "/ws", V1, *fields, host=host)
    except Fail as why:
        if "answered 429" not in str(why):
            raise
    return None


@row(82, "the sixth connection of an address is answered 429, on whatever worker it arrives")
def sixth(w):
    with serving(w) as server:
        for _ in range(3):
            inside = wait_until(lambda: exactly(server.addr, 5), 5, "not 5 come in")
            with Wire(server.addr, host=ALICE) as wire:
                wire.send(upgrade("/ws"))
                got = answers(wire.rest(5))
            if [a.status for a in got] != [429] or not got[0].one("retry-after") or not wire.ended:
                raise Fail("one more is answered %s" % [a.head for a in got])
            if any(comes_in(server.addr, host=ALICE) for _ in range(10)):
                raise Fail("there are more than 5")
            others = wait_until(lambda: exactly(server.addr, 5, BOB), 5, "somebody else pays for it")
            for ws in others + inside[1:]:
                ws.close()
            again = wait_until(lambda: comes_in(server.addr, host=ALICE), 5, "nobody comes in again")
            again.close()
            inside[0].close()
            server.judge()


@row(82, "the count is exact after 1,000 connections that broke off at any point")
def aborts(w):
    head = upgrade("/ws", V1)
    with serving(w) as server:
        for number in range(1000):
            wire = Wire(server.addr, host=ALICE)
            wire.send(head if number % 4 else head[:number % len(head)])
            if number % 3 == 0:
                wire.some(0.05)
            wire.reset()
        server.judge()
        inside = wait_until(lambda: exactly(server.addr, 5), 5, "not 5 come in")
        if comes_in(server.addr, host=ALICE):
            raise Fail("the sixth comes in too")
        for ws in inside:
            ws.close()


def exactly(addr, count, host=ALICE):
    """So many; None while those who left before have not been counted out."""
    inside = [comes_in(addr, host=host) for _ in range(count)]
    if None not in inside:
        return inside
    for ws in inside:
        if ws:
            ws.close()
    time.sleep(0.05)
    return None


@row(84, "addresses of one /64 count as one, IPv4 in IPv6 as IPv4")
def networks(w):
    with serving(w, "--trusted-proxy", "127.0.0.1") as server:
        def from_here(ip):
            return comes_in(server.addr, XFF + ip)
        inside = [from_here("2001:db8:0:1::%x" % n) for n in range(1, 6)]
        if None in inside:
            raise Fail("only %d of a /64 come in" % (5 - inside.count(None)))
        if from_here("2001:db8:0:1:ffff:ffff:ffff:ffff"):
            raise Fail("the sixth of a /64 comes in")
        inside += [from_here("2001:db8:0:2::%x" % n) for n in range(1, 6)]
        inside += [from_here("192.0.2.1" if n % 2 else "::ffff:192.0.2.1") for n in range(5)]
        if None in inside:
            raise Fail("the neighbours do not come in")
        if from_here("::ffff:192.0.2.1"):
            raise Fail("an address has two names")
        for ws in inside:
            ws.close()


@row(77, "64-byte publications as fast as the line takes them: error 111 with retry_after, then 3009")
def flood(w):
    with w.server("--workers", "2", verb="serve") as server:
        with w.against(server).ws("/ws", V1) as ws:
            ws.expect("text")
            ws.send(frame(TEXT, publish("t077")) * 5000)
            codes = []
            while (got := ws.next()) and got.kind == "text":
                said = json.loads(got.data)
                codes.append(said.get("error", {}).get("code", said["type"]))
                if codes[-1] == 111 and not 0 < said["error"]["retry_after"] <= 20:
                    raise Fail("it says %s" % said)
            if not got or got.kind != "close" or got.code != 3009:
                raise Fail("wanted 3009, got %s" % got)
        # Of the last 64 accepted ones the answers may be cut off by the Close.
        oks, overs = codes.count("ok"), codes.count(111)
        if not 136 <= oks <= 220 or overs != 101 or oks + overs != len(codes):
            raise Fail("%d accepted, %d refused" % (oks, overs))


@row(109, "the 129th channel of a connection: error 106; and no channel is kept by those who churn")
def channels(w):
    rounds = 200 if w.full else 10
    with w.server("--workers", "2", verb="serve") as server:
        inside = w.against(server)
        for number in range(rounds):
            with Client(inside) as client:
                for n in range(128):
                    client.ask("subscribe", channel="t109.%d.%d" % (number, n))
                client.ws.text('{"type":"subscribe","id":"x","channel":"t109.more"}')
                if (code := client.hear("error")["error"]["code"]) != 106:
                    raise Fail("the 129th is answered %d" % code)
                client.ask("unsubscribe", channel="t109.%d.0" % number)
                client.ask("subscribe", channel="t109.more")
