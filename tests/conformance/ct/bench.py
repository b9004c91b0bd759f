"""How a case gets its connections.

Testee is a server: the command is started once per set of flags ("profile"),
its ready line read, and every case dials. Testee is a client: the tester
listens, and every connection is one start of the command with a URL whose path
tells which case it belongs to.
"""
import asyncio
import os
import re
import shlex
import shutil
import ssl
import subprocess
import tempfile
import threading
import traceback
from urllib.parse import urlsplit

from . import pmd
from .conn import Conn, accept_of, new_key
from .judge import FAILED, OK, Judge, Result, Stop

READY = re.compile(r"listening on (wss?://\S+)")

PROFILES = {
    "main": "--deflate=takeover --window-bits 15 --max-message 16777216 --max-fragments 65536",
    "reset": "--deflate=no-takeover --max-message 1048576",
    "limits": "--deflate --max-message 65536 --max-fragments 16",
    "plain": "",
}


class CannotStart(Exception):
    pass


class ServerProcess:
    """A server under test, from its start to its exit code."""

    def __init__(self, command, log):
        self.command, self.log, self.url = command, log, None
        try:
            self.process = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE,
                                            stderr=log, stdin=subprocess.DEVNULL, text=True)
        except OSError as why:
            raise CannotStart(str(why)) from None

    async def ready(self, limit):
        loop = asyncio.get_running_loop()
        found = loop.create_future()

        def tell(url):
            if not found.done():
                found.set_result(url)

        def read():
            for line in self.process.stdout:
                m = READY.search(line)
                if m:
                    loop.call_soon_threadsafe(tell, m.group(1))
            try:
                loop.call_soon_threadsafe(tell, None)
            except RuntimeError:
                pass  # the run is over and so is its loop

        threading.Thread(target=read, daemon=True).start()
        try:
            self.url = await asyncio.wait_for(found, limit)
        except asyncio.TimeoutError:
            self.url = None
        if not self.url:
            self.stop()
            raise CannotStart("no ready line from: %s" % self.command)
        self.descriptors = self.open_descriptors()

    def open_descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self):
        """TERM, then KILL after five seconds; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Bench:
    def __init__(self, options):
        self.options = options
        self.testee = "client" if options.client else "server"
        self.scale = options.scale
        self.servers = {}
        self.starting = asyncio.Lock()
        self.listener, self.expected, self.serial = None, {}, 0
        self.directory = tempfile.TemporaryDirectory(prefix="conformance-")
        self.log = open(os.path.join(self.directory.name, "testee.log"), "w+b")
        self.cert = self.key = None
        if options.tls and not options.url:
            self.make_certificate()

    # TLS

    def make_certificate(self):
        self.cert = os.path.join(self.directory.name, "cert.pem")
        self.key = os.path.join(self.directory.name, "key.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                   "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                   "-keyout", self.key, "-out", self.cert]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as why:
            raise CannotStart("openssl could not make a certificate: %s" % why) from None

    def dial_tls(self):
        context = ssl.create_default_context(cafile=self.cert)
        if self.cert is None:  # a foreign server's certificate is not our subject
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def listen_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    # servers

    def has_profile(self, name):
        """Whether the testee can be started with this set of flags."""
        if self.options.url:
            return name == "main"
        return name == "main" or "{flags}" in (self.options.client or self.options.server)

    def flags(self, profile):
        flags = self.options.profiles[profile]
        if self.options.tls:
            flags += " --tls-ca %s" % self.cert if self.testee == "client" else \
                " --tls-cert %s --tls-key %s" % (self.cert, self.key)
        return flags

    async def server(self, profile):
        """The running server for a profile; a dead one is started again, so
        that one crash costs one case and not the rest of the run."""
        async with self.starting:
            s = self.servers.get(profile)
            if s is None or s.process.poll() is not None:
                s = ServerProcess(self.options.server.replace("{flags}", self.flags(profile)),
                                  self.log)
                await s.ready(15 * self.scale)
                self.servers[profile] = s
            return s

    async def url(self, profile):
        if self.options.url:
            return urlsplit(self.options.url)
        return urlsplit((await self.server(profile)).url)

    async def check_testee(self):
        """Finds out before the first case that there is nobody to test."""
        if self.options.server:
            await self.server("main")
        elif self.options.url:
            url = await self.url("main")
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(
                    url.hostname, url.port or (443 if url.scheme == "wss" else 80)), 5)
            except (OSError, asyncio.TimeoutError) as why:
                raise CannotStart("%s: %s" % (self.options.url, why)) from None
            writer.close()
        elif shutil.which(shlex.split(self.options.client)[0]) is None:
            raise CannotStart("no program %s" % shlex.split(self.options.client)[0])

    def crashed(self):
        return [(name, s.process.returncode) for name, s in self.servers.items()
                if s.process.poll() is not None]

    # listening, for clients

    async def listen(self):
        if self.listener is None:
            loop = asyncio.get_running_loop()
            context = self.listen_tls() if self.options.tls else None
            self.listener = await loop.create_server(lambda: Conn("client", self.arrived),
                                                     "127.0.0.1", 0, ssl=context)
        port = self.listener.sockets[0].getsockname()[1]
        return "%s://127.0.0.1:%d" % ("wss" if self.options.tls else "ws", port)

    def arrived(self, c):
        """A client has sent its head (or given up): the path says whose it is."""
        parts = bytes(c.raw).split(b"\r\n", 1)[0].split(b" ")
        path = parts[1].decode("latin-1") if len(parts) > 1 else ""
        waiting = self.expected.pop(path, None)
        if waiting and not waiting.done():
            waiting.set_result(c)
        else:
            c.abort()

    def close(self):
        codes = {name: s.stop() for name, s in self.servers.items()}
        if self.listener:
            self.listener.close()
        return codes

    def log_tail(self, most=2000):
        self.log.flush()
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - most))
        return self.log.read().decode("utf-8", "replace")


class Agreement:
    """Which compression a case wants: our offers when we dial, our answer when
    we listen. `pick` takes the client's offers (parsed) and returns an answer
    or None."""

    def __init__(self, offers, pick):
        self.offers, self.pick = offers, pick


class Trial(Judge):
    """One run of one case: its connections, its processes, its result."""

    def __init__(self, bench, case):
        self.bench, self.case = bench, case
        self.testee, self.scale, self.full = bench.testee, bench.scale, bench.options.full
        self.profile = (self.testee == "client" and case.client_profile) or case.profile
        # The suite's own limits are generous; a quick run must not hang for them.
        self.limit = case.limit if self.full else min(case.limit, 30.0)
        self.result = Result(case)
        self.conns = []

    # server under test

    def keep(self, c):
        """Remembers a connection for the cleaning up; long sweeps forget old ones."""
        if len(self.conns) > 500:
            self.conns = [k for k in self.conns if k.dropped is None]
        self.conns.append(c)

    async def dial(self, profile=None):
        """TCP (and TLS) to the server, nothing written yet."""
        url = await self.bench.url(profile or self.profile)
        self.authority, self.target = url.netloc, url.path or "/"
        context = self.bench.dial_tls() if url.scheme == "wss" else None
        port = url.port or (443 if context else 80)
        loop = asyncio.get_running_loop()
        try:
            _, c = await asyncio.wait_for(loop.create_connection(
                lambda: Conn("server"), url.hostname, port, ssl=context), 5 * self.scale)
        except (OSError, asyncio.TimeoutError) as why:
            raise Stop("a connection", "%s: %s" % (type(why).__name__, why)) from None
        self.keep(c)
        return c

    def request(self, key, fields=(), target=None):
        lines = ["GET %s HTTP/1.1" % (target or self.target), "Host: " + self.authority,
                 "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: " + key,
                 "Sec-WebSocket-Version: 13", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def accepted(self, c, key, offers=None, limit=5):
        """Reads the 101 and checks all that RFC 6455 4.2.2 says about it."""
        try:
            head = await c.head(limit * self.scale)
            if head is None:
                raise ValueError("no complete answer, only %r" % bytes(c.raw[:80]))
            if head.status != 101 or not head.first.startswith("HTTP/1.1 101"):
                raise ValueError(head.first)
            if head.one("upgrade").lower() != "websocket":
                raise ValueError("Upgrade: " + head.one("upgrade"))
            if "upgrade" not in [p.strip().lower() for p in head.one("connection").split(",")]:
                raise ValueError("Connection: " + head.one("connection"))
            if head.one("sec-websocket-accept") != accept_of(key):
                raise ValueError("Sec-WebSocket-Accept: " + head.one("sec-websocket-accept"))
            for name in ("content-length", "transfer-encoding", "sec-websocket-key"):
                if head.all(name):
                    raise ValueError("%s in a 101" % name)
            params = self.agreed(head, offers)
        except ValueError as why:
            raise Stop("HTTP/1.1 101 with a correct handshake", str(why)) from None
        c.response = head
        return params

    @staticmethod
    def agreed(head, offers):
        values = head.all("sec-websocket-extensions")
        if not values:
            return None
        if len(values) > 1:
            raise ValueError("Sec-WebSocket-Extensions twice")
        if offers is None:
            raise ValueError("extension not offered: " + values[0])
        return pmd.read_answer(values[0], pmd.parse(offers))

    # client under test

    async def launch(self, profile=None, path="", limit=5):
        """Starts the client; returns the connection with its request read and
        nothing answered."""
        base = await self.bench.listen()
        self.bench.serial += 1
        target = "/case/%s?n=%d%s" % (self.case.id, self.bench.serial, path)
        waiting = asyncio.get_running_loop().create_future()
        self.bench.expected[target] = waiting
        command = self.bench.options.client
        flags = self.bench.flags(profile or self.profile)
        argv = [a.replace("{url}", base + target)
                for a in shlex.split(command.replace("{flags}", flags))]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=self.bench.log)
        try:
            c = await asyncio.wait_for(waiting, limit * self.scale)
        except asyncio.TimeoutError:
            self.bench.expected.pop(target, None)
            await self.reap(process)
            raise Stop("a request for " + target, "none came") from None
        c.proc = process
        self.conns.append(c)
        try:
            c.request = await c.head(0.1)
            if c.request is None:
                raise ValueError("incomplete request")
            c.key = c.request.one("sec-websocket-key")
        except ValueError as why:
            raise Stop("a client handshake", str(why)) from None
        return c

    def answer(self, key, fields=(), status="HTTP/1.1 101 Switching Protocols"):
        lines = [status, "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Accept: " + accept_of(key), *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @staticmethod
    def offers_of(c):
        return pmd.parse(", ".join(c.request.all("sec-websocket-extensions"))) \
            if c.request.all("sec-websocket-extensions") else []

    # either

    async def open(self, agreement=None, profile=None):
        """An open WebSocket connection. c.params is None unless compression was
        asked for and agreed."""
        if self.testee == "client":
            c = await self.launch(profile)
            params, fields = None, []
            picked = agreement and agreement.pick(self.offers_of(c))
            if picked:
                fields.append("Sec-WebSocket-Extensions: " + picked)
                params = pmd.to_params(pmd.parse(picked)[0][1])
            c.write(self.answer(c.key, fields))
            c.start(params)
            return c
        c = await self.dial(profile)
        key = new_key()
        offers = agreement.offers if agreement else None
        c.write(self.request(key, ["Sec-WebSocket-Extensions: " + offers] if offers else ()))
        c.start(await self.accepted(c, key, offers))
        return c

    async def gone(self, c, code=None):
        """The client process must end by itself once TCP is down; `code` asks
        for an exit code."""
        if c.proc is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + 3 * self.scale
        while c.proc.poll() is None and loop.time() < end:
            await asyncio.sleep(0.002)
        status = c.proc.poll()
        if status is None:
            raise Stop("the client ends", "still running 3 s after the end of TCP")
        if status < 0:
            raise Stop("the client ends", "killed by signal %d" % -status)
        if code is not None and (status == 0) != (code == 0):
            raise Stop("exit code %d" % code, "exit code %d" % status)

    async def reap(self, process):
        if process.poll() is None:
            process.kill()
        while process.poll() is None:
            await asyncio.sleep(0.002)
        if process.stdin:
            process.stdin.close()

    async def run(self):
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await asyncio.wait_for(self.case.run(self), self.limit * self.scale)
        except Stop as stop:
            self.result.stopped(stop)
        except asyncio.TimeoutError:
            self.result.stopped(Stop("an end within %g s" % (self.limit * self.scale),
                                     "the case did not end"))
        except CannotStart as why:
            self.result.stopped(Stop("a running testee", str(why)))
        except Exception:  # a fault of ours must cost one case, and be seen
            self.result.stopped(Stop("no fault in the tester", traceback.format_exc(limit=-3)))
        self.result.seconds = loop.time() - began
        if self.result.behaviour != OK or self.result.closing != OK:
            await asyncio.sleep(0.05)  # a dying server is not a dead one yet
        for name, code in self.bench.crashed():
            self.result.behaviour = FAILED
            self.result.want = self.result.want or "a server that stays alive"
            self.result.got += " (server %s exited with %s)" % (name, code)
            del self.bench.servers[name]
        for c in self.conns:
            c.abort()
            if c.proc:
                await self.reap(c.proc)
        return self.result
