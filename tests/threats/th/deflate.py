"""Rows 59 to 65: permessage-deflate."""
import os
import random
import subprocess
import zlib

from ct import codec, pmd
from ct.codec import BINARY, CLOSE, CONT, TEXT

from .frames import broken, taken
from .peer import Fail, Listening, Ws, accept_of, frame, upgrade
from .suite import every, row

OFFER = "permessage-deflate"
BOTH = (("/echoz", "without takeover"), ("/echot", "with takeover"))


def squeeze(data, level=9):
    return pmd.Deflater(15, True, level).message(data)


def packed(payload, opcode=BINARY, **how):
    return frame(opcode, payload, rsv=4, **how)


@row(59, "a bomb: 1009, and no more memory than the limit on a message")
def bombs(w):
    small = squeeze(b"\0" * 65536)
    cases = [("%d KiB" % (size >> 10), packed(squeeze(b"\0" * size)), 1009)
             for size in (65537, 1 << 20, 16 << 20)]
    cases.append(("1 GiB, 1 MB of wire", packed(squeeze(b"\0" * (1 << 20)) * 1024), 1009))
    cases.append(("in fragments", frame(BINARY, squeeze(b"\0" * 65537)[:40], rsv=4, fin=False) +
                  frame(CONT, squeeze(b"\0" * 65537)[40:]), 1009))
    cases.append(("text", packed(squeeze(b"a" * 65537), TEXT), 1009))
    with w.cost() as cost:
        for path, _ in BOTH:
            broken(w, cases, path, deflate=OFFER)
            taken(w, [("exactly the limit", packed(small), codec.binary(b"\0" * 65536))], path,
                  deflate=OFFER)
    if cost.grown > 4 << 20 and not w.asan:
        raise Fail("%d KiB more memory" % (cost.grown >> 10))


@row(59, "bombs on 100 connections at once")
def many_bombs(w):
    bomb = packed(squeeze(b"\0" * (4 << 20)))
    with w.cost() as cost:
        peers = [w.ws("/echot", deflate=OFFER) for _ in range(100)]
        for ws in peers:
            ws.send(bomb[:-1])
        for ws in peers:
            ws.send(bomb[-1:])
        for ws in peers:
            ws.expect_close(1009)
            ws.close()
    w.note("%d KiB, %.0f ms of CPU" % (cost.grown >> 10, cost.cpu * 1e3))
    if cost.grown > 100 * (128 << 10) and not w.asan:
        raise Fail("%d KiB more memory" % (cost.grown >> 10))


def judged(payload):
    """What zlib makes of a compressed message: the bytes, or None."""
    try:
        return pmd.Inflater(15, True).message(payload)
    except ValueError:
        return None


@row(61, "corrupt deflate data: 1007; a final block is taken")
def corrupt(w):
    text = b"a compressed message, a compressed message " * 20
    good = squeeze(text)
    final = zlib.compressobj(9, zlib.DEFLATED, -15)
    final = final.compress(text) + final.flush()
    far = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=b"what only one side knows " * 9)
    far = (far.compress(b"what only one side knows " * 3) + far.flush(zlib.Z_SYNC_FLUSH))[:-4]
    cases = [
        ("reserved block type", packed(b"\x07"), 1007),
        ("reserved block type behind data", packed(good[:-1] + b"\x06\xff"), 1007),
        ("distance too far", packed(far), 1007),
        ("stored block, lengths differ", packed(b"\x00\x05\x00\x05\x00hello"), 1007),
        ("bad code lengths", packed(b"\x04\xff\xff\xff\xff"), 1007),
        ("corrupt in a fragment", packed(b"\x07", fin=False) + frame(CONT, b"x"), 1007),
        ("not UTF-8 inside", packed(squeeze(b"\xff\xfe" * 50), TEXT), 1007),
    ]
    for path, _ in BOTH:
        broken(w, cases, path, deflate=OFFER)
        taken(w, [("final block", packed(final), codec.binary(text)),
                  ("final block and an empty one", packed(final + b"\x00"), codec.binary(text)),
                  ("stored", packed(b"\x00\x05\x00\xfa\xffhello\x00"), codec.binary(b"hello"))],
              path, deflate=OFFER)


