"""Rows 7 and 19 behind nginx and haproxy: what a proxy and the server could read differently.

The proxy keeps its connections to the server and gives them to whoever comes next, and it
refuses /both. So a request that was smuggled past it shows in one of two ways: the server
counts a POST that nobody was answered, or the next visitor gets an answer not meant for him.
"""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile

from ct import codec

from .peer import Fail, Ws, Wire, answers, frame, request, upgrade, wait_until
from .suite import Listener, every, row

NGINX = """
daemon off; master_process off; worker_processes 1; pid %(home)s/pid; error_log stderr crit;
events { worker_connections 256; }
http {
    access_log off; client_body_temp_path %(home)s/body; proxy_temp_path %(home)s/proxy;
    fastcgi_temp_path %(home)s/fastcgi; uwsgi_temp_path %(home)s/uwsgi; scgi_temp_path %(home)s/scgi;
    map $http_upgrade $up { default upgrade; '' ''; }
    upstream behind { server %(server)s; keepalive 4; }
    server {
        listen %(listen)s; proxy_http_version 1.1; proxy_request_buffering %(buffering)s;
        proxy_set_header Host $http_host;
        location = /both { return 403; }
        location = /garbled {
            proxy_set_header Host $http_host; proxy_set_header Connection '';
            proxy_set_header Transfer-Encoding chunked; proxy_pass http://behind/post;
        }
        location / {
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $up; proxy_pass http://behind;
        }
    }
}
"""
GARBLES = """    http-request deny deny_status 403 if { path /both }
    http-request set-header Transfer-Encoding chunked if { path /garbled }
    http-request set-path /post if { path /garbled }
"""
HAPROXY = """
global
    maxconn 256
    nbthread 1
defaults
    mode %(mode)s
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    retries 0
frontend front
    bind %(listen)s
%(rules)s    default_backend behind
backend behind
%(reuse)s    server one %(server)s%(send)s
"""


def configuration(kind, names):
    if kind.startswith("nginx"):
        names["buffering"] = "on" if "buffering" in kind else "off"
        return NGINX % names, ["nginx", "-e", "stderr", "-p", names["home"], "-c"]
    http = "tcp" not in kind
    names["mode"] = "http" if http else "tcp"
    names["rules"] = GARBLES if http else ""
    names["reuse"] = "    http-reuse always\n    option forwardfor\n" if http else ""
    names["send"] = next((" " + word for word in kind.split() if word.startswith("send-")), "")
    return HAPROXY % names, ["haproxy", "-db", "-f"]


