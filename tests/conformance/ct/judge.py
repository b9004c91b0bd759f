"""Verdicts, and the two ways a case can end: cleanly, or failed by the testee.

Behaviour (what came back) and closing (how the connection ended) are judged
apart, in the words of docs: OK, NON-STRICT, INFORMATIONAL, UNIMPLEMENTED and
FAILED; OK, WRONG CODE, UNCLEAN, FAILED and FAILED BY CLIENT.
"""
import asyncio

from .codec import brief

OK, NON_STRICT, INFORMATIONAL = "OK", "NON-STRICT", "INFORMATIONAL"
UNIMPLEMENTED, FAILED, SKIPPED = "UNIMPLEMENTED", "FAILED", "SKIPPED"
WRONG_CODE, UNCLEAN, FAILED_BY_CLIENT = "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT"

NONE = None  # in lists of close codes: an empty close body


class Stop(Exception):
    """Ends a case with what was wanted and what came."""

    def __init__(self, want, got, behaviour=FAILED, closing=OK):
        super().__init__(want)
        self.want, self.got, self.behaviour, self.closing = want, got, behaviour, closing


class Result:
    def __init__(self, case):
        self.case = case
        self.behaviour, self.closing = OK, OK
        self.want = self.got = ""
        self.seconds = 0.0

    def stopped(self, stop):
        self.behaviour, self.closing = stop.behaviour, stop.closing
        self.want, self.got = stop.want, stop.got

    def passed(self, lenient):
        good = {OK, INFORMATIONAL, SKIPPED} | ({NON_STRICT, UNIMPLEMENTED} if lenient else set())
        return self.behaviour in good and self.closing in (OK, INFORMATIONAL)

    def row(self):
        return {"id": self.case.id, "title": self.case.title, "behaviour": self.behaviour,
                "closing": self.closing, "expected": self.want, "got": self.got,
                "ms": round(self.seconds * 1000)}


def words(events):
    return "; ".join(str(e) for e in events[:6]) + (" ..." if len(events) > 6 else "") \
        if events else "nothing"


def codes_words(codes):
    return "/".join("empty" if c is NONE else str(c) for c in codes)


def first_difference(want, got):
    """Large payloads that differ deserve more than two equal beginnings."""
    if want.kind != got.kind or len(want.data) != len(got.data):
        return ""
    at = next(i for i, (a, b) in enumerate(zip(want.data, got.data)) if a != b)
    return " (first difference at byte %d: %s)" % (at, brief(got.data[at:at + 8]))


class Judge:
    """Mixed into a Trial: needs self.testee, self.result, self.scale."""

    async def receive(self, c, want, limit=None):
        """The events that must come next, no others."""
        got = []
        for i, expected in enumerate(want):
            e = await c.next((limit or 10) * self.scale)
            if e is None:
                raise Stop(words(want), "%s, then silence" % words(got))
            got.append(e)
            if e != expected:
                raise Stop(words(want[i:]), words(got[i:]) + first_difference(expected, e))

    async def clean(self, c, want=(), send_close=True, codes=(1000, NONE), limit=None):
        """Wanted events, then a clean close handshake and the end of TCP."""
        await self.receive(c, want, limit)
        if send_close:
            c.close(1000)
        e = await c.next((limit or 5) * self.scale)
        wanted = "close %s" % codes_words(codes)
        if e is None:
            raise Stop(wanted, "silence", OK if want else FAILED, FAILED)
        if e.kind == "drop":
            raise Stop(wanted, str(e), OK, UNCLEAN)
        if e.kind != "close":
            raise Stop(wanted, str(e), FAILED)
        if e.code not in codes:
            raise Stop(wanted, str(e), OK, WRONG_CODE)
        await self.ended(c)

    async def ended(self, c):
        """After the close handshake: a server drops TCP first and at once; for
        a client the tester does it."""
        if self.testee == "client":
            stray = await c.next(0.001)
            if stray is not None and stray.kind not in ("drop",):
                raise Stop("nothing after close", str(stray))
            c.finish()
            await self.gone(c)
            return
        e = await c.next(1.0 * self.scale)
        if e is None:
            raise Stop("TCP dropped within 1 s of the close handshake",
                       "the connection stayed open", OK, FAILED_BY_CLIENT)
        if e.kind != "drop":
            raise Stop("nothing after close", str(e))

    async def fails(self, c, codes, want=(), lenient=None, must_close=False, limit=None):
        """The testee sends `want`, then fails the connection with one of the
        codes (or by dropping TCP) and answers nothing more."""
        got, e = [], None
        while True:
            e = await c.next((limit or 1.5) * self.scale)
            if e is None or e.kind in ("close", "drop"):
                break
            got.append(e)
            if e.kind == "bad" or len(got) > len(want) + 4:
                break
        wanted = "%sclose %s" % (words(want) + "; " if want else "", codes_words(codes))
        came = words(got + [e]) if e else words(got) + ", connection still open"
        if e is None or e.kind not in ("close", "drop"):
            raise Stop(wanted, came)
        if got != list(want):
            if lenient is None or got != list(lenient):
                raise Stop(wanted, came)
            self.result.behaviour = NON_STRICT
            self.result.want, self.result.got = wanted, came
        if e.kind == "drop":
            if must_close:
                raise Stop(wanted, came, OK, UNCLEAN)
            return
        if e.code not in codes and not (e.code is NONE and not must_close):
            raise Stop(wanted, came, OK, WRONG_CODE)
        await self.after_failure(c, e)

    async def after_failure(self, c, e):
        if not c.sent_close:
            c.close(e.code, b"")
        await self.ended(c)

    async def batch(self, rows, attempt, width=32):
        """Runs attempt(row) for many rows at a time; reports the first few that
        went wrong, and how many did."""
        gate = asyncio.Semaphore(width)
        wrong = []

        async def one(row):
            async with gate:
                try:
                    await attempt(row)
                except Stop as stop:
                    wrong.append((row, stop))

        await asyncio.gather(*(one(row) for row in rows))
        if wrong:
            wrong.sort(key=lambda w: str(w[0]))
            name = lambda row: row[0] if isinstance(row, tuple) else row
            shown = wrong[:3]
            raise Stop("; ".join("[%s] %s" % (name(r), s.want) for r, s in shown),
                       "; ".join("[%s] %s" % (name(r), s.got) for r, s in shown) +
                       " (%d of %d rows wrong)" % (len(wrong), len(rows)),
                       max((s.behaviour for _, s in wrong), key=lambda b: b == FAILED),
                       shown[0][1].closing)
