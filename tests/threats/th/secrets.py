"""What must not come out, nor be let in by a side door: rows 11, 66, 125, 162."""
import contextlib
import json
import os
import subprocess
import tempfile

from .identity import SECRET, bearer, serving, token
from .lives import KEY
from .native import V1
from .peer import Fail, Ws, answers, request, upgrade, wait_until
from .suite import every, row

SAY = b'{"channel":"t011","data":1}'
KEYED = "Authorization: Bearer " + KEY
JSON = "Content-Type: application/json"


def chunked(trailers, *fields, path="/api/v1/publish"):
    """A publication whose trailer says these."""
    said = b"".join(t.encode() + b"\r\n" for t in trailers)
    return request("POST %s HTTP/1.1" % path, "Transfer-Encoding: chunked", JSON, *fields, host="localhost",
                   body=b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(SAY), SAY, said))


def history(w, channel):
    body = json.dumps({"channel": channel}).encode()
    got, _ = w.ask(request("POST /api/v1/history HTTP/1.1", KEYED, JSON, "Connection: close",
                           "Content-Length: %d" % len(body), host="localhost", body=body))
    return json.loads(got[0].body)["ok"]


@row(11, "trailers: what stands there neither lets in nor keeps out, and moves nothing")
def trailers(w):
    flags = ("--trusted-proxy", "127.0.0.1", "--log-level", "info", "--log-format", "json")
    with w.server(*flags, verb="serve", env={"LINNET_API_KEY": KEY}) as server:
        inside = w.against(server)

        def one(raw, *statuses):
            got, _ = inside.ask(raw + request("GET /none HTTP/1.1", "Connection: close", host="localhost"))
            if [a.status for a in got] != [*statuses, 404]:
                raise Fail("answered %s" % [a.status for a in got])
        every([
            ("the key only there", chunked([KEYED]), 401),
            ("a wrong one before it", chunked([KEYED], "Authorization: Bearer x"), 401),
            ("another host's name", chunked(["Host: localhost", KEYED]), 401),
            ("a wrong key behind the good one", chunked(["Authorization: Bearer x"], KEYED), 200),
            ("a length", chunked(["Content-Length: 3"], KEYED), 200),
            ("a length, and another request in it", chunked(["Content-Length: 500"], KEYED), 200),
            ("another coding", chunked(["Transfer-Encoding: gzip"], KEYED), 200),
            ("a foreign host", chunked(["Host: evil.example"], KEYED), 200),
            ("another type", chunked(["Content-Type: text/plain"], KEYED), 200),
        ], one)
        got, _ = inside.ask(chunked(["X-Forwarded-For: 192.0.2.7"], path="/nowhere"))
        if [a.status for a in got] != [404]:
            raise Fail("with a visitor: %s" % [a.status for a in got])
        if (said := history(inside, "t011"))["offset"] != 6:
            raise Fail("%d of 6 are there" % said["offset"])
        wait_until(lambda: sum(line["code"] == 404 for line in server.log()) >= 2, 5, "the log to say so")
        if "192.0.2.7" in server.words():
            raise Fail("the visitor of a trailer is believed")


# ---- BREACH --------------------------------------------------------------------------------

def packed(ws):
    return len(ws.parser.packed_sizes)


@row(66, "compression: what is said of a login shares none with what others choose; no size tells a guess",
     slow=True)
