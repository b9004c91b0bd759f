"""Rows 35 to 57, and 77: frames."""
import os
import random
import re
import socket
import ssl
import threading
import time

from ct import codec
from ct.codec import BINARY, CLOSE, CONT, PING, PONG, TEXT

from .peer import Fail, Wire, frame, upgrade, wait_until
from .http import client_hello
from .suite import Listener, certificate, every, row

OPCODES = (CONT, TEXT, BINARY, CLOSE, PING, PONG)
REASONS = {1002: "PROTO_.*", 1003: "DATA_TYPE", 1007: "UTF8|DEFLATE",
           1008: "FRAGMENTS|FLOOD|MESSAGE_TIMEOUT", 1009: "TOO_BIG"}
BEHIND = frame(TEXT, "behind") + frame(PING, b"behind")


def broken(w, cases, path="/echo", behind=BEHIND, **how):
    """Each input closes with its code. The good message before it is answered, what stands
    behind it is not, and TCP ends."""
    def judge(raw, code):
        with w.ws(path, **how) as ws:
            ws.send(frame(TEXT, "before") + raw + behind)
            ws.expect("text", "before")
            ws.expect_close(code)
    refused = [code for _, _, code in cases if code in REASONS]
    with w.nothing_happens(len(refused), lambda reason: any(
            re.fullmatch(REASONS[code], reason) for code in refused)):
        every(cases, judge)


def taken(w, cases, path="/echo", **how):
    """Each input is answered with these events, and the connection goes on."""
    def judge(raw, *events):
        with w.ws(path, **how) as ws:
            ws.send(raw)
            for event in events:
                got = ws.next()
                if got != event:
                    raise Fail("wanted %s, got %s" % (event, got))
            ws.ask()
    every(cases, judge)


@row(35, "an unmasked publish: 1002, and nobody hears it")
def unmasked(w):
    with Listener(w, "t035") as listener:
        for opcode in (TEXT, BINARY):
            with w.ws("/ps") as ws:
                ws.send(codec.encode(opcode, b"=t035\nunmasked") + frame(TEXT, "=t035\nbehind"))
                ws.expect_close(1002)
            listener.silent()
        with w.ws("/ps") as ws:  # the header alone is enough
            ws.send(b"\x81\x0e")
            ws.expect_close(1002)
        listener.silent()
    broken(w, [("opcode %d" % op, codec.encode(op, b"x"), 1002) for op in OPCODES])


@row(36, "reserved bits without an extension that gives them a meaning: 1002")
def reserved(w):
    def one(opcode, rsv):
        start = frame(TEXT, "a", fin=False) if opcode == CONT else b""
        return start + frame(opcode, b"" if opcode == CLOSE else b"x", rsv=rsv)
    broken(w, [("rsv %d on opcode %d" % (rsv, op), one(op, rsv), 1002)
               for op in OPCODES for rsv in range(1, 8)])
    broken(w, [("deflate agreed, rsv %d on opcode %d" % (rsv, op), one(op, rsv), 1002)
               for op in OPCODES for rsv in range(1, 8)
               if rsv & 3 or op not in (TEXT, BINARY)], "/echoz", deflate="permessage-deflate")


@row(37, "unknown opcodes, fragmented and long control frames: 1002")
def opcodes(w):
    broken(w, [("opcode %d%s" % (op, "" if fin else ", not final"), frame(op, b"x", fin=fin), 1002)
               for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15) for fin in (True, False)])
    broken(w, [("control %d not final" % op, frame(op, b"", fin=False), 1002)
               for op in (CLOSE, PING, PONG)])
    broken(w, [("control %d of %d bytes" % (op, n), frame(op, b"\x03\xe8" + b"x" * (n - 2)), 1002)
               for op in (CLOSE, PING, PONG) for n in (126, 127, 65536)])
    broken(w, [("control %d, header alone" % op, bytes((0x80 | op, 0xfe)), 1002)
               for op in (CLOSE, PING, PONG)], behind=b"")


