"""x.8: compressed messages, rule by rule (RFC 7692 7.2), for both kinds of testee."""
import random
import zlib

from .bench import Agreement
from .codec import BINARY, CONT, PING, TEXT, Event, binary, pong, text
from .judge import INFORMATIONAL, SKIPPED, Stop
from .suite_load import DEFLATE, answering

TAKEOVER = Agreement("permessage-deflate; client_max_window_bits", answering())
HELLO = bytes.fromhex("f248cdc9c90700")
INVALID = (1007,)


async def opened(t, agreement=TAKEOVER, profile=None):
    c = await t.open(agreement, profile)
    if c.params is None:
        raise Stop("permessage-deflate", "declined")
    return c


def keeps_window(t, c):
    """Whether what we send may refer to our earlier messages."""
    return not (c.params.client_nct if t.testee == "server" else c.params.server_nct)


def raw(c, payload, opcode=TEXT, **how):
    return c.frame(opcode, payload, rsv=4, **how)


def decodes(payload, want):
    """One message of these very bytes, RSV1 set."""
    async def run(t):
        c = await opened(t)
        c.write(raw(c, payload))
        await t.clean(c, [text(want)])
    return run


def corrupt(payload, opcode=BINARY):
    async def run(t):
        c = await opened(t)
        c.write(raw(c, payload, opcode))
        await t.fails(c, INVALID, must_close=True)
    return run


def deflated(data, dictionary=b"", finish=False):
    z = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=dictionary) if dictionary else \
        zlib.compressobj(6, zlib.DEFLATED, -15)
    out = z.compress(data)
    return out + z.flush() if finish else out + z.flush(zlib.Z_SYNC_FLUSH)[:-4]


async def shared_window(t):
    """RFC 7692 7.2.3.2: the second Hello is a reference to the first."""
    c = await opened(t)
    if not keeps_window(t, c):
        t.result.behaviour, t.result.got = SKIPPED, "no context takeover was agreed"
        return
    c.write(raw(c, HELLO) + raw(c, bytes.fromhex("f200110000")))
    await t.clean(c, [text("Hello"), text("Hello")])


async def window_survives_final_block(t):
    """A BFINAL block ends a deflate stream but not the window."""
    c = await opened(t)
    if not keeps_window(t, c):
        t.result.behaviour, t.result.got = SKIPPED, "no context takeover was agreed"
        return
    first = random.Random(8).randbytes(300)
    c.write(raw(c, deflated(first, finish=True) + b"\0", BINARY) +
            raw(c, deflated(first, first), BINARY) +
            raw(c, deflated(first, first * 2, finish=True) + b"\0", BINARY) +
            raw(c, deflated(first, first * 3), BINARY))
    await t.clean(c, [binary(first)] * 4)


async def plain_between(t):
    """An uncompressed message is legal and leaves the window alone."""
    c = await opened(t)
    a, b = random.Random(9).randbytes(500), random.Random(10).randbytes(500)
    c.write(c.message(BINARY, a, packed=True) + c.message(BINARY, b) +
            c.message(BINARY, a, packed=True))
    await t.clean(c, [binary(a), binary(b), binary(a)])


async def cut_everywhere(t):
    """Fragments cut the deflate blocks at every byte, with empty ones between."""
    c = await opened(t)
    packed, out, want = deflated("Grüße, 世界! ".encode() * 4), [], []
    c.write(b"".join(raw(c, HELLO[:i], fin=False) + c.frame(CONT, HELLO[i:])
                     for i in range(len(HELLO) + 1)))
    want += [text("Hello")] * (len(HELLO) + 1)
    c2 = await opened(t)
    for i in range(len(packed) + 1):
        out += [raw(c2, packed[:i], fin=False), c2.frame(CONT, b"", fin=False),
                c2.frame(PING, b"%d" % i), c2.frame(CONT, packed[i:])]
    c2.write(b"".join(out))
    await t.clean(c, want)
    seen = []
    for i in range(len(packed) + 1):
        seen += [pong(b"%d" % i), text("Grüße, 世界! ".encode() * 4)]
    await t.clean(c2, seen)


async def early_utf8(t):
    """The first fragment is flushed and holds the bad byte; the message stays
    open. To inflate only whole messages is a choice, so a testee that sees it
    only then is not wrong; at the end it must fail in any case."""
    c = await opened(t)
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    first = z.compress(b"good start \xff") + z.flush(zlib.Z_SYNC_FLUSH)
    c.write(raw(c, first, fin=False))
    e = await c.next(1.0 * t.scale)
    if e is None:
        t.result.behaviour, t.result.got = INFORMATIONAL, "failed only at the end of the message"
        c.write(c.frame(CONT, b"\0"))
    else:
        c.events.appendleft(e)
    await t.fails(c, INVALID, must_close=True)


def windows(bits):
    """Data that repeats at many distances; ours and theirs in a small window."""
    async def run(t):
        given = Agreement(
            "permessage-deflate; server_max_window_bits=%d; client_max_window_bits=%d"
            % (bits, bits), answering("client_max_window_bits=%d" % bits))
        c = await opened(t, given)
        if t.testee == "server" and c.params.client_bits is None:
            c.deflater.args = c.deflater.args[:2] + (-bits,)  # we promised as much
        r = random.Random(bits)
        block = r.randbytes(300)
        for distance in (400, 700, 1500, 3000, 6000, 12000, 24000):
            data = block + r.randbytes(distance - 300) + block + bytes(100)
            c.write(c.message(BINARY, data, packed=True))
            await t.receive(c, [binary(data)])
        await t.clean(c)
    return run


