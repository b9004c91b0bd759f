"""x.4 to x.7: frames, UTF-8, closing and limits beyond the public suite, for
both kinds of testee. Codes are exact here: a silent end of TCP is not enough."""
import asyncio
import random

from .codec import (BINARY, CLOSE, CONT, PING, PONG, TEXT, binary, close_body, code_may_travel,
                    pong, text)
from .judge import NONE, SKIPPED, Stop
from .suite_load import DEFLATE

PROTOCOL, INVALID, TOO_BIG, POLICY = (1002,), (1007,), (1009,), (1008,)
KNOWN = (CONT, TEXT, BINARY, CLOSE, PING, PONG)
NAME = {CONT: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping",
        PONG: "pong"}


def body_of(opcode):
    return close_body(1000) if opcode == CLOSE else b"hello"


async def breaks(t, make, codes=PROTOCOL, want=(), agreement=None):
    """One connection, the bytes make(c), and the exact close that must follow.
    A ping behind the bad bytes proves that nothing more is read."""
    c = await t.open(agreement)
    if agreement and c.params is None:
        raise Stop("permessage-deflate", "declined")
    made = make(c)
    c.write(made)
    c.write(c.frame(PING, b"too late"))
    await t.fails(c, codes, want, must_close=True)


def refuses(make, codes=PROTOCOL, want=(), agreement=None):
    async def run(t):
        await breaks(t, make, codes, want, agreement)
    return run


def sweep(rows, codes=PROTOCOL, agreement=None):
    """rows: (title, make). Every row has a connection of its own."""
    async def run(t):
        async def one(row):
            await breaks(t, row[1], codes, agreement=agreement)
        await t.batch(rows, one, 16 if t.testee == "server" else 4)
    return run


def frame(opcode, payload=b"", **how):
    return lambda c: c.frame(opcode, payload, **how)


# x.4 frames

def wrong_mask(opcode):
    """Unmasked to a server, masked to a client."""
    def make(c):
        return c.frame(opcode, body_of(opcode), mask=None if c.mask else b"\x01\x02\x03\x04")
    return make


def rsv_rows(bits, opcodes, inside=False):
    def make(op, rsv):
        def bytes_of(c):
            opened = c.frame(TEXT, b"open", fin=False) if op == CONT else b""
            return opened + c.frame(op, body_of(op), rsv=rsv)
        return bytes_of
    return [("RSV=%d on %s" % (rsv, NAME[op]), make(op, rsv)) for rsv in bits for op in opcodes]


def reserved_rows():
    rows = []
    for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for title, payload, how in (("empty", b"", {}), ("with payload", b"hello", {}),
                                    ("FIN=0", b"", {"fin": False}),
                                    ("head alone", b"", {"length": 100})):
            rows.append(("opcode %d, %s" % (op, title), frame(op, payload, **how)))
    return rows


def long_form_rows():
    rows = []
    for form, sizes in ((16, (0, 1, 124, 125)), (64, (0, 1, 125, 126, 127, 65534, 65535))):
        for n in sizes:
            rows.append(("%d-bit length for %d" % (form, n), frame(TEXT, b"a" * n, form=form)))
            if n <= 125:
                rows.append(("%d-bit length for a ping of %d" % (form, n),
                             frame(PING, b"a" * n, form=form)))
    return rows


def head_alone(length, form=64):
    """A header whose length already condemns it; no payload follows."""
    return lambda c: c.frame(BINARY, b"", form=form, length=length)


def control_rows():
    rows = []
    for op in (CLOSE, PING, PONG):
        rows.append(("%s with FIN=0" % NAME[op], frame(op, body_of(op), fin=False)))
        for n, form in ((126, 16), (127, 16), (65536, 64)):
            rows.append(("%s of %d bytes" % (NAME[op], n), frame(op, b"\x03\xe8" + b"a" * (n - 2))))
            rows.append(("%s head claiming %d" % (NAME[op], n),
                         frame(op, b"", form=form, length=n)))
    return rows


async def masks_and_lengths(t):
    """Mask keys 0, all ones and odd ones, at every length up to 130: payload exact."""
    c = await t.open()
    r, want = random.Random(4), []
    keys = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x00\xff\x80\x01", b"\xde\xad\xbe\xef") \
        if c.mask else (None,)
    out = []
    for key in keys:
        for n in list(range(131)) + [255, 256, 257, 4095, 4096, 4097]:
            data = r.randbytes(n)
            out.append(c.frame(BINARY, data, mask=key))
            want.append(binary(data))
    c.write(b"".join(out))
    await t.clean(c, want)


