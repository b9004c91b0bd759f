"""Rows, and how they are run: one test of TAP each.

Fast rows run one after the other against one shared server, and each is followed by the
oracle. Slow rows mostly wait for a timeout of the server, so they all run at once, in
threads, against a server of their own, which is judged when the last has ended. A row that
spoils or needs its own server starts one (`w.server()`), which is judged when the row ends.
"""
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from .peer import Fail, Ws, Wire, answers, wait_until
from .server import ROOT, Cost, Server

ROWS = []
MEMORY_KEPT = 2 << 20  # what a row may leave behind


def row(number, title, slow=False, full=False):
    """Declares a test. full: only with --full."""
    def declare(fn):
        fn.title, fn.slow, fn.full = "T%03d %s" % (number, title), slow, full
        ROWS.append(fn)
        return fn
    return declare


class World:
    """What a row gets: its servers and ways to talk to them."""

    def __init__(self, tree, full, shared):
        self.tree, self.full, self.shared = tree, full, shared
        self.asan = "asan" in tree or "tsan" in tree
        self.notes = []

    @property
    def addr(self):
        return self.shared.addr

    def program(self, *path):
        return os.path.join(ROOT, self.tree, *path)

    @contextlib.contextmanager
    def server(self, *args, verb=None, **how):
        """A server of this row's own: the target, or a verb of linnet."""
        if verb:
            argv = [self.program("linnet"), verb, "--listen", "127.0.0.1:0", *args]
            how.setdefault("canary", "native")
        else:
            argv = [self.program("tests", "threats", "target"), *args]
            how.setdefault("gauge", True)
        server = Server(argv, **how)
        try:
            yield server
            server.judge()
        except BaseException:
            with contextlib.suppress(Fail):
                server.stop()
            raise
        server.stop()

    def against(self, server):
        """The same row's world, but with another victim."""
        return World(self.tree, self.full, server)

    def wire(self, **how):
        return Wire(self.addr, **how)

    def ws(self, path="/echo", *more, **how):
        return Ws(self.addr, path, *more, **how)

    def stats(self):
        return self.shared.stats()

    def cost(self):
        return Cost(self.shared)

    def note(self, words):
        """A figure for the reader; not judged."""
        self.notes.append(words)

    def ask(self, raw, limit=10.0, **how):
        """Sends bytes, reads to the end: (responses, how it ended)."""
        with self.wire(**how) as wire:
            wire.send(raw)
            return answers(wire.rest(limit)), wire.ended

    @contextlib.contextmanager
    def nothing_happens(self, rejects=None, fits=None):
        """No request of the attacker gets through to the program, and each refusal is counted
        once, under a reason that fits. (Messages are counted too, but the canary's are among
        them.)"""
        if not self.shared.gauge:
            yield
            return
        before = self.stats()
        yield
        after = self.stats()
        if after["posts"] != before["posts"]:
            raise Fail("%d requests were executed" % (after["posts"] - before["posts"]))
        counted = after["rejects"] - before["rejects"]
        if rejects is not None and counted != rejects:
            raise Fail("%d refused, %d counted" % (rejects, counted))
        rose = {reason: n - before["reasons"].get(reason, 0)
                for reason, n in after["reasons"].items()}
        if sum(rose.values()) != counted:
            raise Fail("%d counted, but by reason %s" % (counted, rose))
        if odd := [reason for reason, n in rose.items() if n and fits and not fits(reason)]:
            raise Fail("counted as %s" % ", ".join(odd))


