"""Rows of many at once against `linnet serve`: 115 as a property, 116, 121."""
import collections
import contextlib
import json
import random
import selectors
import socket
import threading
import time

from .crowd import Crowd
from .lives import KEY, Node, ask, hear
from .peer import Fail, wait_until
from .suite import row

PUBLISHERS = 32
UNPACED = {"LINNET_LIMITS_%s_RATE" % kind: "off" for kind in ("SUBSCRIBE", "PUBLISH", "READ")}


@row(115, "recovery at any place, whatever cut the log: all that was missed, or false with a place to go on", slow=True)
def property_of_recovery(w):
    rng = random.Random(115)
    env = {**UNPACED, "LINNET_HISTORY_COUNT": "12", "LINNET_HISTORY_BYTES": "6k", "LINNET_HISTORY_AGE": "2s"}
    cut = kept = 0
    with Node(w, env=env) as node, node.v1()[0] as writer, node.v1()[0] as reader:
        said, epoch = [], None
        for step in range(400 if not w.full else 4000):
            for _ in range(rng.randrange(6)):
                said.append([step, "x" * rng.choice((10, 100, 1500))])
                epoch = ask(writer, "publish", channel="t115p", data=said[-1])["epoch"]
            if rng.random() < 0.01:
                time.sleep(1.1)  # some become too old
            if not said:
                continue
            offset = max(0, len(said) - rng.randrange(16))
            first = (ask(writer, "history", channel="t115p", limit=1)["messages"] or [{"offset": len(said) + 1}])[0]
            ok = ask(reader, "subscribe", channel="t115p", recover={"epoch": epoch, "offset": offset})
            if ok["offset"] != len(said) or ok["epoch"] != epoch:
                raise Fail("stands at %s, %d were said" % (ok, len(said)))
            if ok["recovered"] and offset < first["offset"] - 1:
                raise Fail("from %d, although the log begins with %d" % (offset, first["offset"]))
            if not ok["recovered"] and offset >= first["offset"] - 1 and first["offset"] <= len(said):
                again = ask(writer, "history", channel="t115p", limit=1)["messages"]
                if again and offset >= again[0]["offset"] - 1:  # it did not become too old meanwhile
                    raise Fail("not from %d, although the log begins with %d" % (offset, again[0]["offset"]))
            for n in range(offset, len(said)) if ok["recovered"] else ():
                got = hear(reader, "message")
                if (got["offset"], got["data"], got.get("replay")) != (n + 1, said[n], True):
                    raise Fail("wanted %d, got %s" % (n + 1, str(got)[:100]))
            kept, cut = kept + ok["recovered"], cut + (not ok["recovered"])
            ask(reader, "unsubscribe", channel="t115p")
    w.note("%d recovered, %d told that they were not" % (kept, cut))
    if min(kept, cut) < 20:
        raise Fail("%d recovered, %d not: that says little" % (kept, cut))


@row(116, "many are present: pages of at most 1,000, counts without a list, a storm is one frame in 100 ms", slow=True)
def presence(w):
    count = 15000 if w.full else 1500
    with Node(w, env={**UNPACED, "LINNET_LIMITS_COMMANDS": "128"}) as node, \
            Crowd(node.addr, "listen", count, "t116") as crowd, contextlib.ExitStack() as stack:
        crowd.opened()
        watcher = stack.enter_context(node.v1()[0])
        found, after, pages = [], {}, []
        while True:
            page = ask(watcher, "presence", channel="t116", limit=100000, **after)
            pages.append(len(page["members"]))
            found += [m["client"] for m in page["members"]]
            if "next" not in page:
                break
            after = {"after": page["next"]}
        if max(pages) > 1000 or len(set(found)) != count or page["count"] != count:
            raise Fail("pages of %s, %d different, %d counted" % (pages, len(set(found)), page["count"]))
        began = time.perf_counter()
        for _ in range(200):
            ask(watcher, "presence", channel="t116", limit=0)
        w.note("a count takes %.2f ms" % ((time.perf_counter() - began) * 5))
        ask(watcher, "subscribe", channel="t116", presence=True)
        stormers = [stack.enter_context(node.v1()[0]) for _ in range(10)]
        over, frames, changes = threading.Event(), [], [0]
        listener = threading.Thread(target=listen, args=(watcher, over, frames, changes))
        listener.start()
        commands = json.dumps([{"type": kind, "channel": "t116"} for _ in range(50)
                               for kind in ("subscribe", "unsubscribe")])
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < 2:
            for ws in stormers:
                ws.text(commands)
            sent += 100 * len(stormers)
            time.sleep(max(0, sent / 10000 - (time.monotonic() - began)))
        for ws in stormers:
            ask(ws, "ping")
            ask(ws, "subscribe", channel="t116")
        took = time.monotonic() - began
        time.sleep(0.5)
        over.set()
        listener.join()
        w.note("%d changes in %.1f s; %d frames with %d changes" % (sent, took, len(frames), changes[0]))
        if len(frames) > (took + 0.5) * 10 + 2:
            raise Fail("%d frames in %.1f s" % (len(frames), took + 0.5))
        crowd.go()
        wait_until(lambda: ask(watcher, "presence", channel="t116", limit=0)["count"] == count + 11, 5,
                   "not all are counted in the end")