def length_oracle(w):
    with serving(w, "--deflate=takeover", env={"LINNET_DEFLATE_THRESHOLD": "1", "LINNET_RESUME_TIME": "2s"}) as inside:
        offer = {"deflate": "permessage-deflate"}

        def sizes(name):
            """Of all that holds a ticket or answers a token, on a connection that has heard `name` often."""
            with Ws(inside.addr, "/ws/" + name, V1, **offer) as ws:
                if not ws.agreed:
                    raise Fail("no compression was agreed")
                out = [len(ws.expect("text").data)]
                for kind in ("auth", "refresh"):
                    before = packed(ws)
                    ws.text(json.dumps({"type": kind, "id": kind, "data": {"token": token()}}))
                    got = ws.expect("text").data
                    if b'"ok"' not in got:
                        raise Fail("%s is answered %s" % (kind, got))
                    out.append(len(got))
                    if packed(ws) != before:
                        raise Fail("the answer to %s is compressed" % kind)
                ticket = None
                while ticket is None:  # half of two seconds later
                    before = packed(ws)
                    said = json.loads(ws.expect("text", limit=5).data)
                    ticket = said.get("resume")
                if packed(ws) != before:
                    raise Fail("a new ticket is compressed")
                ws.text('{"type":"subscribe","id":1,"channel":"t066.%s"}' % name)
                while b'"re":1' not in ws.expect("text").data:
                    pass
                if packed(ws) == before:
                    raise Fail("nothing is compressed: that shows nothing")
                return out
        names = "eyJhbGciOiJIUzI1NiJ9", "zzzzzzzzzzzzzzzzzzzz", "resumeresumeresume00"
        alike = {tuple(sizes(name)) for name in names}
        if len(alike) != 1:
            raise Fail("sizes tell names apart: %s" % alike)
        with Ws(inside.addr, "/ws", V1, bearer(token()), **offer) as ws:  # a welcome with user and ticket
            welcome = ws.expect("text").data
            if b'"resume"' not in welcome or packed(ws):
                raise Fail("compressed %d, it says %s" % (packed(ws), welcome))
    # Pages, errors and the API do not compress at all.
    with w.server(verb="serve", env={"LINNET_API_KEY": KEY}) as server:
        for path in ("/demo/chat/", "/metrics", "/api/v1/openapi.json", "/none"):
            got, _ = w.against(server).ask(request("GET %s HTTP/1.1" % path, KEYED, "Accept-Encoding: gzip, br",
                                                   "Connection: close", host="localhost"))
            if got[0].one("content-encoding"):
                raise Fail("%s comes as %s" % (path, got[0].one("content-encoding")))


# ---- CORS ----------------------------------------------------------------------------------

GOOD, EVIL = "https://app.example", "https://evil.example"
PATHS = ("/api/v1/publish", "/api/v1/openapi.json", "/metrics", "/healthz", "/readyz", "/demo/chat/", "/ws", "/none",
         "/sse?channel=x")


def of_cors(answer):
    return {n: v for n, v in answer.fields if n.startswith("access-control-")}


def preflight(path, origin, method="POST"):
    return request("OPTIONS %s HTTP/1.1" % path, "Origin: " + origin, "Access-Control-Request-Method: " + method,
                   "Access-Control-Request-Headers: authorization, content-type", host="localhost")


@row(125, "CORS: no page elsewhere is let in with credentials, whatever it asks; thousands of preflights are refused",
     slow=True)
def cors(w):
    for allowed in (GOOD, "*"):
        with w.server("--origin", allowed, "--workers", "2", verb="serve", canary="page",
                      env={"LINNET_API_KEY": KEY}) as server:
            inside = w.against(server)

            def one(raw, may_read):
                with inside.wire() as wire:  # a stream does not end
                    wire.send(raw)
                    head = b""
                    while b"\r\n\r\n" not in head and (data := wire.some(5)):
                        head += data
                    got = answers(head)[0]
                said = of_cors(got)
                if may_read and got.status == 200:
                    want = {"access-control-allow-origin": may_read}
                    if allowed != "*":
                        want["access-control-allow-credentials"] = "true"
                    if said != want or "Origin" not in (got.one("vary") or ""):
                        raise Fail("it says %s, Vary %s" % (said, got.one("vary")))
                elif said:
                    raise Fail("%d, and it says %s" % (got.status, said))
            body = request("POST /api/v1/publish HTTP/1.1", "Origin: " + EVIL, "Cookie: session=x", JSON,
                           "Content-Length: %d" % len(SAY), host="localhost", body=SAY)
            every([("%s to %s from %s" % (m, path, origin),
                    preflight(path, origin) if m == "OPTIONS" else
                    request("%s %s HTTP/1.1" % (m, path), "Origin: " + origin, "Cookie: session=x", host="localhost"),
                    origin if path.startswith("/sse") and m != "OPTIONS" and allowed in ("*", origin) else None)
                   for path in PATHS for m in ("OPTIONS", "GET", "HEAD")
                   for origin in (GOOD, EVIL, "null", GOOD + ".evil.example", "http://app.example")]
                  + [("a credentialed POST", body, None)], one)
            got, _ = inside.ask(body.replace(b"POST", b"POST", 1) +
                                request("GET /none HTTP/1.1", "Connection: close", host="localhost"))
            if [a.status for a in got] != [401, 404]:
                raise Fail("a credentialed POST is answered %s" % [a.status for a in got])
            if history(inside, "t011")["offset"]:
                raise Fail("it was published")
            flood(w, inside, 50 if w.full else 5)