@row(61, "200 damaged messages: 1007 wherever zlib says so, and otherwise the same bytes")
def damaged(w):
    chance, seen = random.Random(61), [0, 0, 0]
    bases = [squeeze(os.urandom(300)), squeeze(b"abcabcabd" * 100), squeeze(bytes(range(256)) * 4),
             pmd.Deflater(15, True, 0).message(b"stored" * 50)]

    def one(payload):
        want = judged(payload)
        with w.ws("/echoz", deflate=OFFER) as ws:
            ws.send(packed(payload))
            got = ws.next()
            if got is None or got.kind not in ("close", "binary"):
                raise Fail("answered %s" % (got,))
            if got.kind == "close":
                seen[got.code == 1009] += 1
                if got.code != (1009 if want and len(want) > 65536 else 1007):
                    raise Fail("answered %s" % (got,))
                # What zlib would still wait for ends too early; that is 1007 as well.
                if want is not None and len(want) <= 65536 and not unfinished(payload):
                    raise Fail("zlib takes it, answered %s" % (got,))
            else:
                seen[2] += 1
                if got.data != want:
                    raise Fail("%d bytes, zlib says %s" % (len(got.data), want and len(want)))
    cases = []
    for number in range(2000 if w.full else 200):
        data = bytearray(chance.choice(bases))
        kind = chance.randrange(4)
        if kind == 0:
            data = data[:chance.randrange(len(data))]
        elif kind == 1:
            data = bytearray(chance.randbytes(chance.randrange(1, 200)))
        else:
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        cases.append(("%d: %s" % (number, data[:20].hex()), bytes(data)))
    every(cases, one)
    w.note("%d refused, %d too long, %d taken" % tuple(seen))


def unfinished(payload):
    """Whether the data ends inside a block: zlib waits for more, or finds the end of a final
    block in the four bytes that only the receiver adds."""
    z = zlib.decompressobj(-15)
    try:
        z.decompress(payload + pmd.TAIL)
        if z.eof:
            return len(z.unused_data) < len(pmd.TAIL)
        z.decompress(b"\x03\x00")  # an empty final block fits only between blocks
    except zlib.error:
        return True
    return not z.eof


