"""Rows 171 and 174: the kernel and malloc fail under a live server, by a shim that is preloaded
(`fault_shim.c`) and told when through a file that both sides have mapped."""
import contextlib
import hashlib
import json
import mmap
import os
import struct
import subprocess
import tempfile
import time

from ct import codec
from ct.codec import BINARY, CONT, PING, TEXT

from .lives import KEY, Node, ask
from .native import V1
from .peer import TIMEOUT, Fail, Wire, answers, frame, request, wait_until
from .server import ROOT
from .suite import certificate, row

FIELDS = ("malloc_at", "malloc_all", "every", "allocations", "refused", "live", "calls", "failed", "seed")


class Faults:
    """with Faults() as faults: faults.env is for the server; faults.every = 5 tells it, faults.live asks."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="threats-")
        shim, path = (os.path.join(self.folder.name, name) for name in ("shim.so", "faults"))
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim,
                        os.path.join(ROOT, "tests", "threats", "fault_shim.c"), "-ldl"],
                       check=True, capture_output=True)
        with open(path, "w+b") as file:
            file.write(bytes(8 * len(FIELDS)))
            file.flush()
            self.page = mmap.mmap(file.fileno(), 8 * len(FIELDS))
        self.env = {"LD_PRELOAD": shim, "LINNET_FAULTS": path}
        return self

    def __exit__(self, *_):
        self.page.close()
        self.folder.cleanup()

    def get(self, name):
        return struct.unpack_from("=Q", self.page, 8 * FIELDS.index(name))[0]

    def tell(self, **what):
        for name, value in what.items():
            struct.pack_into("=Q", self.page, 8 * FIELDS.index(name), value)


# ---- calls of the kernel -------------------------------------------------------------------

OWN = ("epoch", "ts", "client", "session", "node", "resume", "grant", "ref", "from")


def plain(said):
    """What is the same in every life."""
    if isinstance(said, list):
        return [plain(one) for one in said]
    if isinstance(said, dict):
        return {k: plain(v) for k, v in said.items() if k not in OWN}
    return hashlib.sha256(said.encode()).hexdigest() if isinstance(said, str) and len(said) > 99 else said


def conversation(node, tls):
    """What one sees of the server from outside, in order."""
    seen = []

    def heard(ws, count):
        while count > 0:
            got = ws.next()
            if got is None:
                raise Fail("nothing comes behind %s" % str(seen[-3:])[:300])
            if got.kind == "text":
                said = json.loads(got.data)
                seen.extend(plain(said) if isinstance(said, list) else [plain(said)])
                count -= len(said) if isinstance(said, list) else 1
            else:
                seen.append((got.kind, got.code, got.data))
                count -= 1
    with node.ws("/ws/t171", V1, tls=tls, deflate="permessage-deflate") as ws:
        heard(ws, 1)
        ws.text('{"type":"subscribe","id":1,"channel":"t171"}')
        heard(ws, 1)
        for n, size in enumerate((0, 1, 100, 1000, 16000, 60000)):
            ws.text(json.dumps({"type": "publish", "channel": "t171", "data": [n, "x" * size]}))
            heard(ws, 1)
        said = b'{"type":"ping","id":"in three pieces"}'
        ws.send(frame(TEXT, said[:5], fin=False) + frame(PING, b"between") + frame(CONT, said[5:9], fin=False)
                + frame(CONT, said[9:]))
        heard(ws, 2)
        ws.text('{"type":"dance","id":2}')
        ws.text(json.dumps([{"type": "ping", "id": n} for n in range(100)]))
        heard(ws, 101)
        ws.put(codec.CLOSE, codec.close_body(4001, b"enough"))
        heard(ws, 2)
    with node.ws("/ws", V1, tls=tls) as ws:
        heard(ws, 1)
        ws.send(frame(BINARY, b"no"))
        heard(ws, 2)
    pages = [request("GET /%s HTTP/1.1" % path, host="localhost") for path in ("healthz", "none", "ws", "demo/chat/")]
    body = json.dumps({"channel": "t171", "data": "y" * 200000}).encode()
    post = request("POST /api/v1/publish HTTP/1.1", "Authorization: Bearer " + KEY, "Content-Type: application/json",
                   "Connection: close", "Content-Length: %d" % len(body), host="localhost", body=body)
    with node.wire(tls=tls) as wire:
        wire.send(b"".join(pages) + post)
        for a in answers(wire.rest()):
            seen.append((a.status, a.one("content-type"), len(a.body), a.status == 200 and a.body[-100:] or None))
    return seen[:-1] + [seen[-1][:2]]  # the epoch is in the last one


class Wires(Node):
    def wire(self, **how):
        return Wire(self.addr, **how)


@row(171, "the kernel says EINTR, EAGAIN, or does less than it was asked: nobody sees a difference", slow=True)
def interrupted(w):
    where, cert, key = certificate()
    with where, Faults() as faults:
        for tls in (False, True):
            flags = ("--deflate=takeover", *(("--tls-cert", cert, "--tls-key", key) if tls else ()))
            with Wires(w, *flags, env={} if w.asan else faults.env) as node:
                want = None
                for every in (0, 7, 3, 2) * (20 if w.full else 1):
                    faults.tell(every=every, failed=0)
                    got = conversation(node, tls)
                    faults.tell(every=0)
                    want = want or without_places(got)
                    if without_places(got) != want:
                        at = next(i for i, (a, b) in enumerate(zip(without_places(got), want)) if a != b)
                        raise Fail("one in %d: %s instead of %s" % (every, str(without_places(got)[at])[:200],
                                                                    str(want[at])[:200]))
                    if every and faults.get("failed") < 3 and not w.asan:
                        raise Fail("one in %d: only %d calls failed" % (every, faults.get("failed")))
        if w.full:
            conformance(w, faults)


def without_places(seen):
    """Offsets go on from one conversation to the next."""
    return [{k: v for k, v in one.items() if k != "offset"} if isinstance(one, dict) else one for one in seen]


def conformance(w, faults):
    """The whole suite of frames, under the same faults."""
    faults.tell(every=5, failed=0)
    server = "env LD_PRELOAD=%s LINNET_FAULTS=%s %s echo --listen 127.0.0.1:0 {flags}" % (
        faults.env["LD_PRELOAD"], faults.env["LINNET_FAULTS"], w.program("linnet"))
    done = subprocess.run([os.path.join(ROOT, "tests", "conformance", "run"), "--server", server],
                          capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
    w.note("conformance: %d calls failed, %d cases" % (faults.get("failed"), done.stdout.count("\nok ")))
    if failed or done.returncode or done.stdout.count("\nok ") < 100:
        raise Fail("\n".join(failed[:10]) or "it left with %d" % done.returncode)


# ---- memory --------------------------------------------------------------------------------

def answered(step):
    """Whatever it may be but silence."""
    began = time.monotonic()
    try:
        return step()
    except (Fail, OSError, ValueError, KeyError) as why:
        if time.monotonic() - began > TIMEOUT * 0.8:
            raise Fail("silence: %s" % why) from None
        return None


def ordered(node, method, body, patience):
    """A call of the API. Where nothing at all can be had, the answer is given by the clock, after 30 s:
    None when that is not waited for."""
    raw = json.dumps(body).encode()
    with node.wire() as wire:
        wire.send(request("POST /api/v1/%s HTTP/1.1" % method, "Authorization: Bearer " + KEY, "Connection: close",
                          "Content-Type: application/json", "Content-Length: %d" % len(raw), host="localhost",
                          body=raw))
        got = answers(wire.rest(patience))
        if not wire.ended:
            return None
        return bool(got) and got[0].status == 200


def visit(node, strict=False, patience=10.0):
    """A client's day: how many steps were not as on other days, and how many orders were not answered."""
    failed = unanswered = 0
    with contextlib.ExitStack() as stack:
        def step(fn):
            nonlocal failed
            said = fn() if strict else answered(fn)
            good = bool(said) and not (isinstance(said, dict) and "error" in said)
            failed += not good
            if strict and not good:
                raise Fail("nothing fails any more, and it is answered %s" % (said,))
            return said
        ws = step(lambda: stack.enter_context(node.ws("/ws", V1, deflate="permessage-deflate")))
        if ws and step(lambda: ws.expect("text")):
            for kind, more in (("subscribe", {"presence": True}), ("publish", {"data": "x" * 5000}),
                               ("set", {"key": "k%d" % ask.number, "data": 1, "ttl": 1000}),
                               ("history", {}), ("presence", {}), ("unsubscribe", {})):
                if not step(lambda: ask(ws, kind, channel="t174", **more)):
                    break
        for method, body in ("publish", {"channel": "t174", "data": 1, "key": "k"}), ("connections", {}):
            if (said := ordered(node, method, body, patience)) is None:
                unanswered += 1
            else:
                step(lambda: said)
        wire = step(lambda: stack.enter_context(node.wire()))
        if wire:
            wire.send(request("GET /sse?channel=t174 HTTP/1.1", host="localhost"))
            step(lambda: (wire.some() or b"").startswith(b"HTTP/1.1 200"))
    return failed, unanswered