def flood(w, inside, rounds):
    """Hundreds in one segment, again and again."""
    count = 400
    with w.against(inside.shared).cost() as cost:
        for n in range(rounds):
            got, _ = inside.ask(preflight("/api/v1/publish", EVIL) * (count - 1) +
                                request("OPTIONS /sse HTTP/1.1", "Origin: " + EVIL, "Connection: close",
                                        host="localhost"))
            if [a.status for a in got] != [405] * count or any(of_cors(a) for a in got):
                raise Fail("round %d: %d answers, %s" % (n, len(got), {a.status for a in got}))
    w.note("%d preflights, %.1f us of CPU each" % (rounds * count, cost.cpu * 1e6 / rounds / count))


# ---- markers ---------------------------------------------------------------------------------

MARK = "m4rk3r"
GRANTED = ("all-%s-0123456789abcdef", "metrics-%s-0123456789ab metrics", "read-%s-0123456789abcd read")
CONFIG = """
log: {level: %(level)s, format: %(format)s}
api: {key_file: %(api)s}
auth: {secrets: [%(jwt)s], cookie: session, anonymous: publish}
resume: {keys: ["%(resume)s"]}
webhooks: {call: "http://127.0.0.1:9/", keys: ["%(hook)s", "file:%(hook2)s"]}
"""


