"""Rows 77, 82 and 103 as far as they are about users, and about all workers together."""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from .identity import SECRET, b64, bearer, token
from .native import V1
from .peer import Fail, Wire, Ws, answers, upgrade, wait_until
from .suite import row

ALICE, BOB = "127.0.0.7", "127.0.0.8"  # the canary is somebody else


@contextlib.contextmanager
def serving(w, *flags, key=None, **env):
    """Two workers, and tokens: of the usual secret, and of `key` (PEM)."""
    folder = tempfile.mkdtemp(prefix="threats-")
    try:
        files = {"secret": SECRET, **({"key": key} if key else {})}
        for name, data in files.items():
            with open(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
                f.write(data)
        args = ["--jwt-hmac-secret-file", folder + "/secret", "--anonymous", "publish"]
        args += ["--jwt-key-file", folder + "/key"] if key else []
        with w.server("--workers", "2", *args, *flags, verb="serve", env=env) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def comes(server, user, host=None):
    """A connection of a user; None when it was one too many."""
    ws = Ws(server.addr, "/ws", V1, bearer(token(sub=user)), host=host)
    ws.expect("text")
    ws.text('{"type":"ping","id":1}')
    got = ws.next()
    if got and got.kind == "text" and b'"pong"' in got.data:
        return ws
    ws.close()
    if not got or got.kind != "close" or got.code != 3504:
        raise Fail("wanted a place or 3504, got %s" % (got,))
    return None


def exactly(server, count, user):
    """So many; None while those who left before have not been counted out."""
    inside = [comes(server, user) for _ in range(count)]
    if None not in inside:
        return inside
    for ws in filter(None, inside):
        ws.close()
    time.sleep(0.05)
    return None


@row(82, "the sixth connection of a user is closed with 3504, on whatever worker; others come in")
def users(w):
    with serving(w, "--max-per-user", "5") as server:
        for _ in range(3):
            inside = wait_until(lambda: exactly(server, 5, "anna"), 10, "not 5 come in")
            if any(comes(server, "anna") for _ in range(10)):
                raise Fail("there are more than 5")
            inside += wait_until(lambda: exactly(server, 5, "bob"), 10, "bob does not come in")
            for ws in inside[::2]:
                ws.close()
            for ws in inside[1::2]:
                ws.reset()
            server.judge()


@row(82, "the count of a user is exact after connections that broke off at any point")
def aborts(w):
    head = upgrade("/ws", V1, bearer(token(sub="anna")))
    with serving(w, "--max-per-user", "5") as server:
        for number in range(1000 if w.full else 300):
            with Wire(server.addr) as wire:
                wire.send(head)
                if number % 3:
                    wire.some(0.02)
                wire.reset()
        server.judge()
        inside = wait_until(lambda: exactly(server, 5, "anna"), 10, "not 5 come in")
        if comes(server, "anna"):
            raise Fail("the sixth comes in too")
        for ws in inside:
            ws.close()


@row(77, "a user publishes on eight connections at once: his rate counts for all of them")
def together(w):
    with serving(w, LINNET_LIMITS_USER_PUBLISH_RATE="100", LINNET_LIMITS_USER_PUBLISH_BURST="200",
                 LINNET_LIMITS_PUBLISH_BURST="1000", LINNET_LIMITS_ERRORS="100000") as server:
        text = json.dumps([{"type": "publish", "id": 1, "channel": "t077", "data": 1}] * 100)
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            inside = [stack.enter_context(comes(server, "anna")) for _ in range(8)]
            other = stack.enter_context(comes(server, "bob"))
            for ws in inside:
                ws.text(text)
            heard = [json.loads(ws.expect("text").data) for ws in inside for _ in range(100)]
            took = time.monotonic() - began
            taken = sum(said["type"] == "ok" for said in heard)
            if not 200 <= taken <= 200 + 100 + 100 * took + 5:
                raise Fail("%d of 800 are taken in %.1f s" % (taken, took))
            if not all(said["error"]["code"] == 111 and 0 < said["error"]["retry_after"] <= 1100
                       for said in heard if said["type"] != "ok"):
                raise Fail("a refusal says something else")
            other.text('{"type":"publish","id":1,"channel":"t077","data":1}')
            if b'"ok"' not in other.expect("text").data:
                raise Fail("another user pays for it")
            w.note("%d of 800 taken" % taken)


@row(77, "handshakes of an address have a rate: 429 with Retry-After, and others come in")
def handshakes(w):
    with serving(w, LINNET_LIMITS_IP_CONNECT_RATE="1", LINNET_LIMITS_IP_CONNECT_BURST="16") as server:
        got = [knock(server, ALICE, None) for _ in range(60)]
        if not 16 <= got.count(101) <= 16 + 8 + 3 or got.count(429) != 60 - got.count(101):
            raise Fail("they are answered %s" % got)
        if knock(server, BOB, None) != 101:
            raise Fail("somebody else pays for it")


def knock(server, host, field):
    with Wire(server.addr, host=host) as wire:
        wire.send(upgrade("/ws", *([V1, field] if field else [V1])))
        raw = b""
        while b"\r\n\r\n" not in raw and (data := wire.some()):
            raw += data
        if raw[9:12] == b"429" and b"retry-after: " not in raw.lower():
            raise Fail("there is no Retry-After")
        return int(raw[9:12])


@row(103, "tokens that are no good: 20 in 10 s of an address on all workers, then 429")
def tokens(w):
    with serving(w) as server:
        began = time.monotonic()
        got = [knock(server, ALICE, bearer(token(secret=b"x" * 40))) for _ in range(60)]
        took = time.monotonic() - began
        right = 20 + int(2 * took)
        if not right <= got.count(401) <= right + 2 or got.count(429) != 60 - got.count(401):
            raise Fail("%d were looked at in %.1f s: %s" % (got.count(401), took, got))
        if knock(server, ALICE, None) != 101:
            raise Fail("who shows no token is turned away too")
        if knock(server, ALICE, bearer(token())) != 429:
            raise Fail("a good one is looked at")
        if knock(server, BOB, bearer(token())) != 101:
            raise Fail("somebody else pays for it")


@row(103, "a flood of tokens for a key of 4,096 bits: a fifth of a core at most goes to it")
def flood(w):
    def openssl(*args, data=None):
        return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True).stdout
    key = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096")
    bad = token(header={"alg": "RS256"}, signature=b64(b"\x5a" * 512))
    with serving(w, key=openssl("pkey", "-pubout", data=key)) as server:
        seconds, count = (10 if w.full else 3), 0
        busy, began, answered = server.cpu(), time.monotonic(), {401: 0, 429: 0}
        while time.monotonic() < began + seconds:
            answered[knock(server, ALICE, bearer(bad))] += 1
            count += 1
            time.sleep(max(0.0, began + count / 1000 - time.monotonic()))
        busy, took = server.cpu() - busy, time.monotonic() - began
        w.note("%d a second, %.0f %% of a core, %s" % (count / took, 100 * busy / took, answered))
        if answered[401] > 20 + 2 * took + 2 or answered[429] < count // 2:
            raise Fail("they are answered %s" % answered)
        if busy > 0.2 * took and not w.asan:
            raise Fail("%.1f of %.1f s" % (busy, took))
