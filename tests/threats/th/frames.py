"""Rows 35 to 57: frames."""
import threading
import time

from ct import codec

from .peer import Fail, Ws, frame
from .suite import row

@row(77, "a flood of tiny messages from a slow reader: all are answered")
def tiny_flood(w):
    count = 150000
    with w.ws(rcvbuf=8192) as ws:
        raw = frame(codec.BINARY, b"x") * 5000
        sender = threading.Thread(target=lambda: [ws.sock.send(raw[i:]) and None for i in ()])
        def send():
            for _ in range(count // 5000):
                ws.sock.sendall(raw)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        time.sleep(0.3)  # all buffers on the way fill
        seen, end = 0, time.monotonic() + 20
        data = bytearray()
        while seen < count * 3 and time.monotonic() < end:
            ws.sock.settimeout(5)
            try:
                got = ws.sock.recv(65536)
            except TimeoutError:
                raise Fail("silence after %d of %d answers" % (seen // 3, count)) from None
            if not got:
                raise Fail("end after %d of %d answers" % (seen // 3, count))
            seen += len(got)
