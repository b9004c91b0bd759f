"""Cases 1 to 5, 7 and 10: framing, pings, reserved bits, opcodes, fragments, closing."""
import asyncio

from .codec import BINARY, CLOSE, CONT, PING, PONG, TEXT, binary, close_body, pong, text
from .judge import INFORMATIONAL, NONE

PROTOCOL = (1002,)
SIZES = (0, 125, 126, 127, 128, 65535, 65536)


def echo(opcode, payload, pieces=None):
    """One message there and back, then a clean close."""
    async def run(t):
        c = await t.open()
        data = c.frame(opcode, payload)
        if pieces:
            await c.write_pieces(data, pieces)
        else:
            c.write(data)
        await t.clean(c, [text(payload) if opcode == TEXT else binary(payload)])
    return run


def sent(frames, how="one", pause=None):
    """Writes frames as one write, frame by frame or byte by byte. A frame is
    (opcode, payload) or (opcode, payload, {encode options})."""
    async def send(c):
        made = [c.frame(f[0], f[1], **(f[2] if len(f) > 2 else {})) for f in frames]
        if how == "one":
            c.write(b"".join(made))
        elif how == "frames":
            for m in made:
                c.write(m)
                await asyncio.sleep(0)
        else:
            await c.write_pieces(b"".join(made), 1)
    return send


def wants(frames, want, how="one"):
    async def run(t):
        c = await t.open()
        await sent(frames, how)(c)
        await t.clean(c, want)
    return run


def refuses(frames, want=(), lenient=None, how="one", codes=PROTOCOL):
    async def run(t):
        c = await t.open()
        await sent(frames, how)(c)
        await t.fails(c, codes, want, lenient)
    return run


def closes(frames, codes=(1000, NONE), want=()):
    """The frames contain a close; the testee answers it."""
    async def run(t):
        c = await t.open()
        c.sent_close = True
        await sent(frames)(c)
        await t.clean(c, want, send_close=False, codes=codes)
    return run


def refuses_close(body, codes=PROTOCOL):
    async def run(t):
        c = await t.open()
        c.sent_close = True
        c.send(CLOSE, body)
        await t.fails(c, codes)
    return run


def informational(frames):
    """Whatever comes back is written down and nothing is judged."""
    async def run(t):
        c = await t.open()
        c.sent_close = True
        await sent(frames)(c)
        seen = []
        while len(seen) < 9:
            e = await c.next(1.0 * t.scale)
            if e is None or e.kind == "drop":
                break
            seen.append(str(e))
            if e.kind == "close" and t.testee == "client":
                c.finish()
        t.result.behaviour = t.result.closing = INFORMATIONAL
        t.result.got = "; ".join(seen) or "nothing"
    return run


def fill_1(book):
    for section, opcode, word, unit in ((1, TEXT, "text", b"*"), (2, BINARY, "binary", b"\xfe")):
        for i, n in enumerate(SIZES, 1):
            book.add("1.%d.%d" % (section, i), "%s of %d bytes" % (word, n), echo(opcode, unit * n))
        book.add("1.%d.8" % section, "%s of 65536 bytes in pieces of 997" % word,
                 echo(opcode, unit * 65536, 997))


def fill_2(book):
    add = book.add
    payloads = [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125]
    titles = ["empty ping", "ping with text", "ping with bytes that are not UTF-8",
              "ping of 125 bytes"]
    for i, (p, title) in enumerate(zip(payloads, titles), 1):
        add("2.%d" % i, title, wants([(PING, p)], [pong(p)]))
    add("2.5", "ping of 126 bytes", refuses([(PING, b"\xfe" * 126)]))
    add("2.6", "ping of 125 bytes, byte by byte",
        wants([(PING, b"\xfe" * 125)], [pong(b"\xfe" * 125)], "bytes"))
    add("2.7", "unsolicited empty pong", wants([(PONG, b"")], []))
    add("2.8", "unsolicited pong with payload", wants([(PONG, b"unasked")], []))
    add("2.9", "unsolicited pong, then ping",
        wants([(PONG, b"unasked"), (PING, b"asked")], [pong(b"asked")]))
    ten = [b"payload-%d" % i for i in range(10)]
    for n, how in ((10, "one"), (11, "bytes")):
        add("2.%d" % n, "ten pings" + (", byte by byte" if n == 11 else ""),
            wants([(PING, p) for p in ten], [pong(p) for p in ten], how))


def fill_3(book):
    add, hello = book.add, b"Hello, world!"
    add("3.1", "text with RSV=1", refuses([(TEXT, hello, {"rsv": 1})]))
    for n, rsv, how in ((2, 2, "one"), (3, 3, "frames"), (4, 4, "bytes")):
        frames = [(TEXT, hello), (TEXT, hello, {"rsv": rsv}), (PING, b"")]
        add("3.%d" % n, "good text, text with RSV=%d, ping; %s" % (rsv, WAYS[how]),
            refuses(frames, [text(hello)], [], how))
    add("3.5", "binary with RSV=5", refuses([(BINARY, b"\x00\xff\xfe\xfd", {"rsv": 5})]))
    add("3.6", "ping with RSV=6", refuses([(PING, hello, {"rsv": 6})]))
    add("3.7", "close with RSV=7", refuses([(CLOSE, close_body(1000), {"rsv": 7})]))


WAYS = {"one": "one write", "frames": "frame by frame", "bytes": "byte by byte"}


