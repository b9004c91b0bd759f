"""The server under test: one life after the other, on the same port, with the same configuration."""
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

KEY = "a-key-of-the-history-checker-012345"
CONFIG = """
listen: 127.0.0.1:%(port)d
workers: 2
log: { level: %(level)s }
drain: { time: 3s }
queue: { max: 256k, age: 3s }
limits: { read_rate: off, auth_failures: off }
history: { all: 1g }
namespaces:
%(lasting)s
  - { name: short, history.count: 20, members: false }
  - { name: live, live: true, members: false }
  - { name: pres, members: true }
  - { name: secret, allow.subscribe: nobody, allow.history: nobody, members: false }
"""
LASTING = ("  - { name: %s, history.count: 1000000, history.age: 1h, history.bytes: 256m, "
           "members: false }")
LASTS = ("hot", "many", "all", "churn", "http", "flood", "once")
CLASSES = [{"prefix": "live:", "class": "live"}, {"prefix": "short:", "class": "recoverable", "count": 20},
           {"prefix": "", "class": "recoverable", "count": 1000000}]
BROKEN = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion .* failed")
READY_S = 20


def free_port():
    """One below those that the kernel gives to clients, so that it is free again after each life."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")


class Node:
    """`tell(op, **fields)` writes a line of the run's log."""

    def __init__(self, binary, folder, tell):
        self.binary, self.tell, self.port = binary, tell, free_port()
        self.config, self.said = os.path.join(folder, "linnet.yaml"), os.path.join(folder, "node.err")
        self.level, self.child, self.lives = "warn", None, 0
        self.peaks = {"rss_mib": 0, "fds": 0}
        self.slowest_start = 0
        self.configure()

    def configure(self):
        """The file is replaced: what is half written may be good YAML, and say something else."""
        with open(self.config + ".new", "w", encoding="ascii") as out:
            out.write(CONFIG % {"port": self.port, "level": self.level,
                                "lasting": "\n".join(LASTING % name for name in LASTS)})
        os.replace(self.config + ".new", self.config)

    def start(self):
        began = time.monotonic()
        with open(self.said, "ab") as err:
            self.child = subprocess.Popen(
                [self.binary, "serve", "--config", self.config], stdout=subprocess.PIPE, stderr=err,
                stdin=subprocess.DEVNULL, env={**os.environ, "LINNET_API_KEY": KEY})
        self.patience = threading.Timer(READY_S, self.child.kill)
        self.patience.start()
        line = self.child.stdout.readline()
        self.patience.cancel()
        if b"listening on" not in line:
            raise RuntimeError("the node does not start: %r; %s" % (line, self.words()[-500:]))
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)
        self.lives += 1

    def ends(self, end, patience):
        """Its exit code, after `end` was sent."""
        self.tell("dying")
        self.child.send_signal(end)
        try:
            code = self.child.wait(patience)
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()
            self.child.stdout.close()
            self.tell("dead")
        return code

    def kill(self):
        return self.ends(signal.SIGKILL, 10)

    def drain(self):
        return self.ends(signal.SIGTERM, 20)

    def freeze(self, seconds):
        self.child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.child.send_signal(signal.SIGCONT)

    def reload(self):
        self.level = "error" if self.level == "warn" else "warn"
        self.configure()
        self.child.send_signal(signal.SIGHUP)

    def measure(self):
        """How large it is now; the largest is kept."""
        try:
            with open("/proc/%d/statm" % self.child.pid, encoding="ascii") as text:
                rss = int(text.read().split()[1]) * resource.getpagesize() >> 20
            fds = len(os.listdir("/proc/%d/fd" % self.child.pid))
        except OSError:
            return None
        self.peaks = {"rss_mib": max(rss, self.peaks["rss_mib"]), "fds": max(fds, self.peaks["fds"])}
        return rss, fds

    def words(self):
        if not os.path.exists(self.said):
            return ""
        with open(self.said, encoding="utf-8", errors="replace") as text:
            return text.read()

    def broken(self):
        m = BROKEN.search(self.words())
        return m and self.words()[m.start():m.start() + 2000]
