"""Backends that publish over HTTP: two that say the same with the same keys, as two would who take
turns at one queue, and each some of its own. What was not answered is said again."""
import http.client
import json
import threading
import time
import zlib

from . import node

PERIOD_S = 0.02
GIVE_UP = 40  # times that one publication is said


class Api:
    """Calls on a connection that is kept; OSError or HTTPException when the answer is lost."""

    def __init__(self, port, timeout=5):
        self.wire = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def call(self, method, body):
        """The status and the answer."""
        try:
            self.wire.request("POST", "/api/v1/" + method, json.dumps(body), {
                "Authorization": "Bearer " + node.KEY, "Content-Type": "application/json"})
            answer = self.wire.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.wire.close()
            raise

    def close(self):
        self.wire.close()


def payload(key, fill=""):
    return {"k": key, "c": zlib.crc32((key + fill).encode()), "f": fill}


class Sender(threading.Thread):
    def __init__(self, name, port, log, channels, shared):
        super().__init__(daemon=True)
        self.who, self.log, self.api, self.over = name, log, Api(port), threading.Event()
        self.channels, self.shared, self.broken = channels, shared, None

    def run(self):
        try:
            number = 0
            while not self.over.wait(PERIOD_S):
                number += 1
                for prefix, by in ((self.shared, "w6"), (self.channels, self.who)):
                    ch = prefix[number % len(prefix)]
                    self.publish(ch, "%s.1:%d" % (by, number))
        except Exception as error:  # the run says that it ended, not why nobody published
            self.broken = repr(error)

    def say(self, op, ch, key, **more):
        self.log.say(p=self.who, op=op, ch=ch, key=key, **more)

    def publish(self, ch, key):
        for _ in range(GIVE_UP):
            self.say("pub", ch, key)
            try:
                status, answer = self.api.call("publish", {"channel": ch, "data": payload(key), "key": key})
            except (OSError, http.client.HTTPException):
                status = 0
            if status == 200:
                self.say("pub_ok", ch, key, **where(answer["ok"]))
                return
            if status not in (0, 429, 503):
                self.say("pub_fail", ch, key)
                self.broken = "%s is answered %d %s" % (key, status, answer)
                return
            if self.over.wait(0.1 if status else 0.25):
                break
        self.say("pub_unknown", ch, key)


def where(ok):
    return {"epoch": ok["epoch"], "off": ok["offset"]} if "offset" in ok else {}


class Log:
    """Lines of this process (README.md)."""

    def __init__(self, name):
        self.out, self.lock = open(name, "w", encoding="ascii"), threading.Lock()

    def say(self, **fields):
        with self.lock:
            self.out.write(json.dumps({"t": time.monotonic_ns(), **fields}, separators=(",", ":")) + "\n")

    def close(self):
        with self.lock:
            self.out.close()
