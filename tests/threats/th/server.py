"""A server under attack, and the oracle that every row has to pass.

The oracle: the same process is alive and has said nothing that a sanitizer says; the
canary on another connection was answered all the time; the descriptors are back to what
they were; so is the gauge of connections, where the server shows one.
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

from .peer import Fail, TIMEOUT, Wire, answers, request, wait_until

# Who is not root may count the descriptors of a server only if it lets him.
if os.getuid() != 0:
    os.environ.setdefault("LINNET_CORE_DUMPS", "1")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
READY = re.compile(r"listening on (ws|wss)://(\S+):(\d+)")
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|runtime error:|Assertion .* failed).*")
FDS_BACK = 10.0


class Canary:
    def __init__(self, addr, tls, kind):
        self.child = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tests", "threats", "run"), "--canary",
             addr[0], str(addr[1]), "tls" if tls else "plain", kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.child.stdout.readline() != "ready\n":
            raise Fail("the canary could not begin")

    def mark(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def stop(self):
        self.child.stdin.close()
        self.child.wait(TIMEOUT)
        self.child.stdout.close()


class Server:
    """argv after the tree: `target` or `linnet echo`... `gauge`: it has /stats."""

    def __init__(self, argv, env=None, limits=None, tls=False, canary="echo", gauge=False,
                 group=None):
        self.tls, self.gauge = tls, gauge
        self.said = tempfile.NamedTemporaryFile("w+", prefix="threats-", suffix=".err")

        def prepare():
            if group:  # a cgroup
                with open(group + "/cgroup.procs", "w", encoding="ascii") as procs:
                    procs.write(str(os.getpid()))
            for what, most in limits or ():
                resource.setrlimit(what, (most, most))

        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.said, text=True,
                                      env={**os.environ, **(env or {})}, preexec_fn=prepare)
        line = self.child.stdout.readline()
        m = READY.search(line)
        if not m:
            self.child.kill()
            raise Fail("no ready line from %s but %r; %s" % (argv[0], line, self.words()))
        self.addr = (m.group(2).strip("[]"), int(m.group(3)))
        self.pid, self.began = self.child.pid, time.monotonic()
        self.canary = Canary(self.addr, tls, canary)
        self.settle()

    # what it is made of

    def words(self):
        self.said.flush()
        with open(self.said.name, encoding="utf-8", errors="replace") as text:
            return text.read()

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def rss(self):
        with open("/proc/%d/statm" % self.pid, encoding="ascii") as text:
            return int(text.read().split()[1]) * 4096

    def cpu(self):
        """Seconds that all its threads ran, to the nanosecond."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.pid, task), encoding="ascii") as text:
                total += int(text.read().split()[0])
        return total / 1e9

    def trim(self):
        """Gives back what malloc keeps: what is left then is the server's."""
        with Wire(self.addr, tls=self.tls) as wire:
            wire.send(request("GET /trim HTTP/1.1", "Connection: close"))
            wire.rest()

    def stats(self):
        with Wire(self.addr, tls=self.tls) as wire:
            wire.send(request("GET /stats HTTP/1.1", "Connection: close"))
            return json.loads(answers(wire.rest())[0].body)

    # the oracle

    def settle(self):
        """Takes what is there now for the baseline."""
        if self.gauge:
            self.connections = self.stats()["connections"]
        counts = []
        for _ in range(6):  # our own question about /stats is on its way out
            time.sleep(0.005)
            counts.append(self.fds())
        self.fds_before = min(counts)
        self.canary.mark()

    def gone_wrong(self):
        if self.child.poll() is not None:
            return "the server left with %d: %s" % (self.child.returncode, self.words()[-2000:])
        m = SANITIZER.search(self.words())
        return m and "the server says: " + self.words()[m.start():m.start() + 3000]

    def judge(self):
        """Raises Fail unless all is as it was."""
        if wrong := self.gone_wrong():
            raise Fail(wrong)
        wait_until(lambda: self.fds() <= self.fds_before, FDS_BACK,
                   lambda: "%d descriptors, %d before" % (self.fds(), self.fds_before))
        seen = self.canary.mark()
        if seen["lost"]:
            raise Fail("the canary was dropped: " + seen["lost"])
        if not seen["answered"]:
            seen = wait_until(lambda: (s := self.canary.mark())["answered"] and s, TIMEOUT,
                              "the canary was not answered")
        self.seen = seen
        if self.gauge:
            wait_until(lambda: self.stats()["connections"] == self.connections, FDS_BACK,
                       lambda: "the server counts %d connections, %d before" %
                       (self.stats()["connections"], self.connections))

    def log(self):
        """What it has logged, in order; whatever else it says is no JSON."""
        return [json.loads(line) for line in self.words().splitlines() if line.startswith("{")]

    def judge_log(self):
        """Every refusal was told of, or counted among those that were too many to tell."""
        time.sleep(1.1)  # in the next second it says how many there were
        with Wire(self.addr, tls=self.tls) as wire:
            wire.send(request("GET /none HTTP/1.1"))
            wire.rest()
        told, seconds = self.log(), time.monotonic() - self.began
        lines = [line for line in told if line["event"] == "refused"]
        hidden = sum(line["lines"] for line in told if line["event"] == "suppressed")
        hidden -= sum(line["event"] == "unheard" for line in told)
        counted = self.stats()["rejects"]
        if not counted - 5 <= len(lines) + hidden <= counted:
            raise Fail("%d refusals, %d told of, %d not" % (counted, len(lines), hidden))
        if len(told) > 102 * (seconds + 2):
            raise Fail("%d lines in %.0f s" % (len(told), seconds))
        for line in lines:
            if sorted(line) != ["code", "conn", "event", "peer", "reason", "worker"]:
                raise Fail("the log says %s" % line)

    def stop(self):
        """It ends in order when asked to. Raises Fail if not."""
        self.canary.stop()
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(40)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Fail("the server does not end") from None
        finally:
            self.child.stdout.close()
        words = self.words()
        self.said.close()
        if code != 0 or SANITIZER.search(words):
            raise Fail("the server left with %d: %s" % (code, words[-3000:]))


class Cost:
    """What an attack cost: CPU seconds, the highest RSS above the first, wall seconds."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.done = threading.Event()
        self.base = self.peak = self.server.rss()
        self.cpu, self.began = self.server.cpu(), time.monotonic()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self):
        while not self.done.wait(0.005):
            self.peak = max(self.peak, self.server.rss())

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.cpu = self.server.cpu() - self.cpu
        self.seconds = time.monotonic() - self.began
        self.grown = max(self.peak, self.server.rss()) - self.base
