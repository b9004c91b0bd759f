"""Rows 72 and 74 against `linnet serve`: a thousand subscribers that stop reading."""
import contextlib
import json
import time

from .native import V1, Client
from .peer import Fail, Ws, wait_until
from .suite import row

MESSAGE = 60000  # bytes of data
STALLED = 1000
ANY_RATE = {"LINNET_LIMITS_PUBLISH_RATE": "off"}


def kernel_memory():
    """Bytes that all TCP sockets of this network namespace hold."""
    with open("/proc/net/sockstat", encoding="ascii") as text:
        for line in text:
            if line.startswith("TCP:"):
                words = line.split()
                return int(words[words.index("mem") + 1]) * 4096
    raise Fail("no TCP in sockstat")


@contextlib.contextmanager
def readers(addr, count, channel):
    """Subscribers of a channel whose sockets take little, and from which nobody reads."""
    ask = json.dumps({"type": "subscribe", "id": 1, "channel": channel})
    with contextlib.ExitStack() as stack:
        inside = [stack.enter_context(Ws(addr, "/ws", V1, rcvbuf=8192)) for _ in range(count)]
        for ws in inside:
            ws.text(ask)
        for ws in inside:
            while b'"ok"' not in ws.expect("text").data:
                pass
        yield inside


def publish(client, channel, count):
    for _ in range(count):
        client.ask("publish", channel=channel, data="x" * MESSAGE)


def cut(ws):
    """Reads what is left: some messages, then 3008."""
    while (got := ws.next(15)) and got.kind == "text":
        pass
    if not got or got.kind != "close" or got.code != 3008:
        raise Fail("wanted 3008, got %s" % (got,))


@row(72, "1,000 subscribers stop reading: each is cut 3008 over 1 MiB, what waits is there once")
def over_the_limit(w):
    count = STALLED if w.full else 300
    with w.server("--workers", "2", verb="serve", env=ANY_RATE) as server:
        inside = w.against(server)
        with readers(server.addr, count, "t072") as stalled, Client(inside) as writer:
            rss, tcp = server.rss(), kernel_memory()
            publish(writer, "t072", 12)  # 720 KB each: they wait
            held, kernel = server.rss() - rss, kernel_memory() - tcp
            w.note("%d stalled: %.1f MiB held, %.1f MiB in the kernel" %
                   (count, held / 2**20, kernel / 2**20))
            if held > (64 << 20) and not w.asan:
                raise Fail("%d MiB held for %d readers" % (held >> 20, count))
            if kernel > (64 << 20):  # row 74
                raise Fail("%d MiB in the kernel for %d readers" % (kernel >> 20, count))
            with readers(server.addr, 1, "t072") as (quick,):
                before = time.monotonic()
                publish(writer, "t072", 12)
                for _ in range(12):
                    quick.expect("text", limit=10)
                w.note("a reader who reads has all after %.0f ms" %
                       ((time.monotonic() - before) * 1000))
            for ws in stalled[::10]:
                cut(ws)
            wait_until(lambda: server.fds() <= server.fds_before + 10 + count // 10, 20,
                       "they are still there")


@row(72, "subscribers that stop reading: cut 3008 when the oldest has waited for 10 s", slow=True)
def too_old(w):
    """Who reads nothing does not get the Close either; the log says what became of him."""
    with w.server("--workers", "2", "--log-level", "info", verb="serve", env=ANY_RATE) as server:
        with readers(server.addr, 20, "t072"), Client(w.against(server)) as writer:
            publish(writer, "t072", 10)
            began = time.monotonic()
            wait_until(lambda: server.fds() <= server.fds_before + 2, 20, "they are still there")
            if not 7 < time.monotonic() - began < 16:
                raise Fail("after %.1f s" % (time.monotonic() - began))
            told = [(line["reason"], line["code"]) for line in server.log()
                    if line["event"] == "refused"]
            if told != [("SLOW", 3008)] * 20:
                raise Fail("the log says %s" % told)


@row(74, "the kernel holds little for readers who do not read: what waits stays where it can be cut")
def in_the_kernel(w):
    count = STALLED if w.full else 300
    with w.server("--workers", "2", verb="serve", env=ANY_RATE) as server:
        with readers(server.addr, count, "t074") as _, Client(w.against(server)) as writer:
            before = kernel_memory()
            publish(writer, "t074", 14)
            per = (kernel_memory() - before) / count
            w.note("%.0f KiB in the kernel for each" % (per / 1024))
            if per > (64 << 10):
                raise Fail("%d KiB in the kernel for each" % (per / 1024))
