"""Cases 9, 12 and 13: large messages, many messages, compressed messages."""
import asyncio
import hashlib
import random
import zlib

from .bench import Agreement
from .codec import BINARY, TEXT
from .judge import UNIMPLEMENTED, Stop, words

KIB, MIB = 1 << 10, 1 << 20
QUICK_MESSAGES, FULL_MESSAGES = 20, 1000


def messages(t):
    return FULL_MESSAGES if t.full else QUICK_MESSAGES


async def same_length(t, c, kind, size):
    """Group 9 compares type and length only; x.8 compares contents."""
    e = await c.next(t.limit * t.scale)
    if e is None or e.kind != kind or len(e.data) != size:
        raise Stop("%s of %d bytes" % (kind, size), words([e] if e else []))


def large(opcode, size, fragment=None, pieces=None):
    kind = "text" if opcode == TEXT else "binary"

    async def run(t):
        c = await t.open()
        payload = (b"*" if opcode == TEXT else b"\xfe") * size
        data = c.message(opcode, payload, fragment)
        if pieces:
            await c.write_pieces(data, pieces)
        else:
            c.write(data)
        await same_length(t, c, kind, size)
        await t.clean(c)
    return run


def one_at_a_time(opcode, size):
    kind = "text" if opcode == TEXT else "binary"

    async def run(t):
        c = await t.open()
        payload = (b"*" if opcode == TEXT else b"\xfe") * size
        for _ in range(messages(t)):
            c.send(opcode, payload)
            await same_length(t, c, kind, size)
        await t.clean(c)
    return run


