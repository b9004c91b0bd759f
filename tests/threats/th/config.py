"""Rows about linnet.yaml: what is in it, reloading it, and what cannot be started."""
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .peer import Fail, wait_until
from .suite import certificate, every, row

HEAD = "workers: 2\n"


@contextlib.contextmanager
def file_of(text):
    with tempfile.NamedTemporaryFile(prefix="threats-", suffix=".yaml", delete=False) as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    try:
        yield f.name
    finally:
        os.unlink(f.name)


def run(w, *args, limit=5.0, **how):
    """Runs linnet to its end: (exit code, stdout, stderr, seconds)."""
    began = time.monotonic()
    done = subprocess.run([w.program("linnet"), *args], capture_output=True, timeout=60,
                          check=False, **how)
    took = time.monotonic() - began
    if took > limit * (10 if w.asan else 1):
        raise Fail("took %.1f s" % took)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"), took


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    "%s: &%s [%s]\n" % (c, c, ",".join(["*" + b] * 9)) for b, c in zip("abcdefgh", "bcdefghi"))
BAD = [
    ("an unknown key", HEAD + "wokers: 2\n", ":2:1: there is no 'wokers'; did you mean 'workers'?"),
    ("a key twice", HEAD + "workers: 3\n", ":2:1: 'workers' is there already, in line 1"),
    ("a section twice", "log: { level: info }\nlog: {}\n", ":2:1: 'log' is there already"),
    ("2^64", "workers: 18446744073709551616\n", ":1:10: workers wants a number from 1 to 64"),
    ("2^64 in a size", "queue.max: 17179869184g\n", ":1:12: queue.max wants a size"),
    ("2^64 in a time", "queue.age: 18446744073709551616ms\n", ":1:12: queue.age wants a duration"),
    ("negative", "workers: -1\n", ":1:10: workers wants"),
    ("a fraction", "workers: 1.5\n", ":1:10: workers wants"),
    ("a list for a number", "workers: [ 1 ]\n", ":1:10: workers wants a number"),
    ("a mapping for a text", "tls: { cert: { a: b } }\n", ":1:14: tls.cert wants a text"),
    ("a text for a section", "tls: yes\n", ":1:6: tls wants a mapping"),
    ("no value", "workers:\n", ":1:9: workers has no value"),
    ("no mapping", "- workers\n", ":1:1: a configuration is a mapping"),
    ("two documents", "---\n" + HEAD + "---\n", ":3:1: one document is enough"),
    ("a thousand million of laughs", LAUGHS, ":1:4: anchors"),
    ("an anchor that is used", "workers: &n 2\nlisten: *n\n", ":1:10: anchors"),
    ("deeper than it goes", "x: " + "[" * 100000, ":1:1: there is no 'x'"),
    ("a tab", "log:\n\tlevel: info\n", ":2:1: this is not YAML"),
    ("Latin-1", "# caf\xe9\n".encode("latin-1"), ":1:6: this byte is not UTF-8"),
    ("UTF-16", HEAD.encode("utf-16"), ":1:1: this byte is not UTF-8"),
    ("a program", b"\x7fELF\x02\x01\x01" + bytes(100), ":1:1: "),
    ("10 MB", b"# " + b"x" * (10 << 20), "larger than 1048576 bytes"),
    ("1 MB of one key", b"x" * 1000000 + b": 1\n", ":1:1: "),
    ("1 MB of keys", b"".join(b"k%d: 1\n" % i for i in range(90000)), ":1:1: there is no 'k0'"),
    ("two namespaces of one name", "namespaces: [ { name: a }, { name: a } ]\n", "'a' already"),
    ("a namespace that is none", "namespaces: [ { name: 'a:b' } ]\n", "a namespace wants a name"),
]


@row(178, "a configuration that is wrong is told with line and column, and nothing starts")
def wrong(w):
    def one(text, words):
        with file_of(text) as path:
            for args, code in (("config", "check", path), 1), (("serve", "--config", path), 2):
                got, out, err, _ = run(w, *args)
                if got != code or out:
                    raise Fail("%s left with %d, saying %r" % (args[0], got, out[:100]))
                where = path + words if words.startswith(":") else words
                if where not in err:
                    raise Fail("%s says %r" % (args[0], err[:300]))
                if any(ord(c) < 32 and c != "\n" for c in err):
                    raise Fail("%s paints the terminal: %r" % (args[0], err[:300]))
    every(BAD, one)