@row(38, "lengths not in their shortest form: 1002")
def forms(w):
    broken(w, [("%d in %d bits" % (n, form), frame(op, b"x" * n, form=form), 1002)
               for op in (TEXT, BINARY) for form, n in (
                   (16, 0), (16, 1), (16, 125), (64, 0), (64, 125), (64, 126), (64, 65535))])
    broken(w, [("ping of %d in %d bits" % (n, form), frame(PING, b"x" * n, form=form), 1002)
               for form, n in ((16, 5), (64, 5))])
    taken(w, [("%d in its shortest form" % n, frame(BINARY, b"x" * n), codec.binary(b"x" * n))
              for n in (0, 125, 126, 65535, 65536)])


@row(39, "a 64-bit length with its top bit set: 1002 from the header alone")
def top_bit(w):
    broken(w, [("%x" % n, bytes((0x80 | op, 0xff)) + n.to_bytes(8, "big"), 1002)
               for op in (TEXT, BINARY) for n in (1 << 63, (1 << 64) - 1, (1 << 63) + 5)],
           behind=b"")
    broken(w, [("%x is only too large" % n, b"\x82\xff" + n.to_bytes(8, "big") + b"mask", 1009)
               for n in ((1 << 63) - 1, 1 << 62, 1 << 32, 0xffffffff, 65537)], behind=b"")


@row(42, "over the limit, in one frame or in their sum: 1009 at the first byte that proves it")
def too_long(w):
    most = 65536
    head = frame(BINARY, b"", length=most + 1)
    broken(w, [
        ("one frame, its header alone", head, 1009),
        ("two, the second header", frame(BINARY, b"x" * 40000, fin=False) +
         frame(CONT, b"", length=most - 40000 + 1), 1009),
        ("one byte more", frame(BINARY, b"x" * most, fin=False) +
         frame(CONT, b"", length=1), 1009),
        ("many", frame(BINARY, b"x" * 1000, fin=False) + frame(CONT, b"x" * 1000, fin=False) * 64 +
         frame(CONT, b"", fin=False, length=1000), 1009),
    ], behind=b"")
    whole = os.urandom(most)
    taken(w, [
        ("exactly the limit", frame(BINARY, whole), codec.binary(whole)),
        ("in fragments", b"".join(codec.fragments(BINARY, whole, 20000, True)),
         codec.binary(whole)),
        ("and an empty last one", frame(BINARY, whole, fin=False) + frame(CONT),
         codec.binary(whole)),
    ])


@row(43, "fragments without end: 1008 behind 1,024 of them")
def endless_fragments(w):
    first, more = frame(TEXT, "x", fin=False), frame(CONT, b"x", fin=False)
    broken(w, [("1,025 of one byte", first + more * 1024, 1008),
               ("1,025 empty ones", frame(TEXT, "", fin=False) + frame(CONT, fin=False) * 1024,
                1008)])
    whole = codec.text("x" * 1024)
    taken(w, [("1,024 of one byte", first + more * 1022 + frame(CONT, b"x"), whole)])


@row(44, "64 KiB in 1,024 frames: taken")
def small_pieces(w):
    data = os.urandom(65536)
    taken(w, [("of 64 bytes", b"".join(codec.fragments(BINARY, data, 64, True)),
               codec.binary(data)),
              ("of 128 bytes", b"".join(codec.fragments(BINARY, data, 128, True)),
               codec.binary(data))])


@row(46, "control frames between fragments are answered; fragments out of order: 1002")
def order(w):
    a, b = frame(TEXT, "a", fin=False), frame(CONT, b"b")
    taken(w, [
        ("ping between", a + frame(PING, b"p") + b, codec.pong(b"p"), codec.text("ab")),
        ("many pings between", a + frame(PING, b"p") * 20 + b, *[codec.pong(b"p")] * 20,
         codec.text("ab")),
        ("pong between", a + frame(PONG, b"p") + b, codec.text("ab")),
    ])
    with w.ws() as ws:  # at once: before the message is complete
        ws.send(a + frame(PING, b"now"))
        ws.expect("pong", b"now")
        ws.send(a[:2])
    broken(w, [
        ("text inside text", a + frame(TEXT, "x"), 1002),
        ("binary inside text", a + frame(BINARY, b"x"), 1002),
        ("open text inside text", a + a, 1002),
        ("continuation without start", b, 1002),
        ("open continuation without start", frame(CONT, b"x", fin=False), 1002),
        ("continuation behind the end", a + b + b, 1002),
    ][:5])
    with w.ws() as ws:
        ws.send(a + b + b)
        ws.expect("text", "ab")
        ws.expect_close(1002)
    with w.ws() as ws:  # a Close ends it all the same
        ws.send(a + frame(CLOSE, codec.close_body(1000)) + b)
        ws.expect_close(1000)