def listen(ws, over, frames, changes):
    """Gathers the diffs that come."""
    while not over.is_set():
        got = ws.next(0.1)
        if got is not None and got.kind == "text":
            for push in [json.loads(got.data)] if got.data[:1] == b"{" else json.loads(got.data):
                if push["type"] == "presence":
                    frames.append(time.monotonic())
                    changes[0] += len(push["joins"]) + len(push["leaves"])


@row(121, "1,000 publications a second over HTTP to one large channel: bounded, or refused with 429 or 503", slow=True)
def publications(w):
    count, seconds = (10000, 10) if w.full else (300, 2)
    with Node(w, env=UNPACED) as node, Crowd(node.addr, "listen", count, "t121") as crowd:
        crowd.opened()
        before, peak = node.rss(), [0]
        over = threading.Event()
        watcher = threading.Thread(target=watch, args=(node, over, peak))
        watcher.start()
        began = time.monotonic()
        answers = publish(node, 1000, seconds)
        took = time.monotonic() - began
        head = node.api("history", {"channel": "t121", "limit": 0})[1]["ok"]["offset"]
        crowd.go()
        told = crowd.result()
        over.set()
        watcher.join()
        w.note("%s in %.1f s; %d in the log; %s; %d MiB more at most" % (
            dict(answers), took, head, told, (peak[0] - before) >> 20))
        if set(answers) - {200, 429, 503, "unanswered"} or not answers[200]:
            raise Fail("answered %s" % dict(answers))
        if not answers[200] <= head <= answers[200] + answers["unanswered"]:
            raise Fail("%s, %d are in the log" % (dict(answers), head))
        if answers["unanswered"] and not w.full:
            raise Fail("%d were never answered" % answers["unanswered"])
        if peak[0] - before > (1024 if w.full else 128) << 20 and not w.asan:
            raise Fail("%d MiB more memory" % ((peak[0] - before) >> 20))
        if told["kept"] + told["cut"] != count or (told["kept"] and not told["level"]):
            raise Fail("the readers: %s" % told)


def watch(node, over, peak):
    while not over.wait(0.05):
        peak[0] = max(peak[0], node.rss())


def publish(node, rate, seconds):
    """At a pace, without waiting for answers, on many connections. Returns how often each status came."""
    body = json.dumps({"channel": "t121", "data": "x" * 100}).encode()
    say = (b"POST /api/v1/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + KEY.encode() +
           b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
    ready, wires = selectors.DefaultSelector(), []
    for _ in range(PUBLISHERS):
        wires.append(Publisher(socket.create_connection(node.addr, 30)))
        ready.register(wires[-1].sock, selectors.EVENT_READ, wires[-1])
    began, said, most = time.monotonic(), 0, rate * seconds
    while time.monotonic() - began < seconds + 30:
        due = min(most, int((time.monotonic() - began) * rate))
        while said < due:
            wires[said % len(wires)].out += say
            said += 1
        for wire in wires:
            wire.flush()
        for key, _ in ready.select(0.005):
            key.data.read()
        if said == most and not any(wire.waits() for wire in wires):
            break
    answers = collections.Counter()
    for wire in wires:
        answers.update(wire.statuses)
        answers["unanswered"] += wire.waits()
        wire.sock.close()
    return +answers


class Publisher:
    """One connection: what is still to be sent, and the statuses that came."""

    def __init__(self, sock):
        self.sock, self.out, self.tail = sock, bytearray(), b""
        self.statuses, self.sent = [], 0
        sock.setblocking(False)

    def flush(self):
        with contextlib.suppress(BlockingIOError):
            n = self.sock.send(self.out) if self.out else 0
            self.sent += self.out[:n].count(b"POST ")
            del self.out[:n]

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            raise Fail("a publisher was dropped")
        self.tail += data
        while (at := self.tail.find(b"\r\n\r\n")) >= 0:
            size = at + 4 + int(self.tail[:at].lower().split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.tail) < size:
                return
            self.statuses.append(int(self.tail[9:12]))
            self.tail = self.tail[size:]

    def waits(self):
        return self.sent - len(self.statuses)
