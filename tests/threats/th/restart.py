"""Rows of dying, stopping and clocks against `linnet serve`: 117, 119, 163, 164, 168, 170, 176."""
import contextlib
import glob
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from ct.codec import PONG

from .crowd import Crowd
from .identity import SECRET, token
from .lives import BACK_S, KEY, Node, ask, call, hear
from .peer import Fail, request, wait_until
from .server import ROOT
from .suite import certificate, every, row

CLOEXEC = 0o2000000


@row(117, "killed with many present: who comes back is there once, and nobody leaves after coming", slow=True)
def present_once(w):
    count = 3000 if w.full else 200
    with Node(w) as node, contextlib.ExitStack() as stack:
        def arrive():
            come = [stack.enter_context(node.v1()[0]) for _ in range(count)]
            for ws in come:
                ask(ws, "subscribe", channel="t117")
            return come

        def members(ws):
            found, after = [], {}
            while True:
                page = ask(ws, "presence", channel="t117", **after)
                found += [m["client"] for m in page["members"]]
                if "next" not in page:
                    return found
                after = {"after": page["next"]}
        first = arrive()
        wait_until(lambda: len(members(first[0])) == count, 5, "not all are listed before")
        node.kill()
        if node.start() > BACK_S and not w.asan:
            raise Fail("it took longer than %g s to come back" % BACK_S)
        watcher, _ = node.v1()
        stack.enter_context(watcher)
        ask(watcher, "subscribe", channel="t117", presence=True)
        second = arrive()
        wait_until(lambda: len(members(second[0])) > count, 5, "not all are listed")
        found = members(second[0])
        if len(found) != count + 1 or len(set(found)) != len(found):
            raise Fail("%d are listed, %d of them different, %d are there" %
                       (len(found), len(set(found)), count + 1))
        comings, end = [], time.monotonic() + 10
        while len(set(comings)) < count and time.monotonic() < end:
            if (got := watcher.next(1)) is None:
                continue
            for push in flat(got.data):
                if push.get("leaves"):
                    raise Fail("somebody leaves: %s" % push["leaves"])
                comings += [m["client"] for m in push.get("joins", ())]
        if sorted(set(comings)) != sorted(set(found) & set(comings)) or len(comings) != len(set(comings)):
            raise Fail("%d comings of %d" % (len(comings), len(set(comings))))
        if len(comings) < count:
            raise Fail("%d of %d comings are told" % (len(comings), count))


def flat(data):
    said = json.loads(data)
    return said if isinstance(said, list) else [said]


