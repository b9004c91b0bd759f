"""Names, churn and long use against `linnet serve`: rows 57 (streams), 81, 108, 110."""
import contextlib
import json
import random
import time

from .lives import KEY, Node, ask, hear
from .native import Client
from .peer import Fail, Ws, request, wait_until
from .suite import every, row

UNPACED = {"LINNET_LIMITS_%s_RATE" % kind: "off" for kind in ("SUBSCRIBE", "PUBLISH", "READ")}
ALLOWED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:#$@/-"


@row(57, "streams, tails: a reader who goes, by FIN, half a FIN or RST, is noticed within a second")
def readers_go(w):
    body = b"{}"
    tail = request("POST /api/v1/tail HTTP/1.1", "Authorization: Bearer " + KEY, "Content-Type: application/json",
                   "Content-Length: %d" % len(body), host="localhost", body=body)
    stream = request("GET /sse?channel=t057 HTTP/1.1", host="localhost")
    leaves = (lambda wire: wire.close(), lambda wire: wire.sock.shutdown(1), lambda wire: wire.reset())
    with w.server("--workers", "2", verb="serve", env={"LINNET_API_KEY": KEY}) as server, \
            contextlib.ExitStack() as kept:
        fds = server.fds()
        for raw in (stream, tail):
            for leave in leaves:
                for _ in range(5):
                    wire = kept.enter_context(w.against(server).wire())
                    wire.send(raw)
                    if not wire.some().startswith(b"HTTP/1.1 200 "):
                        raise Fail("it does not begin")
                    leave(wire)
                wait_until(lambda: server.fds() <= fds, 10 if w.asan else 1,
                           lambda: "%d readers are still there" % (server.fds() - fds))


@row(108, "names of channels: the empty one, 256 bytes, every byte there is: those of the list are taken, and no other",
     slow=True)
def names(w):
    odd = ["", "a" * 256, "*", "a*", "a?", "[a]", "a{b}", "a b", " a", "a ", "\u00e4", "a\u0301", "\U0001f600"]
    odd += ["a,b", "a;b", "a\\b", "a%00b", "a'b", 'a"b', "<a>", "a|b", "a&b", "a=b", "a+b", "a~b", "a^b", "a`b", "a!b"]
    odd += ["(a)", "\ufeffa", "\u202ea", "\u2028"]
    odd += ["x%sy" % chr(c) for c in range(256) if chr(c) not in ALLOWED]
    good = ["a" * 255, "a/b//c", ".", "..", "../x", "-", "a.b", "A", "0", "__proto__", "constructor", "x:y:z", "#a",
            "a@b", "a$b"]
    good += ["x" + c for c in ALLOWED]
    with w.server("--workers", "2", verb="serve", env={**UNPACED, "LINNET_LIMITS_ERRORS": "1000000",
                                                       "LINNET_LIMITS_CHANNELS": "1000"}) as server, \
            Ws(server.addr, "/ws", "Sec-WebSocket-Protocol: linnet.v1") as ws:
        ws.expect("text")

        def one(name, want):
            for kind in ("subscribe", "publish", "history"):
                got = ask(ws, kind, channel=name, **({"data": name[:8]} if kind == "publish" else {}))
                code = got.get("error", {}).get("code", 0)
                if code != want:
                    raise Fail("%s is answered %s" % (kind, str(got)[:200]))
                if not want and kind == "history" and got["messages"][-1]["data"] != name[:8]:
                    raise Fail("it is another channel: %s" % got)
        every([("%r" % name[:20], name, 107) for name in odd] + [("%r" % name[:20], name, 0) for name in good], one)
        ws.text('{"type":"subscribe","id":"half","channel":"\\ud800"}')
        if hear(ws, "error")["error"]["code"] != 107:
            raise Fail("half of a character is taken")
        for raw in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"):  # what is no text ends in another way
            with Ws(server.addr, "/ws", "Sec-WebSocket-Protocol: linnet.v1") as other:
                other.expect("text")
                other.text(b'{"type":"subscribe","id":1,"channel":"' + raw + b'"}')
                if (got := other.next()).code != 1007:
                    raise Fail("%r is answered %s" % (raw, got))