async def heads_cut_at_every_byte(t):
    """Each length form, its header cut at every byte."""
    rows = [("%d bytes cut at %d" % (n, at), n, at) for n in (5, 126, 65536) for at in range(1, 15)]

    async def one(row):
        c = await t.open()
        data = c.frame(BINARY, b"\xfe" * row[1])
        c.write(data[:row[2]])
        await asyncio.sleep(0.02)
        c.write(data[row[2]:])
        await t.clean(c, [binary(b"\xfe" * row[1])])
    await t.batch(rows, one, 16 if t.testee == "server" else 4)


async def session_byte_by_byte(t):
    """Everything at once, one byte at a time: the same events come back."""
    c = await t.open()
    await c.write_pieces(c.frame(TEXT, "zwölf".encode()) + c.frame(TEXT, b"a", fin=False) +
                         c.frame(PING, b"p") + c.frame(CONT, b"", fin=False) +
                         c.frame(CONT, b"b") + c.frame(BINARY, b"\x00" * 200), 1)
    await t.clean(c, [text("zwölf"), pong(b"p"), text("ab"), binary(bytes(200))])


async def many_small_frames(t):
    c = await t.open()
    data = random.Random(5).randbytes(65536)
    c.write(c.message(BINARY, data, 64))
    await t.clean(c, [binary(data)])


async def empty_fragments(t):
    c = await t.open()
    parts = [c.frame(TEXT, b"", fin=False)] + [c.frame(CONT, b"", fin=False)] * 500 + \
        [c.frame(CONT, b"end")]
    c.write(b"".join(parts))
    await t.clean(c, [text("end")])


async def good_before_bad(t):
    """Good messages right before a bad frame, in one segment, are answered first."""
    c = await t.open()
    good = [b"message %d" % i for i in range(20)]
    c.write(b"".join(c.frame(TEXT, g) for g in good) + c.frame(3) + c.frame(TEXT, b"late"))
    await t.fails(c, PROTOCOL, [text(g) for g in good], must_close=True)


def fill_4(book):
    rows = [
        ("wrong masking on every opcode",
         sweep([(NAME[op], wrong_mask(op)) for op in KNOWN if op != CONT])),
        ("wrong masking on a continuation",
         refuses(lambda c: c.frame(TEXT, b"a", fin=False) + wrong_mask(CONT)(c))),
        ("RSV bits without compression", sweep(rsv_rows(range(1, 8), KNOWN))),
        ("RSV2 and RSV3 with compression",
         sweep(rsv_rows((1, 2, 3, 5, 6, 7), (TEXT, BINARY)), agreement=DEFLATE)),
        ("RSV1 on control and continuation with compression",
         sweep(rsv_rows((4,), (CONT, CLOSE, PING, PONG)), agreement=DEFLATE)),
        ("reserved opcodes", sweep(reserved_rows())),
        ("control frames fragmented or too long", sweep(control_rows())),
        ("lengths not in their shortest form", sweep(long_form_rows())),
        ("64-bit length with the top bit set, head alone", refuses(head_alone(1 << 63))),
        ("64-bit length of all ones, head alone", refuses(head_alone((1 << 64) - 1))),
        ("length of 2^62, head alone", refuses(head_alone(1 << 62), TOO_BIG)),
        ("non-minimal length, head alone", refuses(head_alone(5, 16))),
        ("every mask key, every length", masks_and_lengths),
        ("frame heads cut at every byte", heads_cut_at_every_byte),
        ("a session byte by byte", session_byte_by_byte),
        ("64 KiB as 1024 frames of 64 bytes", many_small_frames),
        ("502 fragments of which one has content", empty_fragments),
        ("twenty good messages before a bad frame", good_before_bad),
        ("new message inside a fragmented one",
         refuses(lambda c: c.frame(TEXT, b"a", fin=False) + c.frame(BINARY, b"b"))),
        ("continuation after a whole message",
         refuses(lambda c: c.frame(TEXT, b"a") + c.frame(CONT, b"b"), want=[text("a")])),
    ]
    for i, (title, run) in enumerate(rows, 1):
        book.add("x.4.%d" % i, title, run)


# x.5 UTF-8