@row(174, "malloc fails at every call there is: one connection or request fails, all else goes on, nothing is kept",
     slow=True)
def no_memory(w):
    if w.asan:
        w.note("its malloc is not ours")
        return
    with Faults() as faults, Wires(w, "--deflate", env={**faults.env, "LINNET_HISTORY_COUNT": "5"}) as node:
        bystander, _ = node.v1()
        with bystander:
            ask(bystander, "subscribe", channel="t174.other")
            for _ in range(30):
                visit(node, strict=True)
            live, fds = faults.get("live"), len(os.listdir("/proc/%d/fd" % node.pid))
            number = failures = unanswered = left = waits = 0
            while not left:
                number += 1
                faults.tell(malloc_at=number)
                failed, silent = visit(node, patience=35 if w.full else 5.0)
                failures, unanswered = failures + bool(failed), unanswered + silent
                left = faults.get("malloc_at")
                faults.tell(malloc_at=0)
                if node.child.poll() is not None:
                    raise Fail("at %d it left with %s: %s" % (number, node.child.returncode, node.words()))
                if number % 5 == 0:
                    ask(bystander, "ping")
                    visit(node, strict=True)
            if unanswered:
                raise Fail("%d orders are not answered" % unanswered)
            for at_once in range(1, 40, 3):  # and everything from there on, for a while
                faults.tell(malloc_at=at_once, malloc_all=1)
                with contextlib.suppress(Fail):
                    waits += visit(node, patience=0.3)[1]
                faults.tell(malloc_at=0, malloc_all=0)
            for _ in range(10):
                visit(node, strict=True)
            if ask(bystander, "publish", channel="t174.other", data=1)["offset"] != 1:
                raise Fail("the bystander's channel is another")
            w.note("%d calls refused, up to the %dth; %d visits failed, %d orders waited" %
                   (faults.get("refused"), number, failures, unanswered))
            if failures < 5:
                raise Fail("only %d visits failed" % failures)
            late = 0 if w.full else unanswered + waits  # each until its 30 s are over
            wait_until(lambda: len(os.listdir("/proc/%d/fd" % node.pid)) <= fds + late, 35 if w.full else 10,
                       "descriptors are kept")
            faulty = faults.get("live") - live
            for _ in range(number + number // 5 + 23):  # as many without: how connections ended is kept for a while
                visit(node, strict=True)
            healthy = faults.get("live") - live - faulty
            w.note("%d blocks more, and %d by as many visits without faults" % (faulty, healthy))
            if faulty > healthy + 60 + 10 * late:
                raise Fail("%d blocks are kept, %d without faults" % (faulty, healthy))
