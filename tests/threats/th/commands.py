"""Commands of the native protocol and its dialects that are wrong, many, or not what they say."""
import json

from .native import V1, Client
from .peer import Fail
from .suite import every, row


def asked(ws, text):
    ws.text(text)
    got = ws.next()
    return json.loads(got.data) if got and got.kind == "text" else {}


def code(said):
    return said.get("error", {}).get("code") if isinstance(said.get("error"), dict) else None


@row(111, "commands twice, unknown, without or with strange ids: a typed error each, then 3003")
def typed(w):
    def one(text, want):
        with w.ws("/ws", V1) as ws:
            ws.expect("text")  # welcome
            ws.text('{"type":"subscribe","channel":"t111"}')
            said = asked(ws, text)
            if code(said) != want:
                raise Fail("%s is answered %s" % (text, said))
            if asked(ws, '{"type":"ping","id":9}').get("re") != 9:
                raise Fail("it does not go on")
    every([
        ("a duplicate subscribe", '{"type":"subscribe","id":1,"channel":"t111"}', 105),
        ("an unknown unsubscribe", '{"type":"unsubscribe","id":1,"channel":"elsewhere"}', 113),
        ("an unknown method", '{"type":"dance","id":1}', 104),
        ("id -1", '{"type":"ping","id":-1}', 107),
        ("id 2^53", '{"type":"ping","id":9007199254740992}', 107),
        ("an id of 65 bytes", '{"type":"ping","id":"%s"}' % ("x" * 65), 107),
        ("an id that is an object", '{"type":"ping","id":{}}', 107),
        ("no channel", '{"type":"subscribe","id":1}', 107),
    ], one)
    with Client(w) as client:
        client.ws.text('{"type":"publish","id":"same","channel":"t111","data":1}')
        client.ws.text('{"type":"publish","id":"same","channel":"t111","data":2}')
        if [client.hear("ok")["re"] for _ in range(2)] != ["same", "same"]:
            raise Fail("a reused id is not answered twice")
        client.ws.text('{"type":"dance"}')  # without an id: ignored
        client.ask("ping")
        for _ in range(101):
            client.ws.text('{"type":"dance","id":1}')
        for _ in range(101):
            client.hear("error")
        client.ws.expect_close(3003)


@row(112, "commands in one frame: 128 are obeyed, in order, the rest refused; 10,000 do not fit")
def many(w):
    pings = [{"type": "ping", "id": n} for n in range(10000)]
    with Client(w) as client:
        client.ws.text(json.dumps(pings[:500]))  # 1,000 keys, of 1,024 that a text may have
        seen, refused = [], 0
        while len(seen) + refused < 229:
            got = client.ws.next()
            if not got or got.kind != "text":
                raise Fail("ended after %d and %d: %s" % (len(seen), refused, got))
            said = json.loads(got.data)
            for one in said if isinstance(said, list) else [said]:
                if one["type"] == "pong":
                    seen.append(one["re"])
                elif code(one) == 106:
                    refused += 1
                else:
                    raise Fail("answered %s" % one)
        if seen != list(range(128)):
            raise Fail("%d were obeyed: %s" % (len(seen), seen[:5]))
        client.ws.expect_close(3003)
    with Client(w) as client:
        client.ws.text(json.dumps(pings[:513]))
        if client.hear("error")["error"]["code"] != 107:
            raise Fail("a text of 1,026 keys was read")
        client.ask("ping")
    with w.ws("/ws", V1) as ws:
        ws.expect("text")
        ws.text(json.dumps(pings))
        ws.expect_close(1009)


def deep(levels):
    return "[" * levels + "]" * levels


@row(123, "JSON that is too deep, twice, commented or broken is an error, and costs what it weighs")
def strange(w):
    def one(text, want):
        with w.ws("/ws", V1) as ws:
            ws.expect("text")
            said = asked(ws, text)
            if code(said) != want and not (want is None and said.get("type") == "pong"):
                raise Fail("%.60s is answered %s" % (text, said))
            if asked(ws, '{"type":"ping","id":9}').get("re") != 9:
                raise Fail("it does not go on")
    ping = '{"type":"ping","id":1,"x":%s}'
    every([
        ("63 deep", ping % deep(63), None),
        ("64 deep", ping % deep(64), 107),
        ("30,000 deep", ping % deep(30000), 107),
        ("30,000 opened", "[" * 30000, 107),
        ("a key twice", '{"type":"ping","id":1,"type":"publish"}', 107),
        ("a key twice, in escapes", '{"type":"ping","id":1,"\\u0069d":2}', 107),
        ("a comment", '{"type":"ping",/* */"id":1}', 107),
        ("a byte order mark", '\ufeff{"type":"ping","id":1}', 107),
        ("a comma too many", '{"type":"ping","id":1,}', 107),
        ("a comma too many in an array", ping % "[1,]", 107),
        ("single quotes", "{'type':'ping','id':1}", 107),
        ("NaN", ping % "NaN", 107),
        ("a number that begins with 0", ping % "01", 107),
        ("a lone surrogate", ping % '"\\ud800"', 107),
        ("a raw control character", ping % '"\x01"', 107),
        ("two values", '{"type":"ping","id":1}{"type":"ping","id":2}', 107),
        ("10,000 escapes", ping % ('"%s"' % ("\\u0041" * 10000)), None),
        ("1,025 keys", '{"type":"ping",%s}' % ",".join('"k%d":0' % n for n in range(1024)), 107),
    ], one)
    def spend(count):
        body = ping % ('"%s"' % ("\\u0041" * count))
        with w.cost() as cost, Client(w) as client:
            for _ in range(100):
                client.ws.text(body)
                client.hear("pong")
        return cost.cpu
    once, twice = spend(5000), spend(10000)
    if twice > 3 * once + 0.05:
        raise Fail("twice the escapes cost %.3f s, and half of them %.3f s" % (twice, once))


@row(124, "what a publisher says of himself, of places and of times is not believed")
def himself(w):
    lies = {"user": "root", "info": {"a": 1}, "offset": 999, "epoch": "0" * 16, "client": "root",
            "tags": {"t": 1}, "ts": 1, "from": {"client": "root", "user": "root"}, "replay": True}
    with Client(w) as writer, Client(w) as reader:
        reader.ask("subscribe", channel="t124")
        before = writer.offset("t124")
        reader.hear("message")
        at = writer.ask("publish", channel="t124", data="x", **lies)
        said = reader.hear("message")
        if at["offset"] != before + 1 or said["offset"] != before + 1:
            raise Fail("the offset is %s and %s" % (at, said))
        own = {k: v for k, v in said.items() if k not in ("type", "channel", "data", "offset")}
        if said["ts"] < 1000000 or "root" in json.dumps(own) or set(own) != {"ts", "from"}:
            raise Fail("the reader is told %s" % said)