@row(110, "subscribe and unsubscribe 10,000 a second: the last word counts, for who is in it, who hears, and the gauge")
def in_and_out(w):
    rounds, batch = (1000 if w.full else 60), 64
    with w.server("--workers", "2", verb="serve", env=UNPACED) as server:
        inside = w.against(server)
        with Client(inside) as writer, Client(inside) as one:
            rng, number, began, now = random.Random(110), 0, time.monotonic(), False
            for n in range(rounds):
                last = rng.random() < 0.5  # whether it is in the channel then
                turns = 2 * batch - (last != now)  # in turn from where it is, so that none of it is a fault
                kinds = [("subscribe", "unsubscribe")[now ^ (i & 1)] for i in range(turns)]
                now = last
                commands = [{"type": k, "id": number + i, "channel": "t110"} for i, k in enumerate(kinds)]
                number += len(kinds)
                for at in range(0, len(commands), 128):
                    one.ws.text(json.dumps(commands[at:at + 128]))
                answered = 0
                while answered < len(kinds):
                    got = json.loads(one.ws.expect("text").data)
                    for said in got if isinstance(got, list) else [got]:
                        answered += "re" in said
                        if said.get("error", {}).get("code", 113) != 113:  # the next one overtook it
                            raise Fail("round %d: %s" % (n, said))
                writer.ask("publish", channel="t110", data=n)
                one.ws.text('{"type":"ping","id":"%d"}' % n)
                heard, pong = 0, False
                while not pong or (last and not heard):
                    got = json.loads(one.ws.expect("text").data)
                    for said in got if isinstance(got, list) else [got]:
                        pong |= said["type"] == "pong"
                        heard += said["type"] == "message"
                if heard != last:
                    raise Fail("round %d: in it %s, heard %d" % (n, last, heard))
            w.note("%.0f commands a second" % (number / (time.monotonic() - began)))
    with w.server("--workers", "2", verb="serve") as server, Client(w.against(server)) as one:  # as it comes: a rate
        refused = 0
        for _ in range(20):
            both = [{"type": k, "id": k, "channel": "t110"} for k in ("subscribe", "unsubscribe")]
            one.ws.text(json.dumps(both * 60))
            answered = 0
            while answered < 120:
                got = json.loads(one.ws.expect("text").data)
                got = got if isinstance(got, list) else [got]
                answered += len(got)
                refused += sum(said.get("error", {}).get("code") == 111 for said in got)
            if refused:
                break
        if not refused:
            raise Fail("nobody said that it was too fast")


def churn(node, rng, peers, count, steps):
    """Some go, others come, and all say something of any size."""
    for _ in range(steps):
        if len(peers) >= count:
            peers.pop(rng.randrange(len(peers)))[0].close()
        ws, _ = node.v1()
        channel = "t081.%d" % rng.randrange(count)
        ask(ws, "subscribe", channel=channel)
        peers.append((ws, channel))
        ws, channel = rng.choice(peers)
        size = int(20 * (3200 ** rng.random()))  # 20 bytes to 64 KiB, all orders alike
        ask(ws, "publish", channel=channel, data="x" * min(size, 60000), volatile=rng.random() < 0.3)


@row(81, "mixed sizes while connections come and go: memory comes to rest", slow=True)
def fragmentation(w):
    count, seconds = (5000, 900) if w.full else (150, 7)
    env = {**UNPACED, "LINNET_HISTORY_COUNT": "10", "LINNET_HISTORY_AGE": "2s", "LINNET_HISTORY_ALL": "16m"}
    with Node(w, env=env) as node:
        rng, peers, seen = random.Random(81), [], []
        try:
            churn(node, rng, peers, count, 2 * count)
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                churn(node, rng, peers, count, 50)
                seen.append((time.monotonic() - began, node.rss()))
        except (Fail, OSError) as why:
            raise Fail("%s; it has left with %s: %s" % (why, node.child.poll(), node.words())) from None
        finally:
            for ws, _ in peers:
                ws.close()
        half = [rss for at, rss in seen if at > seconds / 2]
        quarter = len(half) // 2
        before, after = max(half[:quarter]), max(half[quarter:])
        w.note("%d steps, %.1f MiB, then %.1f, then %.1f" %
               (50 * len(seen), seen[0][1] / 2**20, before / 2**20, after / 2**20))
        if after - before > max(4 << 20, before // 20) and not w.asan:
            raise Fail("it grows: %d KiB in the last quarter" % ((after - before) >> 10))
        if node.child.poll() is not None:
            raise Fail("it is gone")
