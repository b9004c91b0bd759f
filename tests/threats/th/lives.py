"""A `linnet serve` that may die and come back on the same port, and a crowd's own reading."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time

from ct.codec import PONG

from .native import V1
from .peer import Fail, Ws

KEY = "a-key-of-the-hostile-rows-0123456789"
BACK_S = 1.0  # from the kill to ready


def free_port():
    """One below those that the kernel gives to clients, so that it is free for each life."""
    for port in random.sample(range(12000, 20000), 100):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Fail("no port is free")


class Node:
    """with Node(w, flags...) as node: it is there; node.kill() and node.start() as often as one
    likes; at the end it has to leave in order."""

    def __init__(self, w, *flags, env=None):
        self.addr = ("127.0.0.1", free_port())
        self.argv = [w.program("linnet"), "serve", "--listen", "%s:%d" % self.addr, "--workers", "2", *flags]
        self.env = {**os.environ, "LINNET_API_KEY": KEY, **(env or {})}
        self.err = tempfile.TemporaryFile("w+")
        self.start()

    def start(self):
        began = time.monotonic()
        self.child = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=self.err, env=self.env)
        line = self.child.stdout.readline()
        if b"listening on" not in line:
            raise Fail("it does not start: %r; %s" % (line, self.words()))
        return time.monotonic() - began

    @property
    def pid(self):
        return self.child.pid

    def words(self):
        self.err.seek(0)
        return self.err.read()[-2000:]

    def signal(self, what):
        self.child.send_signal(what)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()
        self.child.stdout.close()

    def left(self, limit=40):
        """Its exit code."""
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            raise Fail("it is still there after %d s" % limit) from None

    def stop(self):
        self.signal(signal.SIGTERM)
        if self.left() != 0:
            raise Fail("it left with %d: %s" % (self.child.returncode, self.words()))

    def rss(self):
        with open("/proc/%d/statm" % self.pid, encoding="ascii") as text:
            return int(text.read().split()[1]) * 4096

    def ws(self, path="/ws", *more, **how):
        return Ws(self.addr, path, *more, **how)

    def v1(self, path="/ws"):
        """A connection that has had its welcome: (socket, welcome)."""
        ws = self.ws(path, V1)
        return ws, json.loads(ws.expect("text").data)

    def api(self, method, body, timeout=10):
        """(status, answer)."""
        wire = http.client.HTTPConnection(*self.addr, timeout=timeout)
        try:
            return call(wire, method, body)
        finally:
            wire.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.child.poll() is None:
                self.stop()
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()
            self.child.stdout.close()
            self.err.close()


def call(wire, method, body):
    wire.request("POST", "/api/v1/" + method, json.dumps(body),
                 {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
    answer = wire.getresponse()
    return answer.status, json.loads(answer.read())


def ask(ws, kind, **fields):
    """The answer to one question; pings are answered, whatever else comes meanwhile is dropped."""
    number = ask.number = ask.number + 1
    ws.text(json.dumps({"type": kind, "id": number, **fields}))
    while True:
        got = ws.next()
        if got is not None and got.kind == "ping":
            ws.put(PONG, got.data)
            continue
        if got is None or got.kind != "text":
            raise Fail("wanted an answer to %s, got %s" % (kind, got))
        said = json.loads(got.data)
        for one in said if isinstance(said, list) else [said]:
            if one.get("re") == number:
                return one


ask.number = 0


def hear(ws, kind):
    """The next push of this type; pings are answered."""
    while True:
        while ws.waiting:
            if (said := ws.waiting.pop(0))["type"] == kind:
                return said
        if (got := ws.next()) is None or got.kind not in ("ping", "text"):
            break
        if got.kind == "ping":
            ws.put(PONG, got.data)
        else:
            said = json.loads(got.data)
            ws.waiting = said if isinstance(said, list) else [said]
    raise Fail("wanted %s, got %s" % (kind, (got,)))