@contextlib.contextmanager
def marked(w, level, form, **how):
    """A server all of whose secrets have the marker in them."""
    with tempfile.TemporaryDirectory(prefix="threats-") as folder:
        def private(name, text):
            at = os.path.join(folder, name)
            with open(os.open(at, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as out:
                out.write(text)
            return at
        secret = "hook-%s-of-more-than-thirty-two-bytes" % MARK
        names = {"api": private("keys", "\n".join(k % MARK if "%s" in k else k for k in GRANTED) + "\n"),
                 "jwt": private("jwt", SECRET.decode() + MARK), "resume": secret.replace("hook", "resume"),
                 "hook": secret, "hook2": private("hook2", secret + "-2"), "level": level, "format": form}
        config = private("linnet.yaml", CONFIG % names)
        state = os.path.join(folder, "state")
        os.mkdir(state, 0o700)
        with w.server("--config", config, "--state-dir", state, "--workers", "2", verb="serve", **how) as server:
            yield server, config


def visit(w, server, shown):
    """Everything that knows a secret says it in every place where it might be said."""
    good = token(secret=SECRET + MARK.encode(), jti=MARK)
    key = "Authorization: Bearer all-%s-0123456789abcdef" % MARK
    port = "127.0.0.1:%d" % server.addr[1]

    def keep(raw):
        with w.wire() as wire:  # of what has no end, what there is
            wire.send(raw)
            shown.append(wire.some() or b"")
    for path in ("/none?token=%s", "/ws?token=%s", "/sse?channel=x&token=%s", "/metrics?key=%s", "/api/v1/info?key=%s",
                 "/%s%%00", "/demo/%s"):
        for text in (MARK, good):
            keep(request("GET %s HTTP/1.1" % (path % text), "Connection: close", host=port))
    for line in ("GET /none", "GET /metrics", "POST /api/v1/none", "GET /api/v1/openapi.json", "GET /ws"):
        for field in (key, "Authorization: Basic " + MARK, bearer(good) + "x", "Cookie: session=" + MARK):
            keep(request(line + " HTTP/1.1", field, "Connection: close", "Content-Length: 0", host=port))
    for fields, path in (([bearer(good)], "/ws"), ([], "/ws?token=" + good), ([], "/ws?token=" + MARK)):
        with Ws(w.addr, path, V1, *fields) as ws:
            ws.expect("text")
            ws.text(json.dumps({"type": "auth", "id": 1, "data": {"token": MARK}, "token": MARK}))
            ws.next(5)
            ws.text(json.dumps({"type": "subscribe", "id": 2, "channel": "x", "token": good[:-2]}))
            ws.next(5)
            ws.text(json.dumps({"type": "auth", "id": 3, "data": {"resume": MARK}}))
            ws.next(1)
    wire = upgrade("/ws", V1 + ", linnet.token." + MARK, host=port)
    with w.wire() as one:
        one.send(wire)
        shown.append(one.some() or b"")


def posted(w, server, method, body=b"{}"):
    raw = request("POST /api/v1/%s HTTP/1.1" % method, "Authorization: Bearer all-%s-0123456789abcdef" % MARK, JSON,
                  "Connection: close", "Content-Length: %d" % len(body), host="localhost", body=body)
    got, _ = w.against(server).ask(raw)
    return got[0].body


def found_in(shown):
    for text in shown:
        text = text if isinstance(text, bytes) else text.encode()
        if (at := text.find(MARK.encode())) >= 0:
            return text[max(0, at - 200):at + 100]
    return None


@row(162, "secrets: no key, token or cookie is in argv, environ, log, metrics, answers, tail, why, or what is shown",
     slow=True)
def markers(w):
    def one(level, form):
        shown = []
        with marked(w, level, form, env={"LINNET_API_KEY": "env-%s-0123456789abcdef" % MARK}) as (server, config):
            linnet = {"env": {**os.environ, "LINNET_API_KEY": "all-%s-0123456789abcdef" % MARK}}
            url = "http://127.0.0.1:%d" % server.addr[1]
            with subprocess.Popen([w.program("linnet"), "tail", "--url", url, "--json", "--data"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **linnet) as tail:
                try:
                    visit(w.against(server), server, shown)
                    for args in (["status", "--url", url], ["status", "--json", "--url", url], ["why", "--url", url],
                                 ["config", "show", "--config", config], ["config", "check", config],
                                 ["doctor", "--config", config], ["drain", "--plan", "--url", url]):
                        done = subprocess.run([w.program("linnet"), *args], capture_output=True, check=False, **linnet)
                        shown += [done.stdout, done.stderr]
                    for method in ("why", "info", "bans", "connections", "none", "openapi.json"):
                        shown.append(posted(w, server, method))
                    for method in ("publish", "ban", "history"):  # a mistake is told without what was said
                        shown.append(posted(w, server, method, b'{"key":"%s","token":"%s"}' % ((MARK.encode(),) * 2)))
                    got, _ = w.against(server).ask(request("GET /metrics HTTP/1.1", "Connection: close", bearer(
                        linnet["env"]["LINNET_API_KEY"]), host="localhost"))
                    shown.append(got[0].body)
                    for name in ("cmdline", "environ"):
                        with open("/proc/%d/%s" % (server.pid, name), "rb") as text:
                            shown.append(text.read())
                finally:
                    tail.terminate()
                    said = tail.stdout.read()
            if "disconnect" not in said:
                raise Fail("the tail has seen nothing: %s" % said[:200])
            shown += [said, server.words()]
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(os.path.dirname(config), "state", "bans"), "rb") as text:
                    shown.append(text.read())
            if len(shown) < 60 or not any(b"config" in s if isinstance(s, bytes) else "auth" in s for s in shown):
                raise Fail("only %d places were looked at" % len(shown))
        if out := found_in(shown):
            raise Fail("it says %r" % out)
    pairs = [("debug", "json"), ("debug", "human"), ("info", "logfmt")]
    if w.full:
        pairs = [(level, form) for level in ("error", "warn", "info", "debug") for form in ("json", "human", "logfmt")]
    every([("%s as %s" % pair, *pair) for pair in pairs], one)