class Listener:
    """A subscriber that must hear only what it should: for 'no side effect'."""

    def __init__(self, w, topic):
        self.topic, self.ws, self.number = topic, w.ws("/ps"), 0
        self.ws.text("+" + topic)
        self.silent()

    def silent(self):
        """Nothing was published since: a marker of our own is the next to come."""
        self.number += 1
        marker = "marker %d" % self.number
        self.ws.text("=%s\n%s" % (self.topic, marker))
        got = self.ws.next()
        if got is None or got.data != marker.encode():
            raise Fail("the subscriber got %s" % (got,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ws.close()


def every(cases, judge):
    """A corpus is one test: judge(*case) raises Fail; all failing inputs are told."""
    wrong = []
    for reason, *case in cases:
        try:
            judge(*case)
        except Fail as why:
            wrong.append("%s: %s" % (reason, why))
    if wrong:
        raise Fail("%d of %d:\n" % (len(wrong), len(cases)) + "\n".join(wrong[:20]))


class Run:
    def __init__(self, tree, full=False, only=None, fast=False):
        pattern = re.compile(only or "")
        self.rows = [r for r in ROWS if (full or not r.full) and not (fast and r.slow) and
                     pattern.search(r.title)]
        self.tree, self.full = tree, full
        self.lock, self.count, self.failed = threading.Lock(), 0, 0

    def say(self, title, why, seconds, notes=()):
        with self.lock:
            self.count += 1
            self.failed += why is not None
            print("%sok %d - %s" % ("not " if why is not None else "", self.count, title))
            for line in (why or "").splitlines():
                print("#   " + line[:400])
            for line in notes:
                print("#   " + line)
            if seconds > 3 or self.full:
                print("#   %.1f s" % seconds)
            print(end="", flush=True)

    def one(self, fn, server, judge):
        world, why, began = World(self.tree, self.full, server), None, time.monotonic()
        try:
            if self.full:
                server.trim()
            before = server.rss()
            fn(world)
            if judge:
                server.judge()
                if self.full:
                    self.canary(world, server)
                    self.memory(world, server, before)
        except (Fail, OSError, subprocess.SubprocessError) as err:
            why = str(err) or repr(err)
        except Exception:  # a broken row is a failed row, and the others go on
            why = traceback.format_exc()
        self.say(fn.title, why, time.monotonic() - began, world.notes)

    def canary(self, world, server):
        """Beside another canary, of a server that nobody attacks. Judged only where the machine
        has time: under foreign load each millisecond of the server's lasts several."""
        seen, calm = server.seen["p99"], self.calm.canary.mark()["p99"]
        busy = os.getloadavg()[0] > os.cpu_count() + 2
        world.note("canary p99 %.1f ms, without attack %.1f ms%s" %
                   (seen * 1e3, calm * 1e3, " (busy machine: not judged)" if busy else ""))
        if seen > max(0.05, 3 * calm) and not busy:
            raise Fail("the canary waits %.0f ms" % (seen * 1e3))

    def memory(self, world, server, before):
        """Soon it is what it was, apart from what malloc keeps for later. A channel that nobody
        has any more stays for ten seconds, so that is not the limit but a bit more."""
        def kept():
            server.trim()
            return server.rss() - before
        if not world.asan:
            world.note("%d KiB more memory, %d trimmed" %
                       ((server.rss() - before) >> 10, kept() >> 10))
            wait_until(lambda: kept() <= MEMORY_KEPT, 12, lambda:
                       "%d KiB are kept" % (kept() >> 10))

    def target(self):
        return Server([os.path.join(ROOT, self.tree, "tests", "threats", "target")], gauge=True)

    def run(self):
        if not self.rows:
            print("no row has such a title here; they begin with T001 to T080, and some run in full only",
                  file=sys.stderr)
            return 2
        slow = [r for r in self.rows if r.slow]
        fast = [r for r in self.rows if not r.slow]
        batch = threading.Thread(target=self.slow_rows, args=(slow,))
        if slow:
            batch.start()
        if fast:
            server = self.target()
            if self.full:
                self.calm = self.target()
            for fn in fast:
                self.one(fn, server, True)
                if server.gone_wrong():
                    server = self.target()
            self.end("T000 the server of the fast rows ends in order", server)
            if self.full:
                self.calm.stop()
        if slow:
            batch.join()
        print("1..%d" % self.count)
        return 1 if self.failed or not self.count else 0

    def slow_rows(self, rows):
        server = self.target()
        threads = [threading.Thread(target=self.one, args=(fn, server, False)) for fn in rows]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.end("T000 the server of the slow rows is as it was, and ends in order", server)

    def end(self, title, server):
        why, began = None, time.monotonic()
        try:
            server.judge()
            server.judge_log()
        except Fail as err:
            why = str(err)
        try:
            server.stop()
        except Fail as err:
            why = why or str(err)
        self.say(title, why, time.monotonic() - began)


def certificate():
    """A key and a self-signed certificate, made for this run: (directory, cert, key)."""
    where = tempfile.TemporaryDirectory(prefix="threats-")
    cert, key = os.path.join(where.name, "cert.pem"), os.path.join(where.name, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return where, cert, key