# A valid start and the first byte that cannot follow it.
CONDEMNED = [
    b"\x80", b"\xbf", b"\xc0", b"\xc1", b"\xf5", b"\xf8", b"\xfe", b"\xff", b"\xc2\x7f",
    b"\xc2\xc0", b"\xdf\x20", b"\xe0\x80", b"\xe0\x9f", b"\xe1\x7f", b"\xe1\xc0",
    b"\xe1\x80\x41", b"\xed\xa0",
    b"\xed\xbf", b"\xef\xbf\x2f", b"\xf0\x80", b"\xf0\x8f", b"\xf0\x90\x41", b"\xf0\x90\x80\xc0",
    b"\xf1\x20", b"\xf3\xbf\xbf\x00", b"\xf4\x90", b"\xf4\xbf", b"\xf4\x8f\xbf\xff"]
ODD_BUT_VALID = "\0 \ufeff \ufffe \uffff \U0001f600 \U0010ffff ä € \u0800 \ud7ff " \
    "\ue000 \x7f \x80"


def unfinished(bad, before, in_fragment):
    """The bad byte is the last that comes; the frame or message stays open."""
    def make(c):
        data = before + bad
        if in_fragment:
            return c.frame(TEXT, data, fin=False)
        return c.frame(TEXT, data + b"a" * 50)[:-50]
    return make


def early_rows(in_fragment):
    rows = []
    for bad in CONDEMNED:
        for before in (b"", b"a" * 15, b"a" * 31, "ä".encode() * 40):
            rows.append(("%s after %d bytes" % (bad.hex(" "), len(before)),
                         unfinished(bad, before, in_fragment)))
    return rows


def early(in_fragment):
    async def run(t):
        async def one(row):
            c = await t.open()
            c.write(row[1](c))
            await t.fails(c, INVALID, must_close=True)
        rows = early_rows(in_fragment)
        if t.testee == "client" and not t.full:
            rows = rows[::4]
        await t.batch(rows, one, 16 if t.testee == "server" else 4)
    return run


async def valid_cut_everywhere(t):
    """Valid text in three fragments, cut at every pair of places."""
    c = await t.open()
    whole = "aß€😀z".encode()
    want, out = [], []
    for i in range(len(whole) + 1):
        for j in range(i, len(whole) + 1):
            out += [c.frame(TEXT, whole[:i], fin=False), c.frame(CONT, whole[i:j], fin=False),
                    c.frame(CONT, whole[j:])]
            want.append(text(whole))
    c.write(b"".join(out))
    await t.clean(c, want)


async def valid_in_segments(t):
    """The same text in one frame, the segments cut at every byte."""
    async def one(at):
        c = await t.open()
        data = c.frame(TEXT, ODD_BUT_VALID.encode("utf-8", "surrogatepass"))
        c.write(data[:at])
        await asyncio.sleep(0.01)
        c.write(data[at:])
        await t.clean(c, [text(ODD_BUT_VALID.encode())])
    await t.batch(list(range(1, 60, 1 if t.testee == "server" else 6)), one, 16)


async def every_code_point(t):
    """All 1,112,064 code points (a sample in a quick run), in one long text."""
    c = await t.open()
    step = 1 if t.full else 7
    points = [chr(p) for p in range(0, 0x110000, step) if not 0xd800 <= p < 0xe000]
    for at in range(0, len(points), 20000):
        data = "".join(points[at:at + 20000]).encode()
        c.write(c.message(TEXT, data, 1021))
        await t.receive(c, [text(data)])
    await t.clean(c)


async def every_pair_of_bytes(t):
    """Every two-byte text: echoed or 1007, as Python's own decoder says."""
    def good(p):
        try:
            p.decode()
            return True
        except UnicodeDecodeError:
            return False

    pairs = [bytes((a, b)) for a in range(256) for b in range(256)]
    c = await t.open()
    valid = [p for p in pairs if good(p)]
    c.write(b"".join(c.frame(TEXT, p) for p in valid))
    await t.clean(c, [text(p) for p in valid])
    wrong = [(p.hex(" "), lambda c, p=p: c.frame(TEXT, p)) for p in pairs if not good(p)]
    if not t.full:
        wrong = wrong[::397]
    await sweep(wrong[::1 if t.testee == "server" else 10], INVALID)(t)


