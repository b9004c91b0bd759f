"""What stands in the logs and lists at the end: by the API, and by a socket."""
import zlib

from .senders import Api


def key_of(data):
    """The key of a payload whose sum is right; else ""."""
    if not isinstance(data, dict) or not isinstance(data.get("k"), str):
        return ""
    good = zlib.crc32((data["k"] + data.get("f", "")).encode()) == data.get("c")
    return data["k"] if good else ""


def read(ask, channel):
    """All pages of a log: (epoch, head, [(offset, key)...]). `ask(fields)` answers one page."""
    found, since = [], {}
    while True:
        page = ask({"channel": channel, "limit": 1000, **since})
        messages = page["messages"]
        found += [(m["offset"], key_of(m["data"])) for m in messages]
        if not messages or messages[-1]["offset"] >= page["offset"]:
            return page["epoch"], page["offset"], found
        since = {"since": {"epoch": page["epoch"], "offset": messages[-1]["offset"]}}


def by_api(port):
    api = Api(port)

    def ask(fields):
        status, answer = api.call("history", fields)
        if status != 200:
            raise RuntimeError("history of %s: %d %s" % (fields, status, answer))
        return answer["ok"]
    return ask


def write(log, channel, epoch, head, found):
    for off, key in found:
        log.say(p="end", op="hist", ch=channel, epoch=epoch, off=off, key=key)
    first = found[0][0] if found else head + 1
    log.say(p="end", op="head", ch=channel, epoch=epoch, off=head, first=first, n=len(found))


def present(client, channel):
    """The ids of all members, page by page."""
    ids, after = [], {}
    while True:
        page = client.ask("presence", channel=channel, **after)
        ids += [m["client"] for m in page["members"]]
        if "next" not in page:
            return ids
        after = {"after": page["next"]}
