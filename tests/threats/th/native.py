"""The rows that have a meaning of their own in the native protocol."""
import json

from ct import codec
from ct.codec import BINARY, CLOSE, CONT, TEXT

from .limits import as_at_random
from .peer import Fail, frame, upgrade
from .suite import every, row

V1 = "Sec-WebSocket-Protocol: linnet.v1"


class Client:
    """A connection that speaks linnet.v1 and asks one thing after the other."""

    def __init__(self, w):
        self.ws, self.id, self.waiting = w.ws("/ws", V1), 0, []
        self.hear("welcome")

    def hear(self, kind):
        got = None
        if not self.waiting:
            got = self.ws.next()
            said = json.loads(got.data) if got and got.kind == "text" else {}
            self.waiting = said if isinstance(said, list) else [said]
        said = self.waiting.pop(0)
        if said.get("type") != kind:
            raise Fail("wanted %s, got %s" % (kind, said or got))
        return said

    def ask(self, kind, **fields):
        self.id += 1
        self.ws.text(json.dumps({"type": kind, "id": self.id, **fields}))
        return self.hear("pong" if kind == "ping" else "ok")

    def offset(self, channel):
        """Publishes; where in the channel that went."""
        return self.ask("publish", channel=channel, data=1)["offset"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ws.close()


def publish(channel):
    return '{"type":"publish","id":"x","channel":"%s","data":"hostile"}' % channel


@row(35, "native: a publish in a frame that breaks the rules leaves the channel as it was")
def offsets(w):
    with Client(w) as writer, Client(w) as reader:
        reader.ask("subscribe", channel="t035")
        before = writer.offset("t035")
        reader.hear("message")

        def one(raw, code):
            with w.ws("/ws", V1) as ws:
                ws.expect("text")  # welcome
                ws.send(raw)
                ws.expect_close(code)
        text, said = publish("t035"), frame(TEXT, publish("t035"))
        every([
            ("unmasked", codec.encode(TEXT, text.encode()) + said, 1002),
            ("a reserved bit", frame(TEXT, text, rsv=1) + said, 1002),
            ("behind an unknown opcode", frame(3, b"x") + said, 1002),
            ("behind a Close", frame(CLOSE, codec.close_body(1000)) + said, 1000),
            ("inside another message", frame(TEXT, "[", fin=False) + said, 1002),
            ("as a continuation of nothing", frame(CONT, text.encode()) + said, 1002),
            ("not UTF-8", frame(TEXT, text.encode().replace(b"hostile", b"\xff")) + said, 1007),
            ("a length too long", frame(TEXT, text, form=64) + said, 1002),
            ("binary", frame(BINARY, text.encode()) + said, 1003),
        ], one)
        if writer.offset("t035") != before + 1:
            raise Fail("the offset moved")
        if reader.hear("message")["offset"] != before + 1:
            raise Fail("the reader heard something")


@row(22, "native: a publish in the body of an upgrade is not read")
def bodies(w):
    with Client(w) as writer:
        before = writer.offset("t022")
        body = frame(TEXT, publish("t022"))
        got, _ = w.ask(upgrade("/ws", V1, "Content-Length: %d" % len(body), body=body))
        if [a.status for a in got] != [400]:
            raise Fail("answered %s" % [a.status for a in got])
        if writer.offset("t022") != before + 1:
            raise Fail("the offset moved")


@row(55, "binary where JSON text belongs: 1003; an empty text: an error, and it goes on")
def kinds(w):
    for more in ((V1,), ()):
        with w.ws("/ws", *more) as ws:
            if more:
                ws.expect("text")
            ws.send(frame(BINARY, b'{"type":"ping","id":1}') + frame(TEXT, publish("t055")))
            ws.expect_close(1003)
    with Client(w) as client:
        for empty in ("", " ", "\n"):
            client.ws.text(empty)
            error = client.hear("error")["error"]
            if (error["code"], error["name"]) != (107, "bad_request"):
                raise Fail("%r is answered %s" % (empty, error))
        client.ask("ping")


@row(80, "native: 1,000 JSON keys and 100 channels that collide under weak hashes cost no more")
def colliding(w):
    def spend(make):
        names = make(1000)
        body = json.dumps({"type": "ping", "id": 7, **{n[-20:]: 0 for n in names}})
        with w.cost() as cost, Client(w) as client:
            for _ in range(20):
                client.ws.text(body)
                client.hear("pong")
            for name in names[:100]:
                client.ask("subscribe", channel=name)
        return cost.cpu
    as_at_random(w, "keys and channels", spend)
