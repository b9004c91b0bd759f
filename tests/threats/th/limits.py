"""Rows 67 to 80: descriptors, accepting, many connections, names that collide."""
import contextlib
import itertools
import json
import os
import resource
import selectors
import socket
import subprocess
import tempfile
import time

from ct import codec

from .crowd import Crowd
from .peer import Fail, Wire, Ws, answers, frame, request, upgrade, wait_until
from .suite import ROOT, row

GET = request("GET /n?i=1 HTTP/1.1")


def asked(wire, limit=5.0, raw=GET):
    """A GET is answered on a connection that stays open."""
    wire.send(raw)
    got = answers(wire.some(limit) or b"")
    return got[0].status if got else None


@row(67, "descriptors run out while accepting: no spinning, and it goes on when some are free")
def exhausted(w):
    with w.server() as server, contextlib.ExitStack() as stack:
        free = 20
        most = server.fds() + free
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (most, hard))
        wires = [stack.enter_context(Wire(server.addr)) for _ in range(3 * free)]
        wait_until(lambda: server.fds() == most, 5, lambda: "%d descriptors" % server.fds())
        cpu, began = server.cpu(), time.monotonic()
        time.sleep(1)  # what does it do while it can do nothing?
        share = (server.cpu() - cpu) / (time.monotonic() - began)
        w.note("%.1f %% of a core while starved" % (100 * share))
        if share > 0.05:
            raise Fail("%.0f %% of a core" % (100 * share))
        if server.canary.mark()["answered"] == 0:
            raise Fail("the canary waits")
        served = [wire for wire in wires[:free] if asked(wire) == 200]
        if len(served) != free:
            raise Fail("%d of %d accepted ones answered" % (len(served), free))
        for wire in wires[:free]:
            wire.close()
        began = time.monotonic()
        for wire in wires[free:2 * free]:
            if asked(wire, 1.0) != 200:
                raise Fail("not accepted %.1f s after descriptors were free" %
                           (time.monotonic() - began))
        w.note("accepted again after %.2f s" % (time.monotonic() - began))
        told = [line for line in server.log() if line["event"] == "unheard"]
        if len(told) != 1 or not told[0]["accept_failures"]:  # it is not ten seconds yet
            raise Fail("the log says %s" % told)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
        if not server.stats()["accept_failures"]:
            raise Fail("not counted")


@row(67, "started with 300 descriptors: refuses with 503 before it runs out")
def few_descriptors(w):
    with w.server(limits=[(resource.RLIMIT_NOFILE, 300)]) as server, \
            contextlib.ExitStack() as stack:
        statuses = []
        for _ in range(260):
            wire = stack.enter_context(Wire(server.addr))
            statuses.append(asked(wire))
        counts = {s: statuses.count(s) for s in set(statuses)}
        w.note("answers: %s" % counts)
        if counts.get(200) != 149 or not counts.get(503) or set(counts) - {200, 503, None}:
            raise Fail("answers: %s" % counts)
        if server.fds() >= 300:
            raise Fail("%d descriptors" % server.fds())
        first = statuses.index(503)
        if statuses[:first] != [200] * first:
            raise Fail("the limit does not hold in order")


@row(69, "errors of accept4: survived, everybody is served (all of them: src/net/epoll_test.c)")
def accept_errors(w):
    with tempfile.TemporaryDirectory(prefix="threats-") as where:
        shim = os.path.join(where, "shim.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim,
                        os.path.join(ROOT, "tests", "threats", "accept_shim.c"), "-ldl"],
                       check=True, capture_output=True)
        env = {"LD_PRELOAD": shim, "ASAN_OPTIONS": "verify_asan_link_order=0"}
        with w.server(env=env) as server:
            began = time.monotonic()
            for number in range(60):
                with Wire(server.addr) as wire:
                    if asked(wire) != 200:
                        raise Fail("connection %d is not answered" % number)
            w.note("60 connections in %.2f s" % (time.monotonic() - began))
            cpu = server.cpu()
            time.sleep(0.3)
            if server.cpu() - cpu > 0.1:
                raise Fail("spins")


