"""Rows 75 and 76 against `linnet serve`: more waits to be sent than there is memory for.

The server is put into a memory cgroup of its own, version 1 or 2, where one can be made here, so
that its budgets come from what it finds there and the kernel would end it if they did not hold.
Elsewhere, and under sanitizers, whose own memory is larger than that, the budgets are said."""
import contextlib
import json
import os
import time

from .crowd import Crowd
from .native import V1, Client
from .peer import Fail, Wire, Ws, answers, request, upgrade, wait_until
from .suite import row

GROUPS = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))
MIB = 1 << 20
DATA = "x" * 60000
KEY = "threats-row-075-and-076"


def made(limit):
    """The folder of a new group; None: none can be made here."""
    for at, name in GROUPS:
        group = "%s/linnet-threats-%d" % (at, os.getpid())
        with contextlib.suppress(OSError):
            os.mkdir(group)
            with contextlib.suppress(OSError), open(group + "/" + name, "r+") as f:
                f.write(str(limit))
                return group
            os.rmdir(group)
    return None


def numbers(path):
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as text:
        return {words[0]: int(words[-1]) for words in map(str.split, text) if words}
    return {}


def killed(group):
    for name in ("memory.oom_control", "memory.events"):
        said = numbers(group + "/" + name)
        if "oom_kill" in said:
            return said["oom_kill"]
    return 0


@contextlib.contextmanager
def serving(w, limit, *args, age=None):
    """A server that has so much memory. Its budget for what waits is a quarter of it."""
    env = {"LINNET_LIMITS_PUBLISH_RATE": "off", "LINNET_API_KEY": KEY}
    if age:
        env["LINNET_QUEUE_AGE"] = age
    group = None if w.asan else made(limit)
    if not group:
        env.update(LINNET_QUEUE_TOTAL=str(limit // 4), LINNET_HISTORY_ALL=str(limit // 4))
    w.note("memory cgroup %s, %d MiB" % (group, limit // MIB) if group else
           "no memory cgroup: budgets of %d MiB" % (limit // 4 // MIB))
    try:
        with w.server("--workers", "2", *args, verb="serve", env=env, group=group) as server:
            yield server
            if group and killed(group):
                raise Fail("the kernel had to end something: %d" % killed(group))
    finally:
        if group:
            wait_until(lambda: not gone(group), 5, "the group is not empty")


def gone(group):
    try:
        os.rmdir(group)
    except OSError as why:
        return why
    return None


def metric(server, name):
    with Wire(server.addr) as wire:
        wire.send(request("GET /metrics HTTP/1.1", "Connection: close",
                          "Authorization: Bearer " + KEY, host="127.0.0.1"))
        for line in answers(wire.rest())[0].body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise Fail("there is no %s" % name)


def post(server, channel):
    """Its status, and what the API said."""
    body = json.dumps({"channel": channel, "data": 1})
    with Wire(server.addr) as wire:
        wire.send(request("POST /api/v1/publish HTTP/1.1", "Connection: close",
                          "Authorization: Bearer " + KEY, "Content-Type: application/json",
                          "Content-Length: %d" % len(body), host="127.0.0.1",
                          body=body.encode()))
        return answers(wire.rest())[0]


class Writer(Client):
    def publish(self, channel):
        """The error of it; None: it was taken."""
        self.id += 1
        self.ws.text(json.dumps({"type": "publish", "id": self.id, "channel": channel,
                                 "data": DATA}))
        said = {}
        while said.get("re") != self.id:
            got = self.ws.next()
            if not got or got.kind != "text":
                raise Fail("the publisher got %s" % (got,))
            said = json.loads(got.data)
        return said.get("error")


def crowded(writer, count, limit, name="t075"):
    """Publishes to each reader's channel in turn until it is refused; the error."""
    sent = 0
    for number in range(4 * limit // len(DATA)):
        if (error := writer.publish("%s.%d" % (name, number % count))):
            return error, sent
        sent += 1
    raise Fail("%d MiB were taken" % (sent * len(DATA) // MIB))


def again(writer, channel):
    """Who waits a moment can publish; who does not would be closed with 3009."""
    for _ in range(50):
        if not writer.publish(channel):
            return
        time.sleep(0.2)
    raise Fail("nobody publishes again")


@row(75, "readers of channels of their own stop reading: largest queues first, publishers wait")
def over_the_budget(w):
    limit, count = (512 * MIB, 5000) if w.full else (256 * MIB, 200)
    with serving(w, limit, age="60s") as server:  # it is about how much waits, not about how long
        inside = w.against(server)
        with Crowd(server.addr, "deaf", count, "t075") as crowd, Writer(inside) as writer, \
                Writer(inside) as other, Ws(server.addr, "/ws", V1) as quick:
            quick.expect("text")
            quick.text('{"type":"subscribe","id":1,"channel":"t075.quick"}')
            quick.expect("text")
            crowd.opened()
            rss, rounds, over = server.rss(), 0, 0
            while rounds < 5:
                error, _ = crowded(writer, count, limit)
                rounds += 1
                if (error["code"], error["retry"]) != (108, True) or \
                        not 0 < error["retry_after"] <= 5000:
                    raise Fail("a publisher is told %s" % error)
                answer = post(server, "t075.api")
                if answer.status == 503:
                    over += 1
                    if not answer.one("retry-after") or b'"retry_after":' not in answer.body:
                        raise Fail("the API says %s" % answer.head)
                elif answer.status != 200:
                    raise Fail("the API answers %d" % answer.status)
                again(other, "t075.quick")
                if json.loads(quick.expect("text").data)["channel"] != "t075.quick":
                    raise Fail("the quick reader hears of something else")
            cut = metric(server, 'linnet_rejects_total{reason="SLOW"}')
            w.note("%d rounds, %d cut, %d answers of 503, %.0f MiB more" %
                   (rounds, cut, over, (server.rss() - rss) / MIB))
            if not 0 < cut < count * rounds:
                raise Fail("%d are cut" % cut)
            if server.rss() - rss > limit * 3 // 4 and not w.asan:
                raise Fail("%d MiB are held" % ((server.rss() - rss) // MIB))


@row(76, "little memory, many connections, floods: new work is refused, who is there stays")
def little_memory(w):
    limit, count = 256 * MIB, 19000 if w.full else 2000
    with serving(w, limit) as server:
        inside, statuses, refused = w.against(server), set(), 0
        with Crowd(server.addr, "stay", count) as idle, Writer(inside) as writer, Client(inside) as old:
            idle.opened()
            idle.go()
            for flood in range(4 if w.full else 1):  # who does not read is sent away after ten seconds
                refused += flooded(inside, writer, old, limit, "t076.%d" % flood, statuses)
            w.note("refused %d times, handshakes then %s, %.0f MiB" %
                   (refused, sorted(statuses), server.rss() / MIB))
            if not statuses <= {101, 503}:
                raise Fail("a handshake is answered %s" % statuses)
            old.ask("ping")
            idle.go()
            if (report := idle.result())["kept"] != count:
                raise Fail("of %d idle clients %d are there" % (count, report["kept"]))


def flooded(w, writer, old, limit, name, statuses):
    """Readers who do not read, and publishers, for five seconds: how often those were refused."""
    refused = 0
    with Crowd(w.addr, "deaf", 300, name) as deaf:
        deaf.opened()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            crowded(writer, 300, limit, name)
            refused += 1
            with Wire(w.addr) as wire:
                wire.send(upgrade("/ws", V1))
                answer = answers(wire.some(2) or b"")
                statuses.add(answer[0].status if answer else 0)
            old.ask("ping")
            again(writer, name + ".more")
    return refused
