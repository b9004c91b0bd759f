"""Rows 113 and 115 in the native protocol: history without measure, and who comes back too late."""
import json

from .native import Client
from .peer import Fail
from .suite import every, row

MIB = 1024 * 1024


def said(client, number):
    """A question and its answer, of whatever kind."""
    got = client.ws.next()
    answer = json.loads(got.data)
    if answer.get("re") != number:
        raise Fail("wanted the answer to %s, got %s" % (number, got.data[:200]))
    return answer, len(got.data)


def history(client, **fields):
    client.id += 1
    client.ws.text(json.dumps({"type": "history", "id": client.id, **fields}))
    return said(client, client.id)


@row(113, "history: limits and offsets beyond all bounds are cut, and a page is no larger than 1 MiB")
def bounds(w):
    with Client(w) as client:
        for n in range(40):  # more than a channel keeps
            client.ask("publish", channel="t113", data="%04d" % n + "x" * 50000)
        head, _ = history(client, channel="t113", limit=0)
        since = {"epoch": head["epoch"]}

        def one(fields, wants):
            answer, size = history(client, channel="t113", **fields)
            if size > MIB:
                raise Fail("a page of %d bytes" % size)
            if answer["type"] == "error":
                got = answer["error"]["code"]
            else:
                got = "empty" if not answer["messages"] else "page"
            if got != wants:
                raise Fail("is answered %s" % json.dumps(answer)[:200])
        every([
            ("2^31", {"limit": 2 ** 31}, "page"),
            ("2^64-1", {"limit": 2 ** 64 - 1}, "page"),
            ("-1", {"limit": -1}, "page"),
            ("-2^63", {"limit": -2 ** 63}, "page"),
            ("all digits", {"limit": int("9" * 60)}, "page"),
            ("backwards from 2^64-1, hugely",
             {"since": {**since, "offset": 2 ** 64 - 1}, "reverse": True, "limit": 2 ** 31}, "page"),
            ("from 2^64-1", {"since": {**since, "offset": 2 ** 64 - 1}}, 112),
            ("from 2^53-1", {"since": {**since, "offset": 2 ** 53 - 1}}, 112),
            ("from what is gone", {"since": {**since, "offset": 0}}, 112),
            ("before all", {"since": {**since, "offset": 0}, "reverse": True}, "empty"),
            ("an epoch of 2^64-1", {"since": {"epoch": "f" * 16, "offset": 1}}, 112),
            ("an epoch that is none", {"since": {"epoch": "../../etc", "offset": 1}}, 112),
            ("a fraction", {"limit": 0.5}, 107),
            ("words", {"limit": "all"}, 107),
            ("a negative offset", {"since": {**since, "offset": -1}}, 107),
            ("no offset", {"since": since}, 107),
            ("none at all", {"since": []}, 107),
        ], one)


@row(113, "history: 100 questions at once are answered one by one, and nobody is a slow reader for it")
def pipelined(w):
    with Client(w) as client:
        for n in range(20):
            client.ask("publish", channel="t113p", data="%04d" % n + "x" * 50000)
        client.ws.text(json.dumps([{"type": "history", "id": 1000 + n, "channel": "t113p",
                                    "limit": 2 ** 31, "reverse": True} for n in range(100)]))
        for n in range(100):
            answer, size = said(client, 1000 + n)
            if answer["type"] != "ok" or size > MIB or answer["messages"][0]["offset"] != 20:
                raise Fail("%d is answered %s" % (n, json.dumps(answer)[:200]))
        client.ask("ping")


@row(115, "recovery: true with all that was missed, or false; never a hole")
def cut(w):
    with Client(w) as writer:
        for n in range(130):
            epoch = writer.ask("publish", channel="t115", data=n)["epoch"]

        def one(offset, recovers):
            with Client(w) as reader:
                ok = reader.ask("subscribe", channel="t115",
                                recover={"epoch": epoch, "offset": offset})
                if (ok["recovered"], ok["offset"]) != (recovers, 130):
                    raise Fail("is answered %s" % ok)
                if recovers and ok["replay"] != 130 - offset:
                    raise Fail("promises %s" % ok["replay"])
                for n in range(offset, 130) if recovers else ():
                    message = reader.hear("message")
                    if (message["offset"], message["data"], message.get("replay")) != (n + 1, n, True):
                        raise Fail("wanted %d, got %s" % (n + 1, message))
                reader.ask("ping")  # and nothing else
        every([
            ("the first one", 0, False),
            ("one too far back", 29, False),
            ("just enough", 30, True),
            ("some", 100, True),
            ("one", 129, True),
            ("none", 130, True),
            ("one that never was", 131, False),
            ("the furthest", 2 ** 53 - 1, False),
        ], one)