# -- UTF-8 ----------------------------------------------------------------------------------

def is_utf8(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def sequences():
    """Two to four bytes around every border that UTF-8 has."""
    edges = (0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff)
    leads = (0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
             0xf3, 0xf4, 0xf5, 0xf8, 0xfc, 0xfe, 0xff)
    for lead in leads:
        for second in edges:
            yield bytes((lead, second))
            if lead >= 0xe0:
                for third in (0x7f, 0x80, 0xbf, 0xc0):
                    yield bytes((lead, second, third))
                    if lead >= 0xf0 and third in (0x80, 0xbf):
                        for fourth in (0x7f, 0x80, 0xbf, 0xc0):
                            yield bytes((lead, second, third, fourth))


@row(47, "text that is not UTF-8: 1007")
def bad_text(w):
    chance = random.Random(47)
    bad = [s for s in sequences() if not is_utf8(s)]
    if not w.full:
        bad = chance.sample(bad, 250)
    broken(w, [(s.hex(), frame(TEXT, b"ab" + s + b"cd"), 1007) for s in bad], behind=b"")


@row(47, "cut at every byte by fragments and segments: 1007 no later than the bad byte's frame")
def bad_text_cut(w):
    for text in (b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited", b"abc\xf0\x9f\x98\x80\xff and more",
                 b"\xf4\x90\x80\x80", b"\xc0\xafx", b"ok \xe2\x28\xa1"):
        at = next(n for n in range(1, len(text) + 1) if not extends(text[:n]))
        for cut in range(at + 1):  # `at` bytes prove it
            with w.ws() as ws:  # the message stays open, the frame too
                ws.send(frame(TEXT, text[:cut], fin=False))
                piece = frame(CONT, text[cut:at] + b"z" * 100, fin=False)
                ws.send(piece if cut < at else frame(CONT, b"", fin=False))
                ws.send(piece[:6 + at - cut] if cut < at else b"")
                ws.expect_close(1007)
            with w.ws() as ws:  # one frame in two segments, never complete
                raw = frame(TEXT, text + b"z" * 100)
                ws.send(raw[:6 + cut])
                time.sleep(0.0005)
                ws.send(raw[6 + cut:6 + at])
                ws.expect_close(1007)


def extends(data):
    """Whether some text begins with these bytes."""
    return any(is_utf8(data + tail) for tail in
               (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80",
                b"\x90", b"\xa0"))


@row(48, "odd but valid text is taken; text that ends inside a character: 1007")
def odd_text(w):
    good = ["\0", "a\0b", "\ufffe", "\uffff", "\ufeffbom", "\U0010ffff", "\U0001f600", "\ud7ff",
            "\ue000", "\x7f", "\u0080", "\u07ff", "\u0800", "\ufdd0", "\U00010000", ""]
    cases = [(repr(t), frame(TEXT, t), codec.text(t)) for t in good]
    for t in good:
        data = ("x" + t + "y").encode()
        for cut in range(len(data) + 1):
            cases.append(("%r cut at %d" % (t, cut), frame(TEXT, data[:cut], fin=False) +
                          frame(CONT, data[cut:]), codec.text(data)))
    valid = [s for s in sequences() if is_utf8(s)]
    cases.append(("every border", b"".join(frame(TEXT, s) for s in valid),
                  *[codec.text(s) for s in valid]))
    taken(w, cases)
    broken(w, [(s.hex(), frame(TEXT, b"a" + s), 1007) for s in (
        b"\xc2", b"\xe1", b"\xe1\x80", b"\xf1", b"\xf1\x80", b"\xf1\x80\x80")] +
        [(s.hex() + " in the last fragment", frame(TEXT, "a", fin=False) + frame(CONT, s), 1007)
         for s in (b"\xc2", b"\xe1\x80", b"\xf1\x80\x80")])


# -- closing --------------------------------------------------------------------------------

def close_answer(w, code, reason=b""):
    """What a Close behind the handshake is answered with, and nothing else before TCP ends."""
    with w.wire() as wire:
        wire.send(upgrade("/echo") + frame(CLOSE, code.to_bytes(2, "big") + reason) + BEHIND)
        raw = wire.rest()
        events = codec.Parser(False).feed(raw.partition(b"\r\n\r\n")[2])
        if len(events) != 1 or events[0].kind != "close" or not wire.ended:
            raise Fail("answered %s, then %s" % ([str(e) for e in events], wire.ended))
        return events[0].code


@row(49, "Close: codes that may not travel 1002, others echoed; bad bodies")
def codes(w):
    chosen = range(65536) if w.full else [
        *range(0, 20), *range(990, 1030), *range(1095, 1105), *range(1995, 2005),
        *range(2990, 3010), *range(3990, 4010), *range(4990, 5010), *range(1100, 65536, 211), 65535]
    wrong = []
    for code in chosen:
        want = code if codec.code_may_travel(code) else 1002
        got = close_answer(w, code)
        if got != want:
            wrong.append("%d is answered %s" % (code, got))
    if wrong:
        raise Fail("\n".join(wrong))
    broken(w, [
        ("one byte", frame(CLOSE, b"\x03"), 1002),
        ("reason of 124", frame(CLOSE, codec.close_body(1000, b"x" * 124)), 1002),
        ("reason not UTF-8", frame(CLOSE, codec.close_body(1000, b"\xff")), 1007),
        ("reason cut inside a character", frame(CLOSE, codec.close_body(1000, b"\xe1\x80")), 1007),
        ("reason a surrogate", frame(CLOSE, codec.close_body(1000, b"\xed\xa0\x80")), 1007),
        ("reason of 123", frame(CLOSE, codec.close_body(1000, b"x" * 123)), 1000),
        ("no code", frame(CLOSE), None),
    ])


@row(50, "data and a second Close behind a Close: ignored")
def behind_close(w):
    with Listener(w, "t050") as listener:
        with w.ws("/ps") as ws:
            ws.send(frame(CLOSE, codec.close_body(1000)) + frame(TEXT, "=t050\nlate") +
                    frame(CLOSE, codec.close_body(1001)) + codec.encode(TEXT, b"unmasked"))
            ws.expect_close(1000)
        with w.ws("/ps") as ws:  # and in segments of their own
            ws.put(CLOSE, codec.close_body(1000))
            ws.expect("close")
            ws.send(frame(TEXT, "=t050\nlate"))
            ws.expect_end()
        listener.silent()


# -- control frames ---------------------------------------------------------------------------

@row(52, "a burst of pings is answered, a flood of them: 1008")
def pings(w):
    with w.ws() as ws:
        ws.send(b"".join(frame(PING, b"%d" % i * 20) for i in range(240)))  # 50/s, for 5 s
        got = ws.next()
        while got and got.kind == "pong" and got.data != b"239" * 20:
            got = ws.next()
        if not got or got.kind != "pong":
            raise Fail("the last ping was answered with %s" % (got,))
        ws.ask()
    flood(w, frame(PING, b"x" * 125) * 100)


def flood(w, piece, path="/echo"):
    """Sends until it is cut off; pongs are read meanwhile. At most ten seconds."""
    with w.ws(path) as ws:
        stop = threading.Event()

        def send():
            while not stop.is_set() and ws.sock.fileno() >= 0:
                try:
                    ws.sock.sendall(piece)
                except OSError:
                    return
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            got, end = ws.next(), time.monotonic() + 10
            while got and got.kind == "pong" and time.monotonic() < end:
                got = ws.next()
            if not got or got.kind != "close" or got.code != 1008:
                raise Fail("a flood is answered with %s" % (got,))
        finally:
            stop.set()
            ws.close()
            sender.join()


@row(54, "unsolicited pongs are ignored and prove nothing; a flood of them: 1008")
def pongs(w):
    before = w.stats()["rtts"]
    with w.ws() as ws:
        ws.send(b"".join(frame(PONG, os.urandom(4)) for _ in range(100)) + frame(PONG) +
                frame(PONG, b"x" * 125))
        ws.ask()
    if w.stats()["rtts"] != before:
        raise Fail("a pong that answers no ping gave a round-trip time")
    flood(w, frame(PONG, b"x" * 125) * 100)


@row(56, "every mask, alignment and length: the payload is exact")
def masks(w):
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x80\x7f\xfe"):
        with w.ws() as ws:
            data = [os.urandom(n) for shift in range(8) for n in (shift, *range(131))]
            sender = threading.Thread(target=ws.send, args=(
                b"".join(frame(BINARY, d, mask=mask) for d in data),))
            sender.start()
            for d in data:
                ws.expect("binary", d)
            sender.join()


# -- connections that just end -----------------------------------------------------------------

def leave(wire, how):
    if how == "reset":
        wire.reset()
    elif how == "finish":
        wire.close()
    else:  # half: the server's side must end too
        wire.sock.shutdown(socket.SHUT_WR)
        wire.rest(5)
        ended = wire.ended
        wire.close()
        if not ended:
            raise Fail("half a connection is kept")


STAGES = {
    "nothing": b"", "half a head": upgrade()[:40], "a head": upgrade(),
    "half a frame": upgrade() + frame(TEXT, "hello")[:8],
    "an open message": upgrade() + frame(TEXT, "hello", fin=False),
    "half a large frame": upgrade() + frame(BINARY, b"x" * 60000)[:40000],
    "a body half": b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    "a subscriber": upgrade("/ps") + frame(TEXT, "+t057"),
}


def all_closed(w, server, before):
    """As many on_close as on_open since `before`, within a second, and no descriptor is kept."""
    wait_until(lambda: server.fds() <= server.fds_before, 1,
               lambda: "%d descriptors, %d before" % (server.fds(), server.fds_before))

    def even():
        now = server.stats()
        return now["opens"] - before["opens"] == now["closes"] - before["closes"]
    wait_until(even, 1, lambda: "opened, not closed: %s" % server.stats())


@row(57, "reset, finished and half closed at every stage: one on_close each, nothing is kept")
def leaving(w):
    before = w.stats()
    for stage, raw in STAGES.items():
        for how in ("reset", "finish", "half"):
            for _ in range(420 if w.full else 12):  # 10,000 in all
                wire = w.wire()
                wire.send(raw)
                try:
                    leave(wire, how)
                except Fail as why:
                    raise Fail("%s, %s: %s" % (stage, how, why)) from None
    all_closed(w, w.shared, before)


class TlsPeer(Wire):
    """TLS by hand, so that a record can be cut."""

    def __init__(self, addr):
        super().__init__(addr)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out)

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.send(self.out.read())
                return
            except ssl.SSLWantReadError:
                self.send(self.out.read())
                self.into.write(self.some() or b"")

    def record(self, data):
        self.tls.write(data)
        return self.out.read()


