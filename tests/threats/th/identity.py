"""Who is speaking, against `linnet serve` with keys: forged, foreign, odd and late tokens."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from ct.codec import TEXT

from .native import V1, Client
from .peer import Fail, Listening, frame, upgrade
from .suite import every, row

SECRET = b"a secret of the hostile rows, forty bytes"
AUDIENCE = ("--jwt-issuer", "https://a.example", "--jwt-audience", "chat")
PATIENT = {"LINNET_LIMITS_AUTH_FAILURES": "off"}  # how many bad ones there may be is row 103
GOOD = {"sub": "anna", "iss": "https://a.example", "aud": "chat"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims=None, header=None, secret=SECRET, signature=None, **more):
    """HS256, unless it says otherwise. header, claims: an object, or the text itself."""
    claims = claims if isinstance(claims, str) else json.dumps(
        {"exp": int(time.time()) + 600, **GOOD, **(claims or {}), **more})
    header = header if isinstance(header, str) else json.dumps(header or {"alg": "HS256"})
    said = b64(header.encode()) + "." + b64(claims.encode())
    mac = hmac.new(secret, said.encode(), hashlib.sha256).digest()
    return said + "." + (b64(mac) if signature is None else signature)


def without(name):
    return json.dumps({k: v for k, v in {"exp": int(time.time()) + 600, **GOOD}.items() if k != name})


@contextlib.contextmanager
def serving(w, *flags, secrets=(SECRET,), files=None, canary="native", env=None):
    """A server with these secrets, and these flags; {NAME} in them is a file of `files`."""
    folder = tempfile.mkdtemp(prefix="threats-")
    names = {}
    try:
        for name, data in {**{"s%d" % i: s for i, s in enumerate(secrets)}, **(files or {})}.items():
            names[name] = os.path.join(folder, name)
            with open(os.open(names[name], os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
                f.write(data)
        args = [x for i in range(len(secrets)) for x in ("--jwt-hmac-secret-file", names["s%d" % i])]
        flags = [f.format(**names) for f in flags]
        with w.server("--workers", "2", *args, *flags, verb="serve", env={**PATIENT, **(env or {})},
                      canary=canary) as server:
            yield w.against(server)
    finally:
        shutil.rmtree(folder)


def status(w, *fields, path="/ws"):
    """Of a handshake."""
    with w.wire() as wire:
        wire.send(upgrade(path, *fields, host="%s:%d" % w.addr[:2]))
        raw = b""
        while b"\r\n\r\n" not in raw:
            data = wire.some()
            if not data:
                raise Fail("no answer but %r" % raw)
            raw += data
        return int(raw.split(b" ")[1])


def closed(ws, code, limit=10):
    """The server's Close; that it then waits for ours is another row's affair."""
    got = ws.next(limit)
    if got is None or got.kind != "close" or got.code != code:
        raise Fail("wanted close(%s), got %s" % (code, got))


def bearer(text):
    return "Authorization: Bearer " + text


def judge(w):
    """By header 401, and by a first message error 101 or 109 and the end; or taken both ways."""
    def one(text, good):
        got = status(w, bearer(text))
        if got != (101 if good else 401):
            raise Fail("the handshake was answered %d" % got)
        with w.ws("/ws", V1) as ws:
            ws.expect("text")
            ws.text(json.dumps({"type": "auth", "id": 1, "data": {"token": text}}))
            said = json.loads(ws.expect("text").data)
            if (said["type"] == "ok") != good:
                raise Fail("it says %s" % said)
            if not good:
                closed(ws, 3005 if said["error"]["code"] == 109 else 3500)
    return one


@row(86, "tokens: alg none in all spellings, of the wrong type, and HMAC with the public key")
def algorithms(w):
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                         capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=key, capture_output=True, check=True).stdout
    none = [("alg %s, %s" % (a, "signed" if s is None else "not signed"), token(header={"alg": a}, signature=s), False)
            for a in ("none", "None", "NONE", "nOnE") for s in ("", None)]
    with serving(w, "--jwt-key-file", "{public}", *AUDIENCE, files={"public": public}) as inside:
        every([("a good one", token(), True)] + none + [
            ("alg missing", token(header={"typ": "JWT"}), False),
            ("alg an array", token(header={"alg": ["HS256"]}), False),
            ("alg null", token(header={"alg": None}), False),
            ("alg in small letters", token(header={"alg": "hs256"}), False),
            ("alg twice", token(header='{"alg":"HS256","alg":"none"}'), False),
            ("HMAC with the public key", token(secret=public), False),
            ("that, without its last line end", token(secret=public.rstrip()), False),
            ("RS256 with an HMAC", token(header={"alg": "RS256"}), False),
            ("another secret", token(secret=b"x" * 40), False),
            ("an empty secret", token(secret=b""), False),
            ("no signature", token(signature=""), False),
            ("half of one", token()[:-20], False),
        ], judge(inside))


def jwk(secret, kid):
    return {"kty": "oct", "kid": kid, "k": b64(secret), "alg": "HS256"}


@row(87, "tokens: a kid is a name of at most 128 bytes, and neither a path, a query nor an address")
def kids(w):
    keys = json.dumps({"keys": [jwk(SECRET, "k1"), jwk(b"b" * 40, "k2")]}).encode()
    strange = ["../../dev/null", "/dev/null", "' OR 1=1 --", "x' UNION SELECT 'k", "http://127.0.0.1:9/k",
               "k3", "K1", "k", "k1 ", "k1\0", "", "k" * 129, "k" * 2000, 1, None, ["k1"]]
    with serving(w, "--jwt-key-file", "{keys}", secrets=(), files={"keys": keys}) as inside:
        every([("its own", token(header={"alg": "HS256", "kid": "k1"}), True),
               ("the other's", token(header={"alg": "HS256", "kid": "k2"}), False)]
              + [("kid %r" % (k if not isinstance(k, str) else k[:20]),
                  token(header={"alg": "HS256", "kid": k}), False) for k in strange]
              + [("a path, and the empty secret it would lead to",
                  token(header={"alg": "HS256", "kid": "/dev/null"}, secret=b""), False)], judge(inside))


@row(88, "tokens: keys that a header points to or brings along are not looked at, extensions refused")
def elsewhere(w):
    with Listening() as trap, serving(w, *AUDIENCE) as inside:
        there = "http://127.0.0.1:%d/keys" % trap.port
        own = jwk(b"x" * 40, "x")

        def header(**more):
            return {"alg": "HS256", **more}
        every([
            ("jku beside a good signature", token(header=header(jku=there)), True),
            ("jku beside its own key's", token(header=header(jku=there), secret=b"x" * 40), False),
            ("x5u", token(header=header(x5u=there), secret=b"x" * 40), False),
            ("jwk", token(header=header(jwk=own), secret=b"x" * 40), False),
            ("x5c", token(header=header(x5c=["MIIB"]), secret=b"x" * 40), False),
            ("an unknown extension", token(header=header(crit=["exp2"], exp2=1)), False),
            ("no extension at all", token(header=header(crit=[])), False),
            ("content as it is", token(header=header(b64=False, crit=["b64"])), False),
            ("compressed", token(header=header(zip="DEF")), False),
            ("encrypted", token(header=header(enc="A256GCM")), False),
            ("five parts", token() + ".AA.AA", False),
        ], judge(inside))
        if select.select([trap.listener], [], [], 0.2)[0]:
            raise Fail("somebody asked for the keys")


@row(90, "tokens: times of the wrong type, out of range or missing, and 30 s of skew")
def times(w):
    now = int(time.time())
    odd = ["%d" % (now + 600), 1e300, now + 600.5, -1, 0, None, True, [now + 600], {"at": now}]
    with serving(w, *AUDIENCE) as inside:
        every([("exp %r" % (v,), token(exp=v), False) for v in odd]
              + [("nbf %r" % (v,), token(nbf=v), False) for v in odd]
              + [("iat %r" % (v,), token(iat=v), False) for v in odd]
              + [("exp missing", token(without("exp")), False),
                 ("expired a minute ago", token(exp=now - 60), False),
                 ("expired inside the skew", token(exp=now - 15), True),
                 ("nbf in a minute", token(nbf=now + 60), False),
                 ("nbf inside the skew", token(nbf=now + 15), True),
                 ("issued in a minute", token(iat=now + 60), False),
                 ("exp twice", token('{"exp":%d,"exp":1,"sub":"a","iss":"https://a.example","aud":"chat"}'
                                     % (now + 600)), False)], judge(inside))


@row(90, "tokens: who is connected when it ends is told, and closed 30 s after it", slow=True)
def the_end(w):
    with serving(w, "--anonymous", "connect") as inside, \
            inside.ws("/ws", V1, bearer(token(exp=int(time.time()) + 1))) as ws:
        ws.expect("text")
        said = json.loads(ws.expect("text", limit=5).data)
        if said["type"] != "expiring" or said["in"] > 1:
            raise Fail("it says %s" % said)
        began = time.monotonic()
        while (got := ws.next(40)) and got.kind == "text":
            ws.text('{"type":"pong"}')
        if got is None or got.kind != "close" or got.code != 3005 or not 27 < time.monotonic() - began < 35:
            raise Fail("after %.1f s: %s" % (time.monotonic() - began, got))


@row(91, "tokens: audience and issuer are compared byte by byte")
def audiences(w):
    with serving(w, *AUDIENCE) as inside:
        every([("aud %r" % (v,), token(aud=v), False) for v in
               ("cha", "chats", "Chat", "chat ", "chat\0", "", [], ["x"], ["chat", 1], {"chat": 1}, 1, None)]
              + [("one of several", token(aud=["x", "chat"]), True), ("aud missing", token(without("aud")), False)]
              + [("iss %r" % (v,), token(iss=v), False) for v in
                 ("https://a.example/", "https://a.exampl", "https://A.example", "http://a.example",
                  "https://a.example.evil.example", "https://a.example\0", "", 1, ["https://a.example"], None)]
              + [("iss missing", token(without("iss")), False)], judge(inside))


@row(92, "tokens: a short secret, and one that everybody may read, do not start")
def secrets(w):
    folder = tempfile.mkdtemp(prefix="threats-")

    def one(mode, data, words):
        path = os.path.join(folder, "secret")
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
        done = subprocess.run([w.program("linnet"), "serve", "--listen", "127.0.0.1:0", "--jwt-hmac-secret-file", path],
                              capture_output=True, text=True, timeout=20)
        if done.returncode != 1 or words not in done.stderr or done.stdout:
            raise Fail("%d: %s" % (done.returncode, done.stderr))
    try:
        every([("31 bytes", 0o600, b"x" * 31, "at least 32 bytes"), ("none", 0o600, b"", "at least 32 bytes"),
               ("31 and a line end", 0o600, b"x" * 31 + b"\n", "at least 32 bytes"),
               ("for everybody", 0o644, b"x" * 40, "read by everybody"),
               ("for everybody to write", 0o602, b"x" * 40, "by everybody")], one)
    finally:
        shutil.rmtree(folder)


@row(93, "tokens: in an address, a subprotocol, a cookie or a message, good or bad, they are in no line")
def redacted(w):
    marker = "m4rk3r"
    good, bad = token(jti=marker), token(secret=b"x" * 40)
    with serving(w, "--log-level", "debug", "--auth-cookie", "session") as inside:
        cookie = ["Cookie: session=%s", "Origin: http://%s:%d" % inside.addr[:2]]
        for text, codes in ((good, (101, 101, 101)), (bad, (101, 101, 401)), (marker, (101, 101, 401))):
            got = (status(inside, path="/ws?token=" + text),
                   status(inside, V1 + ", linnet.token." + text),
                   status(inside, cookie[0] % text, cookie[1]))
            if got != codes:
                raise Fail("answered %s" % (got,))
            status(inside, path="/none?token=" + text)
            with inside.ws("/ws", V1) as ws:
                ws.expect("text")
                ws.text(json.dumps({"type": "auth", "id": 1, "data": {"token": text}}))
                ws.next()
        said = inside.shared.words()
        for text in (marker, good.split(".")[1], good.split(".")[2], bad.split(".")[2]):
            if text in said:
                raise Fail("it says %s" % said)


def two_issuers():
    return {n: json.dumps({"issuer": n, "keys": [jwk(s, "k")]}).encode()
            for n, s in (("A", SECRET), ("B", b"b" * 40))}


BOTH = ("--jwt-key-file", "{A}", "--jwt-key-file", "{B}")
K = {"alg": "HS256", "kid": "k"}


@row(94, "tokens: two issuers with the same kid: neither's key is good for the other's tokens")
def issuers(w):
    with serving(w, *BOTH, secrets=(), files=two_issuers()) as inside:
        every([("A's", token(header=K, iss="A"), True),
               ("B's", token(header=K, iss="B", secret=b"b" * 40), True),
               ("A's key, B's name", token(header=K, iss="B"), False),
               ("B's key, A's name", token(header=K, iss="A", secret=b"b" * 40), False),
               ("A's key, nobody's name", token(without("iss"), header=K), False)], judge(inside))


@row(95, "tokens: an issuer that is an address is not asked for anything")
def strangers(w):
    with Listening() as trap, serving(w, *BOTH, secrets=(), files=two_issuers()) as inside:
        there = "http://127.0.0.1:%d" % trap.port
        every([("an address", token(header=K, iss=there), False),
               ("an address, without kid", token(iss=there), False)], judge(inside))
        if select.select([trap.listener], [], [], 0.2)[0]:
            raise Fail("the issuer was asked")


@row(97, "origins: where a cookie logs in, only pages of this host, and never from nowhere")
def origins(w):
    def one(fields, want):
        got = status(inside, *fields)
        if got != want:
            raise Fail("answered %d" % got)
    with serving(w, "--auth-cookie", "session", "--origin", "https://good.com") as inside:
        here = "%s:%d" % inside.addr[:2]
        for how in ("Cookie: session=" + token(), bearer(token())):
            cookie = how.startswith("Cookie")
            every([("%s, %s" % (how[:6], o), [how, "Origin: " + o], 403) for o in
                   ("null", "https://good.com.evil.com", "https://evilgood.com", "http://good.com",
                    "https://good.com:8443", "https://good.com.", "https://", "good.com",
                    "https://evil.com", "https://localhost", "file://", "https://good.com@evil.com")]
                  + [("%s, the page" % how[:6], [how, "Origin: https://good.com"], 101),
                     ("%s, no page" % how[:6], [how], 403 if cookie else 101),
                     ("%s, two" % how[:6], [how, "Origin: https://good.com", "Origin: https://evil.com"], 403
                      if status(inside, "Origin: https://good.com", "Origin: https://evil.com") == 403 else 400)], one)
        if status(inside, "Cookie: session=" + token(), "Origin: http://" + here) not in (101, 403):
            raise Fail("the server's own page")


def asks(client, want, **fields):
    client.id += 1
    client.ws.text(json.dumps({"id": client.id, **fields}))
    got = json.loads(client.ws.expect("text").data)
    if got.get("error", {}).get("code", 0) != want:
        raise Fail("%s is answered %s" % (fields, got))


class Known(Client):
    def __init__(self, w, user):
        self.ws, self.id, self.waiting = w.ws("/ws", V1, bearer(token(sub=user))), 0, []
        self.hear("welcome")


VIP = b"""
auth: {secrets: [%s]}
namespaces: [{name: vip, allow: {subscribe: token}}]
"""


@row(99, "subscribe: a token for another channel, another user, or one that is over")
def channel_tokens(w):
    now = int(time.time())
    with tempfile.TemporaryDirectory(prefix="threats-") as folder:
        secret, config = os.path.join(folder, "s"), os.path.join(folder, "c.yaml")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
            f.write(SECRET)
        with open(config, "wb") as f:
            f.write(VIP % secret.encode())
        with w.server("--config", config, verb="serve", env=PATIENT) as server, \
                Known(w.against(server), "anna") as anna:
            for want, channel, text in ((103, "vip:1", None),
                                        (103, "vip:1", token(channel="vip:2")),
                                        (103, "vip:1", token(channel="vip:*")),
                                        (103, "vip:1", token(channel=["vip:1"])),
                                        (103, "vip:1", token(channel="vip:1", sub="bob")),
                                        (103, "vip:1", token(channel="vip:1", exp=now - 60)),
                                        (103, "vip:1", token(channel="vip:1", secret=b"x" * 40)),
                                        (103, "vip:1", token()), (103, "vip:1", "vip:1"),
                                        (103, "@bob", token(channel="@bob", sub="bob")),
                                        (0, "vip:1", token(channel="vip:1"))):
                asks(anna, want, type="subscribe", channel=channel, **({"token": text} if text else {}))


@row(102, "before a login: commands, what is no JSON, 16 KiB and one byte, and a token for one channel")
def before(w):
    with serving(w) as inside:
        with inside.ws("/ws", V1) as ws:
            ws.expect("text")
            for kind in ("subscribe", "publish", "history", "presence", "send", "refresh", "dance", "call"):
                ws.text(json.dumps({"type": kind, "id": 1, "channel": "x", "to": "a", "data": {"token": token()}}))
                said = json.loads(ws.expect("text").data)
                if said.get("error", {}).get("code") != 101:
                    raise Fail("%s is answered %s" % (kind, said))
        for dialect in ("event", "rpc", "topic", "channel"):
            with inside.ws("/ws?dialect=" + dialect) as ws:
                ws.text('{"id":"1","type":"join","action":"subscribe","payload":{"room":"x"},"channel":"x"}')
                got = ws.next()
                if dialect == "event" and (got.kind, got.code) != ("close", 1008):
                    raise Fail("event hears %s" % (got,))
                if dialect != "event" and b"not authenticated" not in got.data:
                    raise Fail("%s hears %s" % (dialect, got))
        every([("no JSON", b"{", 3501), ("no text of ours", b"hello", 3501), ("binary", None, 1003),
               ("16 KiB and one byte", b'{"x":"' + b"x" * (16385 - 8) + b'"}', 1009)],
              lambda text, code: _closes(inside, text, code))
        with inside.ws("/ws", V1) as ws:
            ws.expect("text")
            ws.text(b'{"x":"' + b"x" * (16384 - 8) + b'"}')
            ws.text('{"type":"ping","id":1}')
            if b"101" in ws.next().data and b"pong" not in ws.next().data:
                raise Fail("16 KiB are too much")
        with inside.ws("/ws", V1) as ws:
            ws.expect("text")
            ws.text(json.dumps({"type": "auth", "id": 1, "data": {"token": token(channel="x")}}))
            ws.expect("text")
            closed(ws, 3500)


def _closes(w, text, code):
    with w.ws("/ws", V1) as ws:
        ws.expect("text")
        ws.send(frame(TEXT if text else 2, text or b"\0"))
        closed(ws, code)


@row(102, "before a login: ten seconds, and no longer", slow=True)
def deadline(w):
    with serving(w, "--anonymous", "no", canary="page") as inside:
        began = time.monotonic()
        with inside.ws("/ws", V1) as ws:
            ws.expect("text")
            closed(ws, 3002, 14)
        if not 8.5 < time.monotonic() - began < 12.5:
            raise Fail("%.1f s" % (time.monotonic() - began))


@row(104, "channels of other users and reserved ones: bytes are bytes")
def others(w):
    with serving(w) as inside, Known(inside, "anna") as anna, Known(inside, "bob") as bob:
        asks(bob, 0, type="subscribe", channel="@bob")
        for channel in ("@bob", "@Anna", "@anna2", "@ann", "system", "$x", "$linnet:clients", "@"):
            asks(anna, 103, type="subscribe", channel=channel)
            asks(anna, 103, type="history", channel=channel)
        for channel in ("@anna\0", "@anna\u0301", "@\u00e4nna", "@a\u0308nna", "@bob ", "#a,b", "a,b", "@b*", "a b"):
            asks(anna, 107, type="subscribe", channel=channel)
        asks(anna, 103, type="subscribe", channel="@%62ob")
        asks(anna, 0, type="subscribe", channel="@anna")
        asks(anna, 103, type="publish", channel="system", data=1)
        asks(anna, 103, type="publish", channel="$x", data=1)
        bob.ws.text('{"type":"ping","id":99}')
        if b"pong" not in bob.ws.expect("text").data:
            raise Fail("bob heard something")