def storm(addr, count, at_once, raw, reset=False):
    """Connects as fast as it can, asks, reads to the end. Returns the longest wait."""
    waiting, worst, made, served = selectors.DefaultSelector(), 0, 0, 0
    born = {}
    while served < count:
        while made < count and len(born) < at_once:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(addr)
            born[sock] = time.monotonic()
            waiting.register(sock, selectors.EVENT_WRITE)
            made += 1
        for key, events in waiting.select(5) or [(None, 0)]:
            if key is None:
                raise Fail("%d of %d served, then nothing for 5 s" % (served, count))
            sock = key.fileobj
            if events & selectors.EVENT_WRITE:
                sock.send(raw)
                waiting.modify(sock, selectors.EVENT_READ)
                continue
            data = sock.recv(4096)
            if not data.startswith(b"HTTP/1.1 200"):
                raise Fail("answered %r" % data[:60])
            worst = max(worst, time.monotonic() - born.pop(sock))
            waiting.unregister(sock)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
            served += 1
    return worst


@row(70, "4,096 may wait to be accepted")
def backlog(w):
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as text:
        most = min(4096, int(text.read()))
    said = subprocess.run(["ss", "-Hltn", "sport = :%d" % w.addr[1]], check=True,
                          capture_output=True, text=True).stdout.split()
    if said[:3] != ["LISTEN", said[1], str(most)]:
        raise Fail("ss says %s" % said)


@row(70, "a storm of connects: everybody is served, nobody waits long")
def connects(w):
    """In full 50,000, up to 15,000 of them at a time, as fast as one process of ours can: that is
    several seconds, where the catalogue has one."""
    count = 50000 if w.full else 3000
    began = time.monotonic()
    worst = storm(w.addr, count, 15000 if w.full else 2000, GET, reset=True)
    w.note("%d in %.1f s, the longest wait %.2f s" % (count, time.monotonic() - began, worst))
    if worst > 5:
        raise Fail("somebody waited %.1f s" % worst)


@row(70, "a storm of handshakes, thousands at a time: who is there already is answered as before")
def handshakes(w):
    """One worker, which the canary shares with all of them, and a client in C. It comes with the
    lowest priority, because what is measured is the server and not who gets the processor."""
    with w.server("--workers", "1", verb="serve") as server:
        server.canary.mark()
        said = subprocess.run(
            ["nice", "-n", "19", w.program("linnet"), "bench", "connect", "--json", "--connections",
             "4000", "--sources", "4", "--warmup", "0", "--duration", "6" if w.full else "2",
             "ws://%s:%d/ws" % server.addr], check=True, capture_output=True, text=True).stdout
        seen, storm_said = server.canary.mark(), json.loads(said.splitlines()[-1])
        w.note("%.0f handshakes/s, the longest %.2f s; the canary: p99 %.1f ms, worst %.1f ms" %
               (storm_said["rate"], storm_said["max_us"] / 1e6, seen["p99"] * 1e3,
                seen["worst"] * 1e3))
        if seen["lost"] or not seen["answered"]:
            raise Fail("the canary was lost: %s" % seen["lost"])
        if seen["p99"] > (0.5 if w.asan else 0.05 if w.full else 0.2):
            raise Fail("the canary waited %.0f ms" % (seen["p99"] * 1e3))
        if storm_said["max_us"] > 5e6 and not w.asan:
            raise Fail("somebody waited %.1f s" % (storm_said["max_us"] / 1e6))


def time_waits(port):
    with open("/proc/net/tcp", encoding="ascii") as table:
        return sum(1 for line in table if " 06 " in line and
                   line.split()[1].endswith(":%04X" % port))