def fill_5(book):
    rows = [
        ("odd but valid code points in one frame",
         lambda t: echo_text(t, ODD_BUT_VALID.encode())),
        ("failed at the impossible byte of an unfinished frame", early(False)),
        ("failed at the impossible byte of an unfinished message", early(True)),
        ("text that ends inside a code point",
         sweep([(p.hex(" "), frame(TEXT, b"abc" + p)) for p in
                (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2", b"\xf0")], INVALID)),
        ("message that ends inside a code point, in fragments",
         sweep([(p.hex(" "), lambda c, p=p: c.frame(TEXT, b"abc" + p, fin=False) +
                 c.frame(CONT, b"")) for p in (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98")], INVALID)),
        ("valid text in fragments cut everywhere", valid_cut_everywhere),
        ("valid text in segments cut everywhere", valid_in_segments),
        ("every code point", every_code_point),
        ("binary is not checked", lambda t: echo_binary(t, b"\xff\xfe\xed\xa0\x80" * 100)),
        ("every two bytes", every_pair_of_bytes),
    ]
    for i, (title, run) in enumerate(rows, 1):
        book.add("x.5.%d" % i, title, run, limit=900)


async def echo_text(t, data):
    c = await t.open()
    c.send(TEXT, data)
    await t.clean(c, [text(data)])


async def echo_binary(t, data):
    c = await t.open()
    c.send(BINARY, data)
    await t.clean(c, [binary(data)])


# x.6 closing

async def close_with(t, body, codes):
    """A close the testee must answer with this very code."""
    c = await t.open()
    c.sent_close = True
    c.send(CLOSE, body)
    await t.clean(c, [], send_close=False, codes=codes)


async def refused_close(t, body, codes=PROTOCOL):
    c = await t.open()
    c.sent_close = True
    c.send(CLOSE, body)
    await t.fails(c, codes, must_close=True)


BORDERS = (0, 1, 2, 999, *range(1000, 1018), 1099, 1100, 1999, 2000, 2998, 2999, 3000, 3001, 3499,
           3500, 3999, 4000, 4001, 4998, 4999, 5000, 5001, 9999, 32767, 32768, 65534, 65535)


async def every_code(t):
    """Close codes: those that may travel come back, the others fail 1002. All
    65,536 in a full run against a server; borders and a sample otherwise."""
    r = random.Random(6)
    codes = sorted(set(BORDERS) | {r.randrange(65536) for _ in range(40)})
    if t.full and t.testee == "server":
        codes = range(65536)
    elif t.testee == "client" and not t.full:
        codes = sorted(BORDERS)

    async def one(code):
        if code_may_travel(code):
            await close_with(t, close_body(code), (code,))
        else:
            await refused_close(t, close_body(code))
    await t.batch(list(codes), one, 32 if t.testee == "server" else 4)


async def data_after_close(t):
    c = await t.open()
    c.sent_close = True
    c.write(c.frame(CLOSE, close_body(1001, b"bye")) + c.frame(TEXT, b"late") +
            c.frame(BINARY, b"late") + c.frame(PING, b"late") + c.frame(CLOSE, close_body(1000)))
    await t.clean(c, [], send_close=False, codes=(1001,))


async def rubbish_after_close(t):
    c = await t.open()
    c.sent_close = True
    c.write(c.frame(CLOSE, close_body(1000)) + b"\xff" * 200)
    await t.clean(c, [], send_close=False, codes=(1000,))


async def close_inside_message(t):
    c = await t.open()
    c.sent_close = True
    c.write(c.frame(TEXT, b"half a mess", fin=False) + c.frame(CLOSE, close_body(1000)))
    await t.clean(c, [], send_close=False, codes=(1000,))


async def close_behind_echoes(t):
    """Messages before the close are echoed before it is answered."""
    c = await t.open()
    want = [b"%d" % i for i in range(50)]
    c.sent_close = True
    c.write(b"".join(c.frame(TEXT, w) for w in want) + c.frame(CLOSE, close_body(4000)))
    await t.clean(c, [text(w) for w in want], send_close=False, codes=(4000,))


async def client_lets_server_go_first(t):
    """After the close handshake a client leaves the end of TCP to the server."""
    if t.bench.options.tls:
        t.result.behaviour, t.result.got = SKIPPED, "the end of TLS hides the end of TCP"
        return
    c = await t.open()
    c.close(1000)
    e = await c.next(2 * t.scale)
    if e is None or e.kind != "close":
        raise Stop("close", str(e))
    e = await c.next(0.25)
    if e is not None:
        raise Stop("the client waits for the server to drop TCP", str(e))
    c.finish()
    await t.gone(c)


def fill_6(book):
    reason = lambda data: close_body(1000, data)
    rows = [
        ("empty close is answered with an empty close", lambda t: close_with(t, b"", (NONE,))),
        ("close body of one byte", lambda t: refused_close(t, b"\x03")),
        ("reason of 123 bytes", lambda t: close_with(t, reason(b"r" * 123), (1000,))),
        ("reason of 124 bytes", lambda t: refused_close(t, reason(b"r" * 124))),
        ("reason that is not UTF-8", lambda t: refused_close(t, reason(b"\xff"), INVALID)),
        ("reason that ends inside a code point",
         lambda t: refused_close(t, reason(b"a\xe2\x82"), INVALID)),
        ("reason of 41 characters of three bytes",
         lambda t: close_with(t, reason("€".encode() * 41), (1000,))),
        ("every close code", every_code),
        ("data, ping and a second close behind a close", data_after_close),
        ("rubbish behind a close", rubbish_after_close),
        ("close inside a fragmented message", close_inside_message),
        ("close right behind fifty messages", close_behind_echoes),
    ]
    for i, (title, run) in enumerate(rows, 1):
        book.add("x.6.%d" % i, title, run, limit=900 if run is every_code else 30)
    book.add("x.6.901", "the server may drop TCP first", client_lets_server_go_first,
             roles=("client",))


# x.7 limits: messages of 64 KiB and 16 fragments at most

MAX = 65536


def too_big(make):
    async def run(t):
        c = await t.open()
        c.write(make(c))
        await t.fails(c, TOO_BIG, must_close=True)
    return run


def within(opcode, size, fragment=None, packed=False):
    async def run(t):
        c = await t.open(DEFLATE if packed else None)
        if packed and c.params is None:
            raise Stop("permessage-deflate", "declined")
        data = b"a" * size
        c.write(c.message(opcode, data, fragment, packed))
        await t.clean(c, [text(data) if opcode == TEXT else binary(data)])
    return run


def bomb(size, fragment=None):
    async def run(t):
        c = await t.open(DEFLATE)
        if c.params is None:
            raise Stop("permessage-deflate", "declined")
        c.write(c.message(BINARY, bytes(size), fragment, packed=True))
        await t.fails(c, TOO_BIG, must_close=True)
    return run


async def too_many_fragments(t):
    c = await t.open()
    c.write(b"".join([c.frame(TEXT, b"a", fin=False)] + [c.frame(CONT, b"a", fin=False)] * 16))
    await t.fails(c, POLICY, must_close=True)


async def enough_fragments(t):
    c = await t.open()
    parts = [c.frame(TEXT, b"a", fin=False)] + [c.frame(CONT, b"a", fin=False)] * 14
    c.write(b"".join(parts + [c.frame(CONT, b"a")]))
    await t.clean(c, [text(b"a" * 16)])


def half_head(length):
    """Header of a message over the limit, with none of its payload."""
    return lambda c: c.frame(BINARY, b"", form=64, length=length)


def by_sum(c):
    """Over the limit with the second header, whose payload does not come."""
    return c.frame(BINARY, bytes(60000), fin=False) + \
        c.frame(CONT, b"", form=16, length=MAX - 60000 + 1)


def fill_7(book):
    rows = [
        ("a message at the limit", within(BINARY, MAX)),
        ("a message one over the limit, head alone", too_big(half_head(MAX + 1))),
        ("a message of 1 GiB, head alone", too_big(half_head(1 << 30))),
        ("fragments that add up to the limit", within(TEXT, MAX, 8192)),
        ("fragments that add up to one more, head alone", too_big(by_sum)),
        ("sixteen fragments", enough_fragments),
        ("seventeen fragments", too_many_fragments),
        ("inflates to the limit", within(BINARY, MAX, None, True)),
        ("inflates to one over the limit", bomb(MAX + 1)),
        ("inflates a thousandfold: 16 MiB", bomb(16 << 20)),
        ("inflates a thousandfold, in fragments", bomb(4 << 20, 1024)),
    ]
    for i, (title, run) in enumerate(rows, 1):
        book.add("x.7.%d" % i, title, run, profile="limits")


def fill(book):
    for part in (fill_4, fill_5, fill_6, fill_7):
        part(book)