def free_port():
    """One that no outgoing connection is given."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Front:
    """A proxy in front of the row's server, in one process and in a directory of its own."""

    def __init__(self, w, kind):
        self.w, self.kind, self.number = w, kind, 0

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="threats-")
        for _ in range(3):  # somebody else may be given the port meanwhile
            if self.start():
                return self
        self.home.cleanup()
        raise Fail("%s does not start: %s" % (self.kind, self.said))

    def start(self):
        self.addr = ("127.0.0.1", free_port())
        names = {"home": self.home.name, "listen": "%s:%d" % self.addr,
                 "server": "%s:%d" % self.w.addr[:2]}
        text, argv = configuration(self.kind, names)
        config = os.path.join(self.home.name, "conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(text)
        program = shutil.which(argv[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not program:
            raise Fail("no %s here: make test installs it" % argv[0])
        with open(os.path.join(self.home.name, "said"), "w+", encoding="utf-8") as said:
            self.child = subprocess.Popen([program, *argv[1:], config], stdout=said, stderr=said,
                                          stdin=subprocess.DEVNULL, preexec_fn=die_with_us)
            wait_until(self.listens, 10, "%s does not listen" % self.kind)
            if self.child.poll() is None:
                return True
            said.seek(0)
            self.said = said.read()[-1000:]
        return False

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(self.addr, 1):
            return True
        return self.child.poll() is not None

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.home.cleanup()

    def visitors(self, count=6):
        """Others who come by afterwards are answered what they asked."""
        for _ in range(count):
            self.number += 1
            with Wire(self.addr) as wire:
                wire.send(request("GET /n?i=visitor%d HTTP/1.1" % self.number,
                                  "Connection: close"))
                got = answers(wire.rest(5))
            if [(a.status, a.body) for a in got] != [(200, b"visitor%d" % self.number)]:
                raise Fail("visitor %d is answered %s" % (
                    self.number, [(a.status, a.body[:40]) for a in got]))


# haproxy that reads nothing stands for all that look at the request only, or at neither.
FRONTS = ("nginx", "nginx, buffering", "haproxy", "haproxy, tcp")
SMUGGLED = request("POST /both HTTP/1.1", "Content-Length: 8", body=b"smuggled")


def framings():
    """(reason, request): Content-Length and Transfer-Encoding, each saying something else. By one
    of them what is SMUGGLED is a request."""
    post, both = "POST /post HTTP/1.1", b"0\r\n\r\n" + SMUGGLED
    te, cl = "Transfer-Encoding: chunked", "Content-Length: %d" % len(both)
    yield "length first", request(post, cl, te, body=both)
    yield "coding first", request(post, te, cl, body=both)
    yield "length 0", request(post, "Content-Length: 0", te, body=both)
    yield "a GET", request("GET /n?i=1 HTTP/1.1", cl, te, body=both)
    yield "a length within the first chunk", request(
        post, "Content-Length: 4", te, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))
    yield "HTTP/1.0", request("POST /post HTTP/1.0", te, cl, body=both)
    yield "two codings", request(post, te, "Transfer-Encoding: identity", cl, body=both)
    yield "named by Connection", request(post, "Connection: Transfer-Encoding", cl, te, body=both)
    for line in ("Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked",
                 "Transfer-Encoding\0: chunked", "X: y\nTransfer-Encoding: chunked"):
        yield repr(line), request(post, line, cl, body=both)
    for value in (b"\x0bchunked", b"xchunked", b"chunked, identity", b"identity, chunked",
                  b"chunked, chunked", b"\"chunked\"", b" chunked", b"chunked\t", b"Chunked",
                  b"chunked;a=b", b"", b","):
        yield repr(value), request(post, b"Transfer-Encoding: " + value, cl, body=both)


def one_reading(front, raw, statuses):
    """One answer; as many requests are executed as were answered; who comes later is served."""
    before = front.w.stats()["posts"]
    with front.w.against(front).wire() as wire:
        wire.send(raw)
        got = answers(wire.rest(5))
    front.visitors()
    executed = front.w.stats()["posts"] - before
    if [a.status for a in got if a.status != 403] not in [[s] for s in statuses]:
        raise Fail("answered %s" % [a.status for a in got])
    answered = sum(a.status == 200 for a in got) if b"GET /n" not in raw else 0
    if executed != answered or not wire.ended:
        raise Fail("%d executed, %d answered, then %s" % (executed, answered, wire.ended))


@row(7, "both framings through nginx and haproxy: one request or none, and nobody else notices")
def smuggling(w):
    for kind in FRONTS:
        # haproxy drops the length where there is a coding, as RFC 9112 allows.
        statuses = (200, 400, 422) if kind == "haproxy" else (400, 501)
        with Front(w, kind) as front:
            every([("%s: %s" % (kind, reason), front, raw, statuses)
                   for reason, raw in framings()], one_reading)


@row(7, "a proxy that adds Transfer-Encoding to a length: 400, and its connection is not used again")
def garbling(w):
    raw = request("POST /garbled HTTP/1.1", "Content-Length: %d" % (5 + len(SMUGGLED)),
                  "Connection: close", body=b"0\r\n\r\n" + SMUGGLED)
    for kind in ("nginx", "nginx, buffering", "haproxy"):
        with Front(w, kind) as front, w.nothing_happens(rejects=5):
            for _ in range(5):
                front.visitors(1)
                one_reading(front, raw, (400,))


@row(19, "a wrong version through nginx and haproxy: 426, and there is no tunnel behind it")
def tunnels(w):
    """/both is what the proxy keeps its visitors from."""
    def wrong(front, version):
        admin = request("GET /both HTTP/1.1") + frame(codec.TEXT, "=t019\nover the tunnel")
        with Wire(front.addr) as wire:
            wire.send(upgrade("/ps", version=version) + admin)
            raw = b""
            while b"\r\n\r\n" not in raw and (data := wire.some()):
                raw += data
            wire.send(admin)
            got = answers(raw + wire.rest())
        if not got or (got[0].status, got[0].one("sec-websocket-version")) != (426, "13"):
            raise Fail("answered %s" % [a.status for a in got])
        # Behind it only what the proxy itself says: no, and that a frame is no request.
        if [a.status for a in got[1:]] not in ([], [403], [403, 400]) or not wire.ended:
            raise Fail("426, then %s, then %s" % ([a.status for a in got[1:]], wire.ended))

    versions = ("8", "0", "12", "14", "13, 8", "013", "", None)
    for kind in FRONTS:
        with Front(w, kind) as front:
            with w.nothing_happens(rejects=len(versions)), Listener(w, "t019") as listener:
                every([("%s: %s" % (kind, v), front, v) for v in versions], wrong)
                listener.silent()
            front.visitors()
            with Ws(front.addr) as ws:  # the right one is a tunnel, to its end
                ws.ask()
                ws.put(codec.CLOSE, codec.close_body(1000))
                ws.expect_close(1000)