@row(71, "connect and close, again and again: memory and descriptors stay flat")
def churn(w):
    """In full 600,000 times, which is 10,000/s for a minute, as fast as this machine can."""
    def round_of(count, crowds=1):
        with contextlib.ExitStack() as stack:
            all_of_them = [stack.enter_context(Crowd(w.addr, "churn", count // crowds))
                           for _ in range(crowds)]
            for crowd in all_of_them:
                crowd.opened()
            for crowd in all_of_them:
                crowd.go()
            seconds = max(crowd.result()["seconds"] for crowd in all_of_them)
        wait_until(lambda: w.shared.fds() <= w.shared.fds_before, 10, "descriptors")
        return count / seconds
    round_of(1000)  # pools fill once
    before, refused = w.shared.rss(), w.stats()["accept_refusals"]
    count = 600000 if w.full else 3000
    rate = round_of(count, 3 if w.full else 1)
    grown, waits = w.shared.rss() - before, time_waits(w.addr[1])
    w.note("%d connections, %.0f/s, %d KiB, %d in TIME_WAIT here" %
           (count, rate, grown >> 10, waits))
    if grown > 2 << 20 and not w.asan:
        raise Fail("%d KiB more memory" % (grown >> 10))
    if waits > 32768:
        raise Fail("%d connections in TIME_WAIT" % waits)
    if w.stats()["accept_refusals"] != refused:
        raise Fail("connections were closed unheard")


def names_that_collide(count):
    """All equal under djb2 and its like (h * 33 + byte): 33 * 'E' + 'z' = 33 * 'F' + 'Y'."""
    return ["".join(p) for p in itertools.islice(
        itertools.product(("Ez", "FY"), repeat=max(1, (count - 1).bit_length())), count)]


def names_at_random(count):
    length = 2 * max(1, (count - 1).bit_length())
    return [os.urandom(length // 2).hex() for _ in range(count)]


def subscribe_all(w, names):
    """CPU seconds to subscribe, publish to each once and leave."""
    with w.cost() as cost:
        peers = []
        for at in range(0, len(names), 128):
            ws = w.ws("/ps")
            ws.text("+" + ",".join(names[at:at + 128]))
            peers.append((ws, names[at:at + 128]))
        for ws, mine in peers:
            ws.send(b"".join(frame(codec.TEXT, "=%s\n." % name) for name in mine[:16]))
            for _ in mine[:16]:
                ws.expect("text", ".")
        for number, (ws, _) in enumerate(peers):
            ws.put(codec.CLOSE)
            if number % 16 == 0:  # at the server's pace: this is no storm
                ws.expect("close", limit=30)
            ws.close()
        wait_until(lambda: w.shared.fds() <= w.shared.fds_before, 10, "descriptors")
    return cost.cpu


def as_at_random(w, what, spend, turns=5):
    """spend(make) is CPU seconds. Whatever else the machine does only adds to them, so of several
    turns the least of each counts."""
    least = [min(times) for times in zip(*[
        (spend(names_at_random), spend(names_that_collide)) for _ in range(turns)])]
    ratio = least[1] / least[0]
    w.note("%s: %.1f ms at random, %.1f ms colliding, ratio %.2f" %
           (what, least[0] * 1e3, least[1] * 1e3, ratio))
    if ratio > 1.5:
        raise Fail("%s that collide cost %.2f times as much" % (what, ratio))


@row(80, "topic names that collide under weak hashes cost no more (keyed hash: src/base/map_test.c)")
def collisions(w):
    count = 100000 if w.full else 4096
    subscribe_all(w, names_at_random(1024))
    as_at_random(w, "%d names" % count, lambda make: subscribe_all(w, make(count)))


@row(80, "60 field names that collide under weak hashes cost no more")
def colliding_fields(w):
    def spend(make):
        raw = request("GET /n?i=1 HTTP/1.1", *["%s: x" % name for name in make(60)])
        with w.cost() as cost, w.wire() as wire:
            for _ in range(100):
                if asked(wire, raw=raw) != 200:
                    raise Fail("not answered")
        return cost.cpu
    as_at_random(w, "60 fields", spend)