async def takeover_pays(t):
    """With takeover agreed, the second of two equal messages is a reference."""
    c = await opened(t)
    theirs = c.params.server_nct if t.testee == "server" else c.params.client_nct
    if theirs:
        raise Stop("an answer without server_no_context_takeover", str(c.params))
    data = random.Random(11).randbytes(1000)
    for _ in range(2):
        c.write(c.message(BINARY, data, packed=True))
        await t.receive(c, [binary(data)])
    sizes = c.parser.packed_sizes
    if len(sizes) != 2 or sizes[1] > sizes[0] // 4:
        raise Stop("a much smaller second message", "compressed sizes %s" % sizes)
    await t.clean(c)


async def no_takeover(t):
    """Asked to reset per message, the testee does: each message stands alone."""
    if t.testee == "client":
        agreement = Agreement("", answering("client_no_context_takeover"))
    else:
        agreement = Agreement("permessage-deflate; server_no_context_takeover", None)
    c = await opened(t, agreement)
    data = random.Random(12).randbytes(1000)
    for _ in range(4):
        c.write(c.message(BINARY, data, packed=True))
        await t.receive(c, [binary(data)])
    await t.clean(c)


async def server_resets_by_itself(t):
    """Started without takeover, the server says so unasked, and does it."""
    c = await opened(t)
    if not c.params.server_nct:
        raise Stop("server_no_context_takeover in the answer", str(c.params))
    for _ in range(3):
        c.write(c.message(TEXT, b"one and the same " * 20, packed=True))
        await t.receive(c, [text(b"one and the same " * 20)])
    await t.clean(c)


def large(make, fragment=None):
    async def run(t):
        c = await opened(t, DEFLATE)
        data = make()
        c.write(c.message(BINARY, data, fragment, packed=True))
        await t.clean(c, [Event("binary", data)], limit=60)
    return run


BROKEN = [
    ("reserved block type", b"\x06"), ("reserved block type, final", b"\x07\x00"),
    ("final empty block, then a reserved one", b"\x03\x00\xff"),
    ("final block, then a broken one: 03 ef", b"\x03\xef"),
    ("stored block whose length check is wrong", b"\x00\x05\x00\x00\x00Hello"),
    ("stored block cut short", b"\x00\x0a\x00\xf5\xffabc"),
    ("distance before the start", deflated(b"abcdefghijkl" * 5, b"abcdefghijkl" * 5)),
    ("code lengths that make no code", b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("trailing rubbish behind a final block", HELLO.replace(b"\xf2", b"\xf3", 1) + b"\xff\xff"),
    ("plain text with RSV1", b"Hello, world! This is not deflate."),
]


async def corrupt_streams(t):
    async def one(row):
        await corrupt(row[1])(t)
    await t.batch(BROKEN, one, 4)


ROWS = [
    ("the RFC's Hello", decodes(HELLO, "Hello")),
    ("a stored block", decodes(bytes.fromhex("000500faff48656c6c6f00"), "Hello")),
    ("two blocks", decodes(bytes.fromhex("f248050000 00ffffcac9c90700"), "Hello")),
    ("a final block and 00", decodes(bytes.fromhex("f348cdc9c9070000"), "Hello")),
    ("a final block without the 00", decodes(bytes.fromhex("f348cdc9c90700"), "Hello")),
    ("a final block, then another block", decodes(bytes.fromhex("f348cdc9c90700") + HELLO,
                                                  "HelloHello")),
    ("the tail left on", decodes(HELLO + b"\0\0\xff\xff", "Hello")),
    ("empty as 00", decodes(b"\0", "")),
    ("empty as nothing", decodes(b"", "")),
    ("empty as a final block", decodes(b"\x03\x00", "")),
    ("a reference to the message before", shared_window),
    ("the window survives a final block", window_survives_final_block),
    ("a plain message between compressed ones", plain_between),
    ("fragments cut at every byte", cut_everywhere),
    ("corrupt streams", corrupt_streams),
    ("text that is not UTF-8 once inflated", corrupt(deflated(b"abc\xff"), TEXT)),
    ("text that ends inside a code point once inflated", corrupt(deflated(b"abc\xe2\x82"), TEXT)),
    ("bad UTF-8 in an unfinished compressed message", early_utf8),
    ("context takeover is used", takeover_pays),
    ("no context takeover when asked", no_takeover),
    ("1 MiB that does not compress", large(lambda: random.Random(13).randbytes(1 << 20))),
    ("16 MiB of zeros", large(lambda: bytes(16 << 20))),
    ("4 MiB in fragments of 1000", large(lambda: random.Random(14).randbytes(1 << 19) * 8, 1000)),
]


def fill(book):
    for i, (title, run) in enumerate(ROWS, 1):
        profiles = {"client_profile": "reset"} if run is no_takeover else {}
        book.add("x.8.%d" % i, title, run, limit=100, **profiles)
    for bits in range(9, 16):
        book.add("x.8.%d" % (100 + bits), "windows of %d bits" % bits, windows(bits))
    book.add("x.8.901", "a server without takeover says so", server_resets_by_itself,
             profile="reset", roles=("server",))