@row(178, "random damage to a whole configuration: an end within a second, and words with a line")
def damaged(w):
    whole = bytearray(run(w, "config", "gen")[1].encode())
    chance = random.Random(178)
    for n in range(400 if w.full else 40):
        text = bytearray(whole)
        for _ in range(chance.choice((1, 1, 4, 64))):
            text[chance.randrange(len(text))] = chance.choice(b"\0\n\t :[]{}&*!|>'\"#-0\xff" + whole[:9])
        with file_of(bytes(text)) as path:
            code, _, err, _ = run(w, "config", "check", path)
            if code not in (0, 1) or (code == 1 and path + ":" not in err):
                raise Fail("case %d left with %d, saying %r" % (n, code, err[:300]))


def say(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def reload(server, words):
    before = server.words().count(words)
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: server.words().count(words) > before, 5, "it to say " + repr(words))


@row(165, "reloads with a wrong file, a key that does not fit, a listener gone: all stays as it was")
def reloads(w):
    where, cert, key = certificate()
    other, _, strange = certificate()
    with where, other, file_of(HEAD) as path, \
            w.server("--config", path, "--tls-cert", cert, "--tls-key", key, verb="serve",
                     tls=True) as server:
        fds = server.fds()
        say(path, HEAD + "wokers: 3\n")
        reload(server, "all stays as it was")
        os.rename(path, path + ".away")
        reload(server, "all stays as it was")
        os.rename(path + ".away", path)
        say(path, HEAD + "listeners: [ { address: '127.0.0.1:1' } ]\nworkers: 1\n")
        if run(w, "config", "check", path)[0] == 0:
            raise Fail("a key twice is not told")
        say(path, HEAD + "listeners: [ { address: '127.0.0.1:1' } ]\n")
        reload(server, "listeners wants a restart")
        shutil.copy(strange, key)
        if run(w, "config", "check", path, "--tls-cert", cert, "--tls-key", key)[0] != 1:
            raise Fail("a key that does not fit is not told")
        reload(server, "all stays as it was")
        if server.fds() != fds:
            raise Fail("%d descriptors, %d before" % (server.fds(), fds))


@row(165, "100 reloads in 10 s, good and bad: no descriptor is left, and the canary never waits")
def hundred(w):
    with file_of(HEAD) as path, w.server("--config", path, verb="serve") as server:
        spaces = ", ".join("{ name: n%d }" % i for i in range(200))
        reload(server, "no option has changed")
        fds = server.fds()
        for n in range(100):
            began = time.monotonic()
            good = n % 4 != 3
            say(path, HEAD + "history.count: %d\nnamespaces: [ %s ]\n" % (n + 1 if good else 0, spaces))
            reload(server, "history.count is %d," % (n + 1) if good else "all stays as it was")
            time.sleep(max(0.0, 0.1 - (time.monotonic() - began)) if w.full else 0)
        if server.fds() != fds:
            raise Fail("%d descriptors, %d before" % (server.fds(), fds))


@row(177, "a port that is taken, or not ours to take: an end within a second, with words")
def doors(w):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = "127.0.0.1:%d" % taken.getsockname()[1]
        for args in ("--listen", port), ("--listen", "127.0.0.1:0", "--listen", port):
            code, out, err, _ = run(w, "serve", *args, limit=1.0)
            if code != 1 or out or "in use" not in err:
                raise Fail("left with %d, saying %r and %r" % (code, out, err))
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        if int(f.read()) <= 81:
            w.note("any user may take any port here")
            return
    how = {"preexec_fn": lambda: os.setuid(65534)} if os.getuid() == 0 else {}
    code, out, err, _ = run(w, "serve", "--listen", "127.0.0.1:81", limit=1.0, **how)
    if code != 1 or out or "ermission denied" not in err:
        raise Fail("left with %d, saying %r and %r" % (code, out, err))