@row(57, "the same inside TLS handshakes and records")
def leaving_tls(w):
    where, cert, key = certificate()
    with where, w.server("--tls-cert", cert, "--tls-key", key, tls=True) as server:
        before, frames = server.stats(), upgrade() + frame(TEXT, "hello")
        for how in ("reset", "finish", "half"):
            for stage in range(6):
                for _ in range(50 if w.full else 4):
                    peer = TlsPeer(server.addr)
                    if stage == 0:
                        peer.send(client_hello()[:100])
                    elif stage == 1:
                        peer.send(client_hello())
                    else:
                        peer.handshake()
                        raw = peer.record(frames)
                        peer.send(raw[:(0, 3, len(raw) // 2, len(raw))[stage - 2]])
                    leave(peer, how)
        all_closed(w, server, before)


# -- many ----------------------------------------------------------------------------------------

@row(77, "a flood of tiny messages from a slow reader: all are answered")
def tiny_flood(w):
    count = 150000
    with w.ws(rcvbuf=8192) as ws:
        raw = frame(BINARY, b"x") * 5000

        def send():
            for _ in range(count // 5000):
                ws.send(raw)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        time.sleep(0.3)  # all buffers on the way fill
        seen = 0
        while seen < count * 3:
            got = ws.some()
            if not got:
                raise Fail("%s after %d of %d answers" %
                           ("silence" if got is None else "end", seen // 3, count))
            seen += len(got)
        sender.join()