def size_words(n):
    return "%d MiB" % (n // MIB) if n >= MIB else "%d KiB" % (n // KIB) if n >= KIB else \
        "%d bytes" % n


def fill_9(book):
    whole = (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB)
    cuts = (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
    pieces = (64, 128, 256, 512, 1024, 2048)
    small = ((0, 60), (16, 60), (64, 60), (256, 120), (1024, 240), (4096, 480))
    for parity, (opcode, word) in enumerate(((TEXT, "text"), (BINARY, "binary"))):
        for i, n in enumerate(whole, 1):
            book.add("9.%d.%d" % (1 + parity, i), "%s of %s" % (word, size_words(n)),
                     large(opcode, n), limit=10 if i < 3 else 100)
        for i, n in enumerate(cuts, 1):
            book.add("9.%d.%d" % (3 + parity, i),
                     "%s of 4 MiB in fragments of %s" % (word, size_words(n)),
                     large(opcode, 4 * MIB, fragment=n), limit=100)
        for i, n in enumerate(pieces, 1):
            book.add("9.%d.%d" % (5 + parity, i), "%s of 1 MiB in pieces of %d" % (word, n),
                     large(opcode, MIB, pieces=n), limit=1000)
        for i, (n, limit) in enumerate(small, 1):
            book.add("9.%d.%d" % (7 + parity, i), "many %ss of %d bytes, one at a time" % (word, n),
                     one_at_a_time(opcode, n), limit=limit)


# The data of group 12, made here: the kinds matter (how well each compresses,
# and whether characters are longer than a byte), the very words do not.

GERMAN = ("der die das und Strom über Wasser geht langsam zwischen Häusern wo früher Gärten "
          "waren jetzt Straßen ein alter Mann grüßt niemand hört ihn außer dem Hund").split()


def make_json(r, size):
    out, n = [], 0
    while n < size:
        row = '{"id": %d, "name": "%s", "score": %.3f, "tags": ["%s", "%s"], "ok": %s},\n' % (
            r.randrange(10 ** 6), r.choice(GERMAN), r.random() * 100, r.choice(GERMAN),
            r.choice(GERMAN), r.choice(("true", "false")))
        out.append(row)
        n += len(row)
    return "[" + "".join(out)


def make_bitmap(r):
    """A grey picture, 512 by 512: smooth, with some noise."""
    head = b"BM" + (263222).to_bytes(4, "little") + bytes(1072)
    rows = (bytes((x // 4 + y // 4 + r.randrange(4)) & 255 for x in range(512))
            for y in range(512))
    return head + b"".join(rows)


def make_prose(r, size):
    out, n = [], 0
    while n < size:
        sentence = " ".join(r.choice(GERMAN) for _ in range(r.randrange(5, 15))).capitalize() + ". "
        out.append(sentence)
        n += len(sentence)
    return "".join(out)


def make_html(r, size):
    rows = "".join('<tr class="row%d"><td>%s</td><td><a href="/item/%d">%s</a></td></tr>\n' % (
        i & 1, r.choice(GERMAN), r.randrange(10 ** 5), r.choice(GERMAN))
        for i in range(size // 60))
    return "<!doctype html>\n<html><body><table>\n" + rows + "</table></body></html>\n"


def make_pdf(r, size):
    """Mostly streams that are compressed already, as PDF files are."""
    out, n = [b"%PDF-1.4\n"], 0
    while n < size:
        stream = zlib.compress(make_prose(r, 3000).encode() + r.randbytes(2000))
        out.append(b"%d 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\n"
                   % (len(out), len(stream), stream))
        n += len(out[-1])
    return b"".join(out)


class Data:
    """Made once, when the first compressed case runs."""
    made = None

    @classmethod
    def get(cls, kind):
        if cls.made is None:
            r = random.Random(12)
            cls.made = {"JSON": make_json(r, 300000), "bitmap": make_bitmap(r),
                        "German prose": make_prose(r, 300000).encode("latin-1"),
                        "HTML": make_html(r, 300000), "PDF": make_pdf(r, 300000)}
        return cls.made[kind]


BITS_AND_RESET = "permessage-deflate; %sclient_no_context_takeover; client_max_window_bits"
PLAIN = BITS_AND_RESET % ""


def plain_offer(*extra):
    return BITS_AND_RESET % "".join(e + "; " for e in extra)


def answering(*params):
    """What our server answers when the client's offer allows it: each parameter
    was offered, bare or with a value that is no smaller."""
    answer = "; ".join(("permessage-deflate",) + params)
    wanted = [p.partition("=") for p in params]

    def pick(offers):
        for name, given in offers:
            limits = dict(given)
            if name == "permessage-deflate" and all(
                    n in limits and (limits[n] is None or int(limits[n]) >= int(value or 0))
                    for n, _, value in wanted):
                return answer
        return None
    return pick


def first_of(*picks):
    return lambda offers: next((a for a in (p(offers) for p in picks) if a), None)


NCT, CNCT = "server_no_context_takeover", "client_no_context_takeover"
DEFLATE = Agreement(PLAIN, answering())
AGREEMENTS = {
    1: DEFLATE,
    2: Agreement(plain_offer(NCT), answering(CNCT)),
    3: Agreement(plain_offer("server_max_window_bits=9"), answering("client_max_window_bits=9")),
    4: Agreement(plain_offer("server_max_window_bits=15"), answering("client_max_window_bits=15")),
    5: Agreement(plain_offer(NCT, "server_max_window_bits=9"),
                 answering(CNCT, "client_max_window_bits=9")),
    6: Agreement(plain_offer(NCT, "server_max_window_bits=15"),
                 answering(CNCT, "client_max_window_bits=15")),
}
AGREEMENTS[7] = Agreement(", ".join(AGREEMENTS[n].offers for n in (5, 2, 1)),
                          first_of(*(AGREEMENTS[n].pick for n in (5, 2, 1))))
# (bytes or characters, fragment size, time limit)
SHAPES = [(16, None, 60), (64, None, 60), (256, None, 120), (1024, None, 240)] + \
    [(n * KIB, None, 480) for n in (4, 8, 16, 32, 64, 128)] + \
    [(n * KIB, 256, 480) for n in (8, 16, 32, 64, 128)] + \
    [(128 * KIB, f, 480) for f in (1024, 4096, 32768)]


def slices(kind, size, count):
    """`count` messages cut from the data at a moving position."""
    data = Data.get(kind)
    at = 0
    for _ in range(count):
        if at + size > len(data):
            at = 0
        piece = data[at:at + size]
        at += size
        yield piece.encode() if isinstance(piece, str) else piece


def compressed(kind, agreement, size, fragment):
    async def run(t):
        c = await t.open(agreement)
        if c.params is None:
            raise Stop("permessage-deflate", "declined", UNIMPLEMENTED)
        opcode, word = (TEXT, "text") if kind in ("JSON", "HTML") else (BINARY, "binary")
        for payload in slices(kind, size, messages(t)):
            c.write(c.message(opcode, payload, fragment, packed=True))
            e = await c.next(t.limit * t.scale)
            if e is None or e.kind != word or digest(e.data) != digest(payload):
                raise Stop("the same %s of %d bytes" % (word, len(payload)),
                           words([e] if e else []))
            await asyncio.sleep(0)
        await t.clean(c)
    return run


def digest(data):
    return hashlib.sha1(data).digest()


def fill_12(book):
    kinds = ("JSON", "bitmap", "German prose", "HTML", "PDF")
    words_13 = ("plain offer", "no server takeover", "server window 9", "server window 15",
                "no server takeover, window 9", "no server takeover, window 15", "three offers")
    rows = [("12.%d" % n, kind, kind, DEFLATE) for n, kind in enumerate(kinds, 1)]
    rows += [("13.%d" % n, "JSON", word, AGREEMENTS[n]) for n, word in enumerate(words_13, 1)]
    for section, kind, word, agreement in rows:
        for i, (size, fragment, limit) in enumerate(SHAPES, 1):
            title = "compressed %s, %s" % (word, size_words(size)) + \
                (" in fragments of %d" % fragment if fragment else "")
            book.add("%s.%d" % (section, i), title, compressed(kind, agreement, size, fragment),
                     limit=limit, client_profile="reset" if section in RESETTING else "")


# Where the client's offer must carry client_no_context_takeover.
RESETTING = ("13.2", "13.5", "13.6")


def fill(book):
    fill_9(book)
    fill_12(book)