@row(119, "one key: one place, on any connection, from two at once; a death of the node begins a new epoch", slow=True)
def one_key(w):
    with Node(w) as node, node.v1()[0] as reader:
        epoch = ask(reader, "subscribe", channel="t119")["epoch"]
        say = {"channel": "t119", "data": "first", "key": "order-1"}

        def once(where, wire=None, **other):
            status, answer = call(wire, "publish", {**say, **other}) if wire else node.api("publish", {**say, **other})
            if (status, answer.get("ok")) != (200, where):
                raise Fail("wanted %s, got %d %s" % (where, status, answer))
        first = {"epoch": epoch, "offset": 1}
        once(first)
        once(first, data="second")  # on another connection
        wires = [http.client.HTTPConnection(*node.addr, timeout=10) for _ in range(20)]
        for wire in wires:  # all at once, before any is answered
            wire.request("POST", "/api/v1/publish", json.dumps({**say, "key": "order-2"}),
                         {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
        for wire in wires:
            answer = json.loads(wire.getresponse().read())
            if answer.get("ok") != {"epoch": epoch, "offset": 2}:
                raise Fail("of 20 at once one is answered %s" % answer)
            wire.close()
        once({"epoch": epoch, "offset": 3}, key="order-3")
        heard = [hear(reader, "message")["offset"] for _ in range(3)]
        if heard != [1, 2, 3]:
            raise Fail("heard %s" % heard)
        node.kill()
        node.start()
        with node.v1()[0] as back:
            again = ask(back, "subscribe", channel="t119", recover={"epoch": epoch, "offset": 3})
            if again.get("recovered") is not False or again["epoch"] == epoch or again["offset"] != 0:
                raise Fail("after its death: %s" % again)  # class D1: the log is gone, and it says so
            once({"epoch": again["epoch"], "offset": 1})
            once({"epoch": again["epoch"], "offset": 1})


@row(163, "10,000 clients are sent away: not ready first, in waves, each with a time to return", full=True, slow=True)
def many_leave(w):
    with Node(w) as node, Crowd(node.addr, "leave", 10000) as crowd:
        crowd.opened()
        crowd.go()
        time.sleep(1)
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        told = crowd.result()
        code = node.left(40)
        took = time.monotonic() - began
        w.note("%s; gone after %.1f s" % (told, took))
        if code != 0 or took > 32:
            raise Fail("it left with %d after %.1f s" % (code, took))
        if told["answers"] != {"goaway 1012": 10000}:
            raise Fail("they heard %s" % told["answers"])
        if told["waves"] < 8 or told["spread_ms"] < 1000:
            raise Fail("all at once: %s" % told)
    with Node(w) as node, Crowd(node.addr, "leave", 1000) as crowd:
        crowd.opened()
        node.signal(signal.SIGTERM)
        time.sleep(0.05)
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        if node.left(10) != 0 or time.monotonic() - began > 3:
            raise Fail("a second TERM is no hurry: %.1f s" % (time.monotonic() - began))


@row(164, "killed at random moments under load: back within 1 s, and nobody was told what is not true", slow=True)
def killed(w):
    count = 1000 if w.full else 20
    folder = tempfile.mkdtemp(prefix="threats-")
    done = subprocess.run(
        [os.path.join(ROOT, "tests", "history", "run"), "--kills", str(count), "--clients", "100",
         "--seed", "164", "--tree", w.tree, "--keep", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fail(done.stdout + done.stderr[-2000:] + "logs are in " + folder)
    w.note(" ".join(done.stdout.splitlines()[1:3]))
    shutil.rmtree(folder)


# ---- clocks ------------------------------------------------------------------------------------

HOUR = 3600
STEPS = [("an hour on", lambda: time.time() + HOUR), ("an hour back", lambda: time.time() - HOUR),
         ("1970", lambda: 1000), ("2038", lambda: 2 ** 31 + 10), ("as it should be", time.time)]


def faked_library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise Fail("libfaketime is not installed")
    return found[0]


class Clock:
    """The wall clock of another process."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "clock")
        self.set(time.time())

    def set(self, to):
        """libfaketime reads it again with each question; a file that is half written would be wrong."""
        with open(self.file + ".new", "w", encoding="ascii") as out:
            out.write("%+d" % round(to - time.time()))
        os.replace(self.file + ".new", self.file)

    def env(self):
        return {"LD_PRELOAD": faked_library(), "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@row(168, "the wall clock jumps: nobody is disconnected, nothing is forgotten, and tokens go by it", slow=True)
def clocks(w):
    folder = tempfile.mkdtemp(prefix="threats-")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        clock, secret = Clock(folder), os.path.join(folder, "secret")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as out:
            out.write(SECRET)
        node = stack.enter_context(Node(
            w, "--jwt-hmac-secret-file", secret, "--anonymous", "publish",
            env={**clock.env(), "LINNET_HEARTBEAT_PING": "1s", "LINNET_HEARTBEAT_PONG": "1s"}))
        stayers = [stack.enter_context(node.v1()[0]) for _ in range(50)]
        named = [stack.enter_context(node.v1("/ws?token=" + token(exp=2 ** 32))[0]) for _ in range(10)]
        for ws in stayers + named:
            ask(ws, "subscribe", channel="t168")
        epoch = ask(stayers[0], "publish", channel="t168", data=0)["epoch"]

        def one(to):
            clock.set(to())
            wall = to()
            said = ask(stayers[0], "publish", channel="t168", data=1)
            end = time.monotonic() + 1.5
            while time.monotonic() < end:  # longer than a ping; who is asked answers
                for ws in stayers + named:
                    answer_pings(ws)
            with node.v1()[0] as back:
                ok = ask(back, "subscribe", channel="t168", recover={"epoch": epoch, "offset": 0})
                if not ok.get("recovered") or ok["replay"] != said["offset"]:
                    raise Fail("recovers with %s of %d" % (ok, said["offset"]))
                first = [hear(back, "message") for _ in range(said["offset"])][-1]
                if abs(first["ts"] / 1000 - wall) > 5:
                    raise Fail("a message of %d says it is of %d" % (wall, first["ts"] / 1000))
            for exp, good in ((wall + 600, True), (wall - 600, False)):
                judged(node, exp, good)
        every(STEPS, one)


def answer_pings(ws):
    while (got := ws.next(0.001)) is not None:
        if got.kind not in ("text", "ping"):
            raise Fail("somebody who stayed got %s" % (got,))
        if got.kind == "ping":
            ws.put(PONG, got.data)
        elif any(m["type"] == "ping" for m in flat(got.data)):
            ws.text('{"type":"pong"}')


def judged(node, exp, good):
    """Whether a token that expires then is taken."""
    with node.ws("/ws?token=" + token(exp=int(exp)), "Sec-WebSocket-Protocol: linnet.v1") as ws:
        got = ws.next()
        taken = got.kind == "text" and "user" in flat(got.data)[0]
        if taken != good:
            raise Fail("a token that %s is answered %s" % ("is good" if good else "has expired", (got,)))


@row(170, "stopped for longer than clients may be silent: what they said meanwhile is read before anybody is judged",
     slow=True)
def stopped(w):
    count, seconds = (10000, 60) if w.full else (500, 4)
    env = {} if w.full else {"LINNET_HEARTBEAT_PING": "1s", "LINNET_HEARTBEAT_PONG": "1s"}
    with Node(w, env=env) as node, Crowd(node.addr, "stay", count) as crowd:
        crowd.opened()
        time.sleep(24 if w.full else 0.9)  # pings are about to go out, some have
        crowd.go()
        node.signal(signal.SIGSTOP)
        time.sleep(seconds)
        node.signal(signal.SIGCONT)
        time.sleep(40 if w.full else 3)  # more than a ping and a pong
        crowd.go()
        told = crowd.result()
        w.note("%d of %d kept" % (told["kept"], count))
        if told["kept"] < count * 0.99:
            raise Fail("%d of %d are kept" % (told["kept"], count))


# ---- children ----------------------------------------------------------------------------------

def unnamed_pairs():
    """Unix sockets without a name: libcurl wakes itself by such a pair for each of its handles, and
    gives nobody the means to close them by exec."""
    with open("/proc/net/unix", encoding="ascii", errors="replace") as text:
        return {"socket:[%s]" % line.split()[6] for line in text.readlines()[1:] if len(line.split()) == 7}


@row(176, "no descriptor would reach a child: each is closed by exec but 0, 1, 2, libcurl's own pairs and certificates",
     slow=True)
def descriptors(w):
    where, cert, key = certificate()
    secret = os.path.join(where.name, "hook.key")
    with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as out:
        out.write("a key for hooks of 32 bytes, or more")
    flags = ("--tls-cert", cert, "--tls-key", key, "--webhook-subscribe", "http://127.0.0.1:9/", "--webhook-key",
             "file:" + secret, "--deflate")
    with where, w.server(*flags, "--workers", "2", verb="serve", tls=True) as server, contextlib.ExitStack() as stack:
        inside = [stack.enter_context(
            w.against(server).ws("/ws", "Sec-WebSocket-Protocol: linnet.v1", tls=True)) for _ in range(20)]
        for ws in inside:  # the backend is asked, and is not there
            ws.expect("text")
            ws.text('{"type":"subscribe","id":1,"channel":"t176"}')
        with open(cert, "rb") as pem, open("/proc/%d/fdinfo/0" % server.pid, "rb"):
            pem.read()
        os.kill(server.pid, signal.SIGHUP)
        for ws in inside:
            ws.expect("text")
        seen = {}
        for turn in range(50):  # also those that are open for a moment only
            if turn % 10 == 0:
                os.kill(server.pid, signal.SIGHUP)
            for fd in os.listdir("/proc/%d/fd" % server.pid):
                with contextlib.suppress(OSError):
                    seen[fd, os.readlink("/proc/%d/fd/%s" % (server.pid, fd))] = flags_of(server.pid, fd)
        pairs = unnamed_pairs()
        open_ones = [name for name, bits in seen.items() if not bits & CLOEXEC and int(name[0]) > 2]
        of_curl = [name for name in open_ones if name[1] in pairs]
        # A certificate is no secret.
        if strange := [name for name in open_ones if name not in of_curl and name[1] != cert]:
            raise Fail("would be inherited: %s" % strange)
        if len(of_curl) > 2 * 2:  # of two workers
            raise Fail("would be inherited: %s" % of_curl)
        if len(seen) < 25:
            raise Fail("only %d descriptors were seen" % len(seen))


def flags_of(pid, fd):
    with open("/proc/%d/fdinfo/%s" % (pid, fd), encoding="ascii") as text:
        return next(int(line.split()[1], 8) for line in text if line.startswith("flags:"))
