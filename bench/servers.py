"""servers.py -- the entrants: built if need be, started, pinned, watched, ended."""
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rows import BUN, LWS, NATIVE, NATIVE_PACKED, OURS, OURS_PACKED, RAW, WS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RELEASE = ROOT / "build" / "release"
BUILD = ROOT / "build" / "bench"
READY = re.compile(r"^listening on \w+://[\d.]+:(\d+)$")
READY_S = 15


class Unavailable(Exception):
    """This entrant cannot run here, and why."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def quietly(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-400:]}")


def build_peer(name):
    """bench/peers/NAME.c, when it is newer than what was built of it."""
    source, program = HERE / "peers" / f"{name}.c", BUILD / name
    newest = max(p.stat().st_mtime for p in (HERE / "peers").glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    BUILD.mkdir(parents=True, exist_ok=True)
    libraries = ["-lwebsockets"] if name == "lws" else []
    quietly([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", program, source, *libraries])
    return program


def npm_peers():
    if not (HERE / "node_modules" / "ws").exists():
        say("installing: npm packages of bench (Bun is 107 MB)")
        quietly(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE)


def bun():
    npm_peers()
    for variant in ("bun-linux-x64", "bun-linux-aarch64"):
        program = HERE / "node_modules" / "@oven" / variant / "bin" / "bun"
        if program.exists():
            return program
    raise Unavailable("npm has no bun for this machine")


def node():
    npm_peers()
    program = shutil.which("node")
    if not program:
        raise Unavailable("node is not installed")
    return program


def of_release(name):
    program = RELEASE / name
    if not program.exists():
        raise Unavailable(f"build/release/{name} is not built")
    return program


def linnet_echo(*flags):
    return [of_release("linnet"), "echo", "--listen", "127.0.0.1:0", *flags]


def certificate():
    """A throw-away one: P-256, as servers have them today."""
    cert, key = BUILD / "cert.pem", BUILD / "key.pem"
    if not cert.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        quietly(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "3650"])
    return ["--tls-cert", cert, "--tls-key", key]


def command_of(entrant, route):
    deflate = {"/echoz": ["--deflate=takeover"], "/echozs": ["--deflate=no-takeover"]}.get(route, [])
    match entrant:
        case _ if entrant in (OURS, OURS_PACKED):
            return [of_release("examples/bench_server"), "--listen", "127.0.0.1:0"]
        case _ if entrant in (NATIVE, NATIVE_PACKED):
            return [of_release("linnet"), "serve", "--listen", "127.0.0.1:0", "--config", HERE / "serve.yaml"]
        case _ if entrant == RAW:
            return [build_peer("raw_fanout" if route == "/ps" else "raw_echo"), "0"]
        case _ if entrant == BUN:
            return [bun(), HERE / "peers" / "bun.mjs", "0", *deflate]
        case _ if entrant == WS:
            return [node(), HERE / "peers" / "ws.mjs", "0"]
        case _ if entrant == LWS:
            return [build_peer("lws"), "0"]
        case "asleep" | "one worker":
            return linnet_echo()
        case "busy-poll":
            return linnet_echo("--busy-poll", "50")
        case "two workers":
            return linnet_echo("--workers", "2")
        case "ours, TLS":
            return linnet_echo(*certificate())
    raise Unavailable(f"nobody knows {entrant}")


class Server:
    """A running entrant: .pid, .url(route), .stop()."""

    def __init__(self, entrant, route, cpu):
        self.entrant = entrant
        command = ["taskset", "-c", str(cpu), *map(str, command_of(entrant, route))]
        self.errors = (BUILD / "server.err").open("w+") if BUILD.exists() else subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=HERE)
        self.pid = self.process.pid  # taskset becomes the server
        self.port = self.wait_until_ready()

    def wait_until_ready(self):
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if not select.select([self.process.stdout], [], [], 0.5)[0]:
                continue
            line = self.process.stdout.readline()
            if not line:
                break
            if m := READY.match(line.strip()):
                return m.group(1)
        self.stop()
        raise Unavailable(f"{self.entrant} does not get ready")

    def url(self, route):
        if self.entrant in (NATIVE, NATIVE_PACKED):
            return f"ws://127.0.0.1:{self.port}/ws"
        scheme = "wss" if self.entrant == "ours, TLS" else "ws"
        own_route = self.entrant in ("asleep", "busy-poll", "one worker", "two workers", "ours, TLS")
        return f"{scheme}://127.0.0.1:{self.port}{'/' if own_route else route}"

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_ticks(cpus):
    """Ticks that these CPUs were not idle, and in all."""
    busy = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name in {f"cpu{c}" for c in cpus}:
            values = [int(v) for v in values[:8]]
            total += sum(values)
            busy += sum(values) - values[3] - values[4]
    return busy, total


def process_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Watch:
    """How much of the CPUs went to others than the server and the load meanwhile."""

    def __init__(self, cpus, pid):
        self.cpus, self.pid = cpus, pid
        self.start = self.now()

    def now(self):
        ours = process_ticks(self.pid)
        child = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours += (child.ru_utime + child.ru_stime) * os.sysconf("SC_CLK_TCK")
        return *cpu_ticks(self.cpus), ours

    def foreign_share(self):
        busy, total, ours = (b - a for a, b in zip(self.start, self.now()))
        return max(0.0, (busy - ours) / total) if total else 0.0
