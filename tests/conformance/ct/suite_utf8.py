"""Case 6: UTF-8, and how early the testee notices that it is not."""
import asyncio

from .codec import CONT, TEXT, text
from .judge import NON_STRICT, Stop

KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")  # a Greek word, one letter of three bytes
INVALID = (1007,)


def one_frame(payload, good):
    async def run(t):
        c = await t.open()
        c.send(TEXT, payload)
        if good:
            await t.clean(c, [text(payload)])
        else:
            await t.fails(c, INVALID)
    return run


def in_fragments(parts, good=True):
    async def run(t):
        c = await t.open()
        last = len(parts) - 1
        c.write(b"".join(c.frame(CONT if i else TEXT, p, fin=i == last)
                         for i, p in enumerate(parts)))
        if good:
            await t.clean(c, [text(b"".join(parts))])
        else:
            await t.fails(c, INVALID)
    return run


def single_bytes(payload):
    return [payload[i:i + 1] for i in range(len(payload))]


def early(parts, inside_one_frame):
    """Three parts a second apart; the second holds the first impossible byte,
    so the testee can know before it has the third."""
    async def run(t):
        c = await t.open()
        if inside_one_frame:
            whole = c.frame(TEXT, b"".join(parts))
            head = len(whole) - sum(map(len, parts))
            ends = [head + len(parts[0]), head + len(parts[0]) + len(parts[1]), len(whole)]
            chunks = [whole[:ends[0]], whole[ends[0]:ends[1]], whole[ends[1]:]]
        else:
            chunks = [c.frame(TEXT, parts[0], fin=False), c.frame(CONT, parts[1], fin=False),
                      c.frame(CONT, parts[2])]
        c.write(chunks[0])
        e = await c.next(1.0)
        if e is not None:
            raise Stop("nothing yet after the valid start", str(e))
        c.write(chunks[1])
        e = await c.next(1.0 * t.scale)
        if e is None:
            t.result.behaviour = NON_STRICT
            t.result.want = "close 1007 right after the impossible byte"
            t.result.got = "failed only after the rest had come"
            c.write(chunks[2])
        else:
            c.events.appendleft(e)
        await t.fails(c, INVALID)
    return run


def fill_start(book):
    add = book.add
    add("6.1.1", "empty text", one_frame(b"", True))
    add("6.1.2", "three empty fragments", in_fragments([b"", b"", b""]))
    add("6.1.3", "empty, content, empty", in_fragments([b"", b"middle frame payload", b""]))
    mix = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    add("6.2.1", "valid UTF-8 in one frame", one_frame(mix, True))
    add("6.2.2", "valid UTF-8 cut between code points", in_fragments([mix[:12], mix[12:]]))
    add("6.2.3", "valid UTF-8 in fragments of one byte", in_fragments(single_bytes(mix)))
    add("6.2.4", "Greek in fragments of one byte", in_fragments(single_bytes(KOSME)))
    bad = KOSME + b"\xed\xa0\x80edited"
    add("6.3.1", "encoded surrogate in one frame", one_frame(bad, False))
    add("6.3.2", "encoded surrogate in fragments of one byte",
        in_fragments(single_bytes(bad), False))
    beyond = [KOSME, b"\xf4\x90\x80\x80", b"edited"]
    exact = [KOSME + b"\xf4", b"\x90", b"\x80\x80edited"]
    add("6.4.1", "beyond U+10FFFF in the second of three fragments", early(beyond, False))
    add("6.4.2", "the same, cut right at the impossible byte", early(exact, False))
    add("6.4.3", "the same as three writes inside one frame", early(beyond, True))
    add("6.4.4", "one frame, cut right at the impossible byte", early(exact, True))


def lone_starts(first, last):
    return b"".join(bytes((b, 32)) for b in range(first, last + 1))


CUT = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
       b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"]
SURROGATES = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf",
              b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"]

# section: (title, True when all are valid, payloads)
TABLES = {
    "6.5": ("code points of 1 to 4 bytes", True,
            ["hello%sworld" % c for c in "$¢€\U00024b62"] + [KOSME]),
    "6.7": ("smallest code point of each length", True,
            [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    "6.8": ("smallest 5- and 6-byte forms", False,
            [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    "6.9": ("largest code point of each length", True,
            [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    "6.10": ("largest 4-, 5- and 6-byte forms", False,
             [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    "6.12": ("lone continuation bytes", False,
             [b"\x80", b"\xbf"] + [(b"\x80\xbf" * 3)[:n] for n in range(2, 7)] +
             [bytes(range(0x80, 0xbf))]),
    "6.13": ("lone start bytes", False,
             [lone_starts(a, b) for a, b in ((0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7),
                                             (0xf8, 0xfb), (0xfc, 0xfd))]),
    "6.14": ("last continuation byte missing", False, CUT),
    "6.15": ("all of 6.14 in a row", False, [b"".join(CUT)]),
    "6.16": ("impossible bytes", False, [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    "6.17": ("over-long slash", False,
             [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
              b"\xfc\x80\x80\x80\x80\xaf"]),
    "6.18": ("largest over-long of each length", False,
             [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
              b"\xfc\x83\xbf\xbf\xbf\xbf"]),
    "6.19": ("over-long NUL", False,
             [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
              b"\xfc\x80\x80\x80\x80\x80"]),
    "6.20": ("single surrogate", False, SURROGATES),
    "6.21": ("surrogate pair as two 3-byte forms", False,
             [a + b for a in SURROGATES[:4] for b in (SURROGATES[4], SURROGATES[6])]),
    "6.22": ("non-character", True,
             [chr(plane << 16 | low) for plane in range(17) for low in (0xfffe, 0xffff)]),
    "6.23": ("special code point", True, [chr(0xfff9 + i) for i in range(7)]),
}


def fill(book):
    fill_start(book)
    for n in range(1, 12):
        good = n in (2, 5, 7, 9, 11)
        book.add("6.6.%d" % n, "Greek word cut to %d bytes" % n, one_frame(KOSME[:n], good))
    for n, p in enumerate((b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf",
                           b"\xf4\x90\x80\x80"), 1):
        book.add("6.11.%d" % n, "code point at a border: " + p.hex(" "), one_frame(p, n < 5))
    for section, (title, good, payloads) in TABLES.items():
        for n, p in enumerate(payloads, 1):
            p = p.encode() if isinstance(p, str) else p
            shown = p.hex(" ") if len(p) <= 16 else p[:14].hex(" ") + " ..."
            book.add("%s.%d" % (section, n), "%s: %s" % (title, shown), one_frame(p, good))