def fill_4(book):
    hello = b"Hello, world!"
    for section, word, ops in ((1, "data", (3, 4, 5, 6, 7)), (2, "control", (11, 12, 13, 14, 15))):
        for i, op in enumerate(ops, 1):
            payload = b"" if i in (1, 3) else b"reserved opcode"
            title = "reserved %s opcode %d, %s" % (word, op, "payload" if payload else "empty")
            if i < 3:
                run = refuses([(op, payload)])
            else:
                run = refuses([(TEXT, hello), (op, payload), (PING, b"")], [text(hello)], [])
                title = "good text, " + title + ", ping"
            book.add("4.%d.%d" % (section, i), title, run)


PART, MORE = {"fin": False}, {"fin": True}


def slow_fragments(how):
    """5.19 and 5.20: two pings inside one message, a second apart."""
    async def run(t):
        c = await t.open()
        part = [b"fragment%d" % i for i in range(1, 6)]
        first = [(TEXT, part[0], PART), (CONT, part[1], PART), (PING, b"ping 1")]
        then = [(CONT, part[2], PART), (CONT, part[3], PART), (PING, b"ping 2"),
                (CONT, part[4], MORE)]
        await sent(first, how)(c)
        await t.receive(c, [pong(b"ping 1")], 1)
        await asyncio.sleep(1)
        await sent(then, how)(c)
        await t.clean(c, [pong(b"ping 2"), text(b"".join(part))])
    return run


def fill_5(book):
    add = book.add
    one, two = b"fragment1", b"fragment2"
    whole = [(TEXT, one, PART), (CONT, two, MORE)]
    for n, op, word in ((1, PING, "ping"), (2, PONG, "pong")):
        add("5.%d" % n, word + " in two fragments", refuses([(op, one, PART), (CONT, two, MORE)]))
    for i, how in enumerate(("one", "frames", "bytes")):
        way = "; " + WAYS[how]
        add("5.%d" % (3 + i), "text in two fragments" + way, wants(whole, [text(one + two)], how))
        add("5.%d" % (6 + i), "the same with a ping between" + way,
            wants([whole[0], (PING, b"ping"), whole[1]], [pong(b"ping"), text(one + two)], how))
        for base, fin in ((9, MORE), (12, PART)):
            add("5.%d" % (base + i), "stray continuation FIN=%d, then text%s" % (fin["fin"], way),
                refuses([(CONT, b"stray", fin), (TEXT, b"Hello, world!")], how=how))
    add("5.15", "fragmented text, stray continuation FIN=0, text",
        refuses(whole + [(CONT, b"stray", PART), (TEXT, b"Hello, world!")], [text(one + two)], []))
    for n, fin in ((16, PART), (17, MORE)):
        twice = [(CONT, one, fin), (TEXT, two, PART), (CONT, b"fragment3", MORE)] * 2
        add("5.%d" % n, "twice: stray continuation FIN=%d, fragmented text" % fin["fin"],
            refuses(twice))
    add("5.18", "second fragment is again text", refuses([(TEXT, one, PART), (TEXT, two, MORE)]))
    add("5.19", "pings inside a slow fragmented text", slow_fragments("one"))
    add("5.20", "the same, frame by frame", slow_fragments("frames"))


GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)


def fill_7(book):
    add, hello, bye = book.add, b"Hello World!", close_body(1000)
    add("7.1.1", "text, close", closes([(TEXT, hello), (CLOSE, bye)], want=[text(hello)]))
    add("7.1.2", "two closes", closes([(CLOSE, bye), (CLOSE, bye)]))
    add("7.1.3", "close, ping", closes([(CLOSE, bye), (PING, b"")]))
    add("7.1.4", "close, text", closes([(CLOSE, bye), (TEXT, hello)]))
    add("7.1.5", "text fragment, close, last fragment",
        closes([(TEXT, b"fragment1", PART), (CLOSE, bye), (CONT, b"fragment2", MORE)]))
    add("7.1.6", "256 KiB text, close, ping",
        informational([(TEXT, b"BAsd7&jh23" * 26214), (CLOSE, bye), (PING, b"")]))
    add("7.3.1", "close without body", closes([(CLOSE, b"")]))
    add("7.3.2", "close with a body of one byte", refuses_close(b"a"))
    add("7.3.3", "close with code", closes([(CLOSE, bye)]))
    add("7.3.4", "close with code and reason", closes([(CLOSE, bye + "Hello World!".encode())]))
    add("7.3.5", "close with a reason of 123 bytes", closes([(CLOSE, bye + b"*" * 123)]))
    add("7.3.6", "close with a reason of 124 bytes", refuses_close(bye + b"*" * 124))
    add("7.5.1", "close whose reason is not UTF-8",
        refuses_close(bye + b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited", (1002, 1007)))
    for i, code in enumerate(GOOD_CODES, 1):
        add("7.7.%d" % i, "close code %d" % code,
            closes([(CLOSE, close_body(code))], (code, 1000, NONE)))
    for i, code in enumerate(BAD_CODES, 1):
        add("7.9.%d" % i, "close code %d" % code, refuses_close(close_body(code)))
    for i, code in enumerate((5000, 65535), 1):
        add("7.13.%d" % i, "close code %d" % code, informational([(CLOSE, close_body(code))]))


async def auto_fragmented(t):
    c = await t.open()
    payload = b"*" * 65536
    c.write(c.message(TEXT, payload, 1300))
    await t.clean(c, [text(payload)])


def fill(book):
    for part in (fill_1, fill_2, fill_3, fill_4, fill_5, fill_7):
        part(book)
    book.add("10.1.1", "text of 65536 bytes in fragments of 1300", auto_fragmented)
