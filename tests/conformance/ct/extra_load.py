"""x.9 and x.11: contents of large messages, many connections, TCP mishaps, and
what is left of a server after all that."""
import asyncio
import random

from .book import SERVER
from .codec import BINARY, PING, TEXT, binary, text
from .conn import new_key
from .extra_opening import build
from .judge import SKIPPED, Stop
from .suite_load import DEFLATE

MIB = 1 << 20


def content(opcode, make, fragment=None, pieces=None):
    """Group 9 again, but every byte of the echo is compared."""
    async def run(t):
        c = await t.open()
        data = make()
        out = c.message(opcode, data, fragment)
        if pieces:
            await c.write_pieces(out, pieces)
        else:
            c.write(out)
        await t.clean(c, [text(data) if opcode == TEXT else binary(data)], limit=60)
    return run


def noise(size):
    return lambda: random.Random(size).randbytes(size)


def letters(size):
    return lambda: ("aß€😀" * (size // 10)).encode()


async def pipelined(t):
    """A thousand messages of mixed size and type, none waited for."""
    c = await t.open()
    r, out, want = random.Random(21), [], []
    for i in range(1000):
        data = b"%d " % i + bytes(r.randrange(48, 58) for _ in range(r.choice((0, 3, 130, 700))))
        opcode = r.choice((TEXT, BINARY))
        out.append(c.message(opcode, data, r.choice((None, 50))))
        want.append(text(data) if opcode == TEXT else binary(data))
    c.write(b"".join(out))
    await t.clean(c, want)


async def late_reader(t):
    """A peer that reads late still gets everything, in order."""
    c = await t.open()
    data = [random.Random(i).randbytes(65536) for i in range(64)]
    c.transport.pause_reading()
    c.write(b"".join(c.frame(BINARY, d) for d in data))
    await asyncio.sleep(0.5)
    c.transport.resume_reading()
    await t.clean(c, [binary(d) for d in data])


async def ping_burst(t):
    """Of many queued pings at least the last is answered, and none out of order."""
    c = await t.open()
    sent = [b"%d" % i for i in range(200)]
    c.write(b"".join(c.frame(PING, p) for p in sent) + c.frame(TEXT, b"end"))
    at = -1
    while True:
        e = await c.next(5 * t.scale)
        if e is None or e.kind not in ("pong", "text"):
            raise Stop("pongs, then the text", str(e))
        if e.kind == "text":
            break
        if e.data not in sent[at + 1:]:
            raise Stop("a pong for a ping after number %d" % at, str(e))
        at = sent.index(e.data)
    if at != len(sent) - 1:
        raise Stop("a pong for the last ping", "the last pong was for number %d" % at)
    await t.clean(c)


async def interleaved(t):
    """200 connections, plain and compressed, each written piece by piece in turn
    with the others; every one gets its own messages back."""
    count = 200 if t.testee == "server" else 16
    gate = asyncio.Semaphore(64 if t.testee == "server" else 4)

    async def opened(i):
        async with gate:
            return await t.open(DEFLATE if i % 2 else None)

    conns = await asyncio.gather(*(opened(i) for i in range(count)))
    r, want, queues = random.Random(22), [], []
    for i, c in enumerate(conns):
        mine = [b"%d:%d:" % (i, n) + r.randbytes(r.choice((1, 100, 3000))) for n in range(5)]
        want.append([binary(m) for m in mine])
        out = b"".join(c.message(BINARY, m, r.choice((None, 77)), packed=c.params is not None)
                       for m in mine)
        step = r.randrange(300, 3000)
        queues.append([out[at:at + step] for at in range(0, len(out), step)])
    for turn in range(max(map(len, queues))):
        for c, queue in zip(conns, queues):
            if turn < len(queue):
                c.write(queue[turn])
        await asyncio.sleep(0)
    for c, expected in zip(conns, want):
        await t.receive(c, expected)
    for c in conns:
        await t.clean(c)


async def canary(t):
    c = await t.open()
    c.send(TEXT, b"still there?")
    await t.clean(c, [text("still there?")])


async def resets(t):
    """Connections torn down at every stage; afterwards an echo still works."""
    key = new_key()
    await t.dial()
    head = build(t, {"Sec-WebSocket-Key": key})
    stages = [b"", head[:1], head[:len(head) // 2], head[:-1], head]
    for n in range(100):
        c = await t.dial()
        c.write(stages[n % len(stages)])
        if n % 3 == 0:
            await asyncio.sleep(0.005)
        c.reset()
    for n in range(60):
        c = await t.open(DEFLATE if n % 2 else None)
        c.write([c.frame(BINARY, bytes(70000))[:n * 1000 + 1], c.frame(TEXT, b"a", fin=False),
                 c.frame(BINARY, bytes(200000))][n % 3])
        c.reset() if n % 4 else c.finish()
    await canary(t)


async def half_close(t):
    """The end of our half is the end: TCP goes within a second."""
    if t.bench.options.tls:
        t.result.behaviour, t.result.got = SKIPPED, "half a close is a matter of plain TCP"
        return
    rows = [("idle", lambda c: b""), ("inside a head", lambda c: c.frame(TEXT, b"abc")[:3]),
            ("inside a payload", lambda c: c.frame(BINARY, bytes(5000))[:2000]),
            ("inside a message", lambda c: c.frame(TEXT, b"abc", fin=False))]

    async def one(row):
        c = await t.open()
        c.write(row[1](c))
        c.half_close()
        e = await c.next(1.0 * t.scale)
        while e is not None and e.kind == "close":
            e = await c.next(1.0 * t.scale)
        if e is None or e.kind != "drop":
            raise Stop("TCP dropped within a second", str(e))
    await t.batch(rows, one)


async def half_close_during_head(t):
    if t.bench.options.tls:
        t.result.behaviour, t.result.got = SKIPPED, "half a close is a matter of plain TCP"
        return
    c = await t.dial()
    c.write(build(t, {})[:40])
    c.half_close()
    if not await c.until_drop(1.0 * t.scale):
        raise Stop("TCP dropped within a second", "still open")


async def descriptors(t):
    """After everything above, the servers hold no descriptor they did not at first."""
    if not t.bench.options.server:
        t.result.behaviour, t.result.got = SKIPPED, "the server was not started here"
        return
    await canary(t)
    for name, s in t.bench.servers.items():
        for _ in range(100):
            if s.open_descriptors() <= s.descriptors:
                break
            await asyncio.sleep(0.1)
        else:
            raise Stop("%d descriptors (profile %s)" % (s.descriptors, name),
                       "%d" % s.open_descriptors())


async def exit_codes(t):
    """TERM ends a server with exit code 0 within a few seconds."""
    if not t.bench.options.server:
        t.result.behaviour, t.result.got = SKIPPED, "the server was not started here"
        return
    await t.bench.server("main")
    loop = asyncio.get_running_loop()
    for name, s in list(t.bench.servers.items()):
        del t.bench.servers[name]
        code = await loop.run_in_executor(None, s.stop)
        if code != 0:
            raise Stop("exit code 0 after TERM (profile %s)" % name, str(code))


def fill(book):
    rows = [
        ("1 MiB of noise", content(BINARY, noise(MIB))),
        ("16 MiB of noise", content(BINARY, noise(16 * MIB))),
        ("8 MiB of characters of 1 to 4 bytes", content(TEXT, letters(8 * MIB))),
        ("4 MiB of noise in fragments of 4099", content(BINARY, noise(4 * MIB), 4099)),
        ("1 MiB of characters in fragments of 7", content(TEXT, letters(MIB // 4), 7)),
        ("1 MiB of noise in pieces of 1021", content(BINARY, noise(MIB), None, 1021)),
        ("1 MiB of characters in pieces of 333", content(TEXT, letters(MIB), None, 333)),
        ("a thousand messages in one write", pipelined),
        ("a peer that reads late", late_reader),
        ("two hundred pings in one write", ping_burst),
        ("many connections interleaved", interleaved),
    ]
    for i, (title, run) in enumerate(rows, 1):
        book.add("x.9.%d" % i, title, run, limit=100)
    book.add("x.9.901", "connections reset at every stage", resets, roles=SERVER, solo=True)
    book.add("x.9.902", "half a close ends the connection", half_close, roles=SERVER)
    book.add("x.9.903", "half a close inside the head", half_close_during_head, roles=SERVER)
    book.add("x.11.1", "descriptors are back where they were", descriptors, roles=SERVER, solo=True)
    book.add("x.11.2", "TERM ends the server with code 0", exit_codes, roles=SERVER, solo=True)
