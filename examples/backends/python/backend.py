"""A backend for `linnet serve` in Python, without packages: it receives webhooks, checks who sent
them, publishes, and mints tokens. Try:

    head -c 24 /dev/urandom | base64 > hook.key
    export LINNET_API_KEY=$(openssl rand -hex 24)
    WEBHOOK_KEY=$(cat hook.key) PORT=3000 python3 backend.py &
    linnet serve --webhook-subscribe http://127.0.0.1:3000/hook \
        --webhook-call http://127.0.0.1:3000/hook --webhook-key file:hook.key

Whoever subscribes to a channel that begins with "private" is refused; the call "add" adds, and
the call "announce" publishes what it was given in the channel "news".
"""
import base64
import hashlib
import hmac
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WINDOW_S = 300
seen = {}  # id -> when it may be forgotten


def bytes_of(key):
    return base64.b64decode(key[6:]) if key.startswith("whsec_") else key.encode()


def verify(headers, body, key, now=None):
    """True when a webhook is ours and of now."""
    now = time.time() if now is None else now
    ident, when = headers.get("webhook-id"), headers.get("webhook-timestamp") or ""
    if not ident or not when.isdigit() or abs(now - int(when)) > WINDOW_S:
        return False
    text = f"{ident}.{when}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(bytes_of(key), text, hashlib.sha256).digest()).decode()
    given = (headers.get("webhook-signature") or "").split(" ")
    return any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given)


def is_new(ident, now=None):
    """A second one with the same id is a replay, or news that came twice: it has been dealt with."""
    now = time.time() if now is None else now
    for old in [i for i, until in seen.items() if until < now]:
        del seen[old]
    if ident in seen:
        return False
    seen[ident] = now + 2 * WINDOW_S
    return True


def mint(claims, secret):
    """A token that says who somebody is (HS256). claims: sub, exp, info, channels, ..."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = b".".join(part(json.dumps(v).encode()) for v in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + part(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


class Refused(Exception):
    """The server's word: args are its code and message."""


def publish(channel, data, event="message", tries=4):
    """Publishes, and gives the place it has: {epoch, offset}. Sent again where no answer came, or one
    that says so: the key makes it one publication however often it arrives."""
    body = json.dumps({"channel": channel, "data": data, "event": event, "key": str(uuid.uuid4())}).encode()
    request = urllib.request.Request(
        os.environ.get("LINNET_URL", "http://127.0.0.1:8080") + "/api/v1/publish", body,
        {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('LINNET_API_KEY')}"})
    for n in range(1, tries + 1):
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return json.load(response)["ok"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["error"]
            if not said.get("retry") or n == tries:
                raise Refused(said["code"], said["message"]) from error
        except OSError:
            if n == tries:
                raise
        time.sleep(random.random() * 0.1 * 2 ** n)


def announce(data):
    try:
        return {"data": publish("news", data)}
    except (Refused, OSError) as error:
        print("not published:", error, flush=True)
        return {"error": {"code": 108, "message": "not published"}}


def decide(question):
    in_an_hour = int(time.time()) + 3600
    if question["type"] == "connect":  # ask your session store here, with question["headers"]
        return {"user": "guest", "expires": in_an_hour, "data": {"motd": "hello"}}
    if question["type"] == "refresh":
        return {"expires": in_an_hour}
    if question["type"] in ("channel_occupied", "channel_vacated"):
        print(question["type"], question["channel"], flush=True)
    if question["type"] == "subscribe" and question["channel"].startswith("private"):
        return {"error": {"code": 103, "message": "that one is private"}}
    if question["type"] == "call":
        if question["event"] == "add":
            return {"data": sum(question["data"])}
        if question["event"] == "announce":
            return announce(question["data"])
        return {"error": {"code": 104, "message": "there is no such method"}}
    return {}


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value=None):
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not verify(self.headers, body, os.environ["WEBHOOK_KEY"]):
            self.answer(401)
        elif not is_new(self.headers["webhook-id"]):
            self.answer(409)
        else:
            self.answer(200, decide(json.loads(body)))

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    if sys.argv[1:2] == ["mint"]:
        print(mint(json.loads(sys.argv[2]), os.environ["JWT_SECRET"]))
    else:
        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Hook)
        print(f"backend on http://127.0.0.1:{server.server_address[1]}/hook", flush=True)
        server.serve_forever()
