"""permessage-deflate as the tester speaks it (RFC 7692): reading the header,
judging an answer against the offers, and the two compressors.

zlib's own window is no witness: inflate copies from its output buffer without
asking how large the window is. So output is taken in small bites whenever less
than 32 KiB was agreed, and a distance that reaches further then fails.
"""
import re
import zlib
from typing import NamedTuple, Optional

TAIL = b"\0\0\xff\xff"
NAME = "permessage-deflate"
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
PARAM = re.compile(r'\s*(' + TOKEN + r')\s*(?:=\s*(?:(' + TOKEN + r')|"((?:[^"\\]|\\.)*)")\s*)?')
BOUNCE_MAX = 64 << 20


class Params(NamedTuple):
    server_nct: bool = False
    client_nct: bool = False
    server_bits: Optional[int] = None
    client_bits: Optional[int] = None


def parse(value):
    """A Sec-WebSocket-Extensions value as [(name, [(param, value or None)])]."""
    out = []
    for part in value.split(","):
        items = []
        for piece in part.split(";"):
            m = PARAM.fullmatch(piece)
            if not m:
                raise ValueError("bad extension syntax: %r" % value)
            quoted = m.group(3)
            items.append((m.group(1).lower(), m.group(2) if quoted is None else quoted))
        out.append((items[0][0], items[1:]))
    return out


def bits_of(text):
    if text is None or not re.fullmatch(r"[89]|1[0-5]", text):
        raise ValueError("bad window bits %r" % text)
    return int(text)


def answer_fits(params, offer):
    """Whether one offer allows this answer; raises on an answer never valid."""
    offered = dict(offer)
    seen = {}
    for name, value in params:
        if name in seen:
            raise ValueError("parameter %s twice" % name)
        seen[name] = value
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise ValueError("%s with a value" % name)
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            limit = offered.get(name)
            if bits_of(value) > (15 if limit is None else bits_of(limit)):
                return False
            if name.startswith("client") and name not in offered:
                return False
        else:
            raise ValueError("unknown parameter %s" % name)
    return all(n in seen for n in ("server_no_context_takeover", "server_max_window_bits")
               if n in offered)


def read_answer(value, offers):
    """What a server agreed to, checked against the offers (parsed)."""
    answer = parse(value)
    if len(answer) != 1 or answer[0][0] != NAME:
        raise ValueError("answer names %s" % ", ".join(a[0] for a in answer))
    params = answer[0][1]
    if not any(answer_fits(params, offer) for name, offer in offers if name == NAME):
        raise ValueError("answer %r fits none of the offers" % value)
    return to_params(params)


def to_params(params):
    d = dict(params)
    return Params("server_no_context_takeover" in d, "client_no_context_takeover" in d,
                  bits_of(d["server_max_window_bits"]) if "server_max_window_bits" in d else None,
                  bits_of(d["client_max_window_bits"]) if "client_max_window_bits" in d else None)


class Deflater:
    def __init__(self, bits, reset, level=6):
        # Raw deflate has no 256-byte window; stored blocks reach back nowhere.
        self.args = (0, zlib.DEFLATED, -9) if bits == 8 else (level, zlib.DEFLATED, -bits)
        self.reset = reset
        self.z = None

    def message(self, data):
        if self.z is None or self.reset:
            self.z = zlib.compressobj(*self.args)
        out = self.z.compress(data) + self.z.flush(zlib.Z_SYNC_FLUSH)
        return out[:-4]


class Inflater:
    def __init__(self, bits, reset):
        self.bits, self.reset = max(bits, 9), reset
        self.window = 1 << bits
        self.bite = 0 if bits >= 15 else max(128, self.window // 4)
        self.z, self.past = None, b""

    def message(self, data):
        if self.z is None or self.reset:
            self.z, self.past = zlib.decompressobj(-self.bits), b""
        try:
            out = self._run(data + TAIL)
        except zlib.error as why:
            raise ValueError(str(why)) from None
        if len(out) > BOUNCE_MAX:
            raise ValueError("inflates to over %d bytes" % BOUNCE_MAX)
        return out

    def _run(self, data):
        out, before = [], self.past
        while data:
            chunk = self.z.decompress(data, self.bite)
            out.append(chunk)
            if self.z.eof:  # a final block: go on in a fresh stream, same window
                data = self.z.unused_data
                past = (before + b"".join(out))[-self.window:]
                self.z = zlib.decompressobj(-self.bits, zdict=past)
                if data == TAIL:
                    break
            elif self.bite:
                data = self.z.unconsumed_tail
                if not data and len(chunk) == self.bite:
                    out.append(self.z.decompress(b"", 0))
            else:
                data = b""
        whole = out[0] if len(out) == 1 else b"".join(out)
        self.past = (before + whole[-self.window:])[-self.window:]
        return whole
