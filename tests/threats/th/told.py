"""What the log and the counters say of an attack: reason, code, peer, and no secret."""
from ct import codec
from ct.codec import CLOSE, CONT, PING, TEXT

from .http import client_hello
from .peer import Fail, Wire, frame, request, upgrade, wait_until
from .suite import row

MARK = "t0ps3cr3t"
POST = "POST /post?key=%s HTTP/1.1" % MARK
AUTH = "Authorization: Bearer " + MARK


def heads():
    """(reason, status, what is sent)"""
    get = "GET /n?i=%s HTTP/1.1" % MARK
    one = "Content-Length: 1"
    yield "HTTP_LINE_END", 400, request(get, AUTH).replace(b"1.1\r\n", b"1.1\n")
    yield "HTTP_FOLD", 400, request(get, AUTH, " " + MARK)
    yield "HTTP_NAME", 400, request(get, MARK + " : x")
    yield "HTTP_BYTE", 400, request(get, "A: %s\0" % MARK)
    yield "HTTP_LENGTH", 400, request(POST, one, one, AUTH, body=b"x")
    yield "HTTP_FRAMING", 400, request(POST, one, "Transfer-Encoding: chunked", AUTH)
    yield "HTTP_CODING_UNKNOWN", 501, request(POST, "Transfer-Encoding: " + MARK)
    yield "HTTP_CHUNK", 400, request(POST, AUTH, "Transfer-Encoding: chunked",
                                     body=MARK.encode() + b"\r\n")
    yield "HTTP_HOST", 400, request(get, host=MARK + "@x")
    yield "HTTP_HOST_DIFFERS", 400, request("GET http://%s/ HTTP/1.1" % MARK)
    yield "HTTP_LINE_LONG", 414, request("GET /%s HTTP/1.1" % (MARK * 500))
    yield "HTTP_HEAD_LONG", 431, request(get, "Cookie: " + MARK * 1000)
    yield "HTTP_FIELDS", 431, request(get, *["Cookie: " + MARK] * 64)
    yield "HTTP_METHOD", 501, request("%s / HTTP/1.1" % MARK.upper())
    yield "HTTP_VERSION", 505, request("GET /%s HTTP/1.2" % MARK)
    yield "HTTP_EXPECT", 417, request(POST, one, "Expect: " + MARK)
    yield "HTTP_PATH", 400, request("GET /%%00%s HTTP/1.1" % MARK)
    yield "HTTP_NOT_FOUND", 404, request("GET /%s HTTP/1.1" % MARK, AUTH)
    yield "HTTP_UPGRADE_KEY", 400, upgrade("/echo?token=" + MARK, AUTH, key=MARK)
    yield "HTTP_UPGRADE_VERSION", 426, upgrade("/echo?token=" + MARK, AUTH, version="12")
    yield "HTTP_UPGRADE_NONE", 426, upgrade("/echo?token=" + MARK, AUTH, up=None)
    yield "HTTP_UPGRADE_METHOD", 405, upgrade(line="POST /echo?token=%s HTTP/1.1" % MARK)
    yield "HTTP_UPGRADE_BODY", 400, upgrade("/echo", "Content-Length: 9", body=MARK.encode())
    for stranger in (client_hello(), b"\x05\x01\x00", b"SSH-2.0-%s\r\n" % MARK.encode(),
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /%s\r\n" % MARK.encode()):
        yield None, None, stranger


def messages():
    open_ws = upgrade("/ps?token=" + MARK, AUTH)
    for reason, code, raw in (
            ("PROTO_MASK", 1002, codec.encode(TEXT, MARK.encode())),
            ("PROTO_RSV", 1002, frame(TEXT, MARK, rsv=2)),
            ("PROTO_OPCODE", 1002, frame(3, MARK)),
            ("PROTO_LENGTH", 1002, frame(TEXT, MARK, form=16)),
            ("PROTO_CONTROL", 1002, frame(PING, MARK, fin=False)),
            ("PROTO_FRAGMENT", 1002, frame(CONT, MARK)),
            ("PROTO_CLOSE", 1002, frame(CLOSE, b"\x03\xed" + MARK.encode())),
            ("UTF8", 1007, frame(TEXT, MARK.encode() + b"\xff")),
            ("TOO_BIG", 1009, frame(TEXT, MARK, length=65537)),
            ("FRAGMENTS", 1008, frame(TEXT, MARK, fin=False) + frame(CONT, fin=False) * 1024)):
        yield reason, code, open_ws + raw


@row(17, "each refusal, of rows 1 to 46, is one line of the log: reason, code, peer, no secret")
def lines(w):
    wanted = []
    with w.server() as server:
        for reason, code, raw in (*heads(), *messages()):
            with Wire(server.addr) as wire:
                peer = "%s:%d" % wire.sock.getsockname()
                wire.send(raw)
                wire.rest()
            wanted.append({"event": "refused", "reason": reason, "code": code, "peer": peer})
        wait_until(lambda: len(server.log()) >= len(wanted), 5,
                   lambda: "%d lines for %d refusals" % (len(server.log()), len(wanted)))
        for line, want in zip(server.log(), wanted):
            got = {k: v for k, v in line.items() if k not in ("worker", "conn")}
            if not want["reason"]:  # whatever the stranger is taken for
                want = {**got, "peer": want["peer"]}
            if got != want:
                raise Fail("the log says %s, not %s" % (got, want))
        if len(server.log()) != len(wanted):
            raise Fail("%d lines for %d refusals" % (len(server.log()), len(wanted)))
        if MARK in server.words().lower():
            raise Fail("a secret came out: " + server.words()[:2000])
        reasons = server.stats()["reasons"]
        for want in wanted:
            if want["reason"] and reasons.get(want["reason"], 0) < 1:
                raise Fail("%s is not counted: %s" % (want["reason"], reasons))