@row(62, "window bits out of range, twice, unknown parameters: declined; broken syntax: 400")
def offers(w):
    def offer(value, status=101, agreed=False):
        with w.wire() as wire:
            wire.send(upgrade("/echot", "Sec-WebSocket-Extensions: " + value) + frame(CLOSE))
            head = wire.rest().partition(b"\r\n\r\n")[0].decode("latin-1")
        if head.split(" ")[1:2] != [str(status)]:
            raise Fail("answered %s" % head.split("\r\n")[0])
        if ("sec-websocket-extensions" in head.lower()) != agreed:
            raise Fail("agreed" if not agreed else "declined")
    cases = [("%s=%s" % (side, bits), "%s; %s=%s" % (OFFER, side, bits))
             for side in ("server_max_window_bits", "client_max_window_bits")
             for bits in ("7", "16", "08", "15.0", "-1", "0", "99999999999", "x", "1e1", "+9")]
    cases += [(p, "%s; %s" % (OFFER, p)) for p in (
        "server_max_window_bits", "server_no_context_takeover=1", "unknown", "unknown=1",
        "client_no_context_takeover=x", "client_max_window_bits; client_max_window_bits",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_no_context_takeover; server_no_context_takeover")]
    cases += [(p, "%s; %s" % (OFFER, p), 400) for p in (
        "server_max_window_bits=", "=10", "server_max_window_bits==10", "a=\"", "; ;")]
    cases += [(p, "%s; %s" % (OFFER, p), 101, True) for p in (
        "server_max_window_bits=\"10\"", "client_max_window_bits", "client_max_window_bits=15",
        "server_max_window_bits=9", "client_max_window_bits=8")]
    cases += [("a bad offer, then a good one", "%s; x, %s" % (OFFER, OFFER), 101, True)]
    every(cases, offer)


@row(62, "the same from a server to our client: it says so and leaves")
def answers_to_client(w):
    def one(value):
        with Listening() as server:
            child = subprocess.Popen(
                [w.program("linnet"), "connect", "--deflate", "ws://127.0.0.1:%d/" % server.port],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                head = server.request()
                server.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                            b"Sec-WebSocket-Extensions: %s\r\n\r\n" %
                            (accept_of(head.one("sec-websocket-key")).encode(), value.encode()))
                out, said = child.communicate(timeout=10)
            finally:
                child.kill()
        if child.returncode != 1 or "extension" not in said or "Sanitizer" in said:
            raise Fail("left with %d, said %r" % (child.returncode, said[-300:]))
    every([(v, v) for v in [
        OFFER + "; server_max_window_bits=" + bits
        for bits in ("7", "16", "08", "15.0", "-1", "99999999999", "x")] + [
        OFFER + "; client_max_window_bits=" + bits for bits in ("7", "8", "16", "0")] + [
        OFFER + "; server_max_window_bits", OFFER + "; client_max_window_bits",
        OFFER + "; server_no_context_takeover; server_no_context_takeover",
        OFFER + "; unknown", OFFER + ", " + OFFER, "x-unknown",
        OFFER + "; server_no_context_takeover=1"]], one)


@row(64, "more windows than memory is set aside for: later connections go without")
def windows(w):
    count, peers, agreed = 10000 if w.full else 4500, [], []
    message = packed(squeeze(b"window " * 20), TEXT)
    with w.server() as server:
        with_windows = Ws(server.addr, "/echot", deflate=OFFER)
        with_windows.close()
        base = server.rss()
        try:
            for _ in range(count):
                ws = Ws(server.addr, "/echot", deflate=OFFER)
                peers.append(ws)
                agreed.append(ws.agreed is not None)
                if w.full and ws.agreed:
                    ws.send(message)
                    ws.expect("text", b"window " * 20)
            grown = server.rss() - base
        finally:
            for ws in peers:
                ws.close()
        first = agreed.index(False) if False in agreed else count
        w.note("%d of %d got windows; %d MiB" % (sum(agreed), count, grown >> 20))
        if not 500 < first < count or any(agreed[first:]):
            raise Fail("%d of %d agreed, the first refusal at %d" % (sum(agreed), count, first))
        if grown > (256 << 20) + count * 2048 and not w.asan:
            raise Fail("%d MiB" % (grown >> 20))
        server.judge()
        with Ws(server.addr, "/echot", deflate=OFFER) as ws:
            if not ws.agreed:
                raise Fail("what was freed is not given out again")


@row(65, "empty and tiny compressed messages, plain ones behind compressed ones")
def tiny(w):
    for path, _ in BOTH:
        taken(w, [
            ("no bytes", packed(b"", TEXT), codec.text("")),
            ("one 00", packed(b"\0", TEXT), codec.text("")),
            ("an empty fixed block", packed(b"\x02\x00", TEXT), codec.text("")),
            ("plain behind compressed", packed(squeeze(b"one" * 30), TEXT) + frame(TEXT, "two") +
             packed(squeeze(b"three" * 30), TEXT), codec.text("one" * 30), codec.text("two"),
             codec.text("three" * 30)),
            ("empty fragments", packed(b"", fin=False) + frame(CONT, b"", fin=False) +
             frame(CONT, squeeze(b"x" * 40)), codec.binary(b"x" * 40)),
            ("byte by byte", packed(squeeze(b"y" * 40)[:1], fin=False) + b"".join(
                frame(CONT, squeeze(b"y" * 40)[i:i + 1], fin=False)
                for i in range(1, len(squeeze(b"y" * 40)))) + frame(CONT), codec.binary(b"y" * 40)),
        ], path, deflate=OFFER)
