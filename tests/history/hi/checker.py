"""The rules of ../README.md over a stream of lines; what is kept grows with publications and
subscriptions, not with what subscribers hear."""
import bisect
import gc
import json
import re
import time

# Nine lines of ten; a pattern reads them in half the time that JSON takes.
HEARD = re.compile(r'\{"t":\d+,"p":"([^"\\]*)","op":"recv","ch":"([^"\\]*)",'
                   r'(?:"epoch":"([^"\\]*)","off":(\d+),)?"key":"([^"\\]*)"\}\s*$')
CONCLUSIVE_ACKED = 10000
CONCLUSIVE_UNKNOWN = 0.05


class Epoch:
    """One life of a channel's log, as far as anybody knows."""
    __slots__ = ("name", "values", "read", "life", "seen", "clashes")

    def __init__(self, name):
        self.name, self.values, self.life, self.seen = name, {}, None, 0
        self.read = None  # offsets of the final read
        self.clashes = None  # other keys that stood at an offset


class Channel:
    __slots__ = ("name", "live", "count", "epochs", "lives", "may", "head", "here", "lists")

    def __init__(self, name, live, count):
        self.name, self.live, self.count = name, live, count
        self.epochs, self.lives = {}, {}
        self.may = self.head = None
        self.here, self.lists = None, []


class Seat:
    """One subscription, through all connections of its client."""
    __slots__ = ("log", "last", "holes", "start", "here", "left", "numbers", "heard", "members")

    def __init__(self, log, last):
        self.log, self.last, self.start = log, last, last
        self.holes = None    # [first, last] of what it has not heard
        self.here = True     # there was a sub_ok since the last open
        self.left = None     # epochs that it was in before
        self.numbers = None  # class live: connection of a publisher -> last number
        self.heard = None    # class live: keys
        self.members = None  # presence: who is there, as it was told


class Person:
    __slots__ = ("seats", "open", "since", "asked")

    def __init__(self):
        self.seats, self.asked = {}, {}
        self.open = None  # None: has no connections at all
        self.since = 0


class Checker:
    def __init__(self):
        self.people, self.channels = {}, {}
        self.sent, self.again = {}, set()   # key -> channel; those said more than once,
        self.loose = set()                  # and not each time with a seq
        self.failed, self.acked_beyond = {}, {}
        self.dying, self.dead = [], []
        self.kinds, self.done, self.wanted = [], set(), None
        self.least, self.unknown = CONCLUSIVE_ACKED, CONCLUSIVE_UNKNOWN
        self.found, self.events = {}, 0
        self.counts = {"acked": 0, "failed": 0, "unknown": 0, "heard": 0, "skips": 0,
                       "recovered": 0, "lost": 0, "fresh": 0}
        self.unsaid = set()   # live: keys heard, to be looked for at the end
        self.singles = []     # live: out of order, unless one of these keys is loose
        self.do = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("op_")}

    # -- feeding ---------------------------------------------------------------------------------

    def feed(self, lines):
        parse, do, count, heard, short = json.JSONDecoder().raw_decode, self.do, 0, self.heard, HEARD.match
        for line in lines:
            count += 1
            if m := short(line):
                p, ch, epoch, off, key = m.groups()
                heard(p, ch, key, epoch, off and int(off))
                continue
            e, end = parse(line)
            if len(line) - end > 1:  # the end of the line
                raise ValueError("more behind %s" % line[:end])
            op = do.get(e["op"])
            if op:
                op(e)
        self.events += count

    def wrong(self, name, ch, p, words):
        self.found.setdefault((name, ch, p), words)

    def channel(self, name):
        ch = self.channels.get(name)
        if ch is None:
            kind = next((k for k in self.kinds if name.startswith(k["prefix"])), {})
            ch = Channel(name, kind.get("class") == "live", kind.get("count"))
            self.channels[name] = ch
        return ch

    @staticmethod
    def epoch(ch, name):
        e = ch.epochs.get(name)
        if e is None:
            e = ch.epochs[name] = Epoch(name)
        return e

    def person(self, name):
        p = self.people.get(name)
        if p is None:
            p = self.people[name] = Person()
        return p

    # -- the run ---------------------------------------------------------------------------------

    def op_run(self, e):
        self.kinds = e["channels"]
        self.wanted = e.get("faults", [])
        self.least, self.unknown = e.get("least", CONCLUSIVE_ACKED), e.get("unknown", CONCLUSIVE_UNKNOWN)

    def op_dying(self, e):
        bisect.insort(self.dying, e["t"])

    def op_dead(self, e):
        bisect.insort(self.dead, e["t"])

    def op_fault(self, e):
        self.done.add(e["kind"])

    def op_may(self, e):
        ch = self.channel(e["ch"])
        ch.may = ch.may or set()
        ch.may.add(e["p"])

    # -- connections -----------------------------------------------------------------------------

    def op_open(self, e):
        p = self.person(e["p"])
        if p.open:
            self.wrong("late-callback", "", e["p"], "opens what is open")
        p.open, p.since = True, e["since"]
        for seat in p.seats.values():
            seat.here = False

    def op_close(self, e):
        p = self.person(e["p"])
        if not p.open:
            self.wrong("late-callback", "", e["p"], "closes what is not open")
        p.open = False

    def proves(self, since, t):
        """Which life of the node said something between these times; None: not certain."""
        n = bisect.bisect_right(self.dying, t)
        return n if bisect.bisect_right(self.dead, since) == n else None

    def belongs(self, ch, log, since, t, p):
        life = self.proves(since, t)
        if life is None:
            return
        if log.life is None:
            log.life = life
        elif log.life != life:
            self.wrong("epoch-lie", ch.name, p, "%s in lives %s and %s" % (log.name, log.life, life))
        other = ch.lives.setdefault(life, log.name)
        if other != log.name:
            self.wrong("epoch-lie", ch.name, p, "%s and %s in life %s" % (other, log.name, life))

    # -- subscriptions ---------------------------------------------------------------------------

    def op_sub(self, e):
        if "off" in e:
            self.person(e["p"]).asked[e["ch"]] = e["off"]

    def op_sub_ok(self, e):
        name, p, ch = e["p"], self.person(e["p"]), self.channel(e["ch"])
        if p.open is False:
            self.wrong("late-callback", ch.name, name, "sub_ok")
            return
        if ch.may is not None and name not in ch.may:
            self.wrong("leak", ch.name, name, "sub_ok")
        seat = p.seats.get(ch.name)
        if ch.live or "epoch" not in e:
            p.seats[ch.name] = Seat(None, 0)
            self.counts["fresh"] += 1
            return
        log, off, recovered = self.epoch(ch, e["epoch"]), e["off"], e.get("recovered")
        log.seen = max(log.seen, off)
        self.belongs(ch, log, p.since, e["t"], name)
        self.counts["recovered" if recovered else "fresh" if recovered is None else "lost"] += 1
        if recovered:
            if seat is None:
                p.seats[ch.name] = Seat(log, p.asked.get(ch.name, off))
                return
            if seat.log is not log:
                self.wrong("epoch-lie", ch.name, name, "recovered in %s, was in %s" %
                           (log.name, seat.log and seat.log.name))
            elif off < seat.last:
                self.wrong("epoch-lie", ch.name, name, "recovered at %d, was at %d" % (off, seat.last))
            else:
                seat.here = True
                return
        elif seat is not None and seat.log is log and off < seat.last:
            self.wrong("epoch-lie", ch.name, name, "stands at %d, was at %d" % (off, seat.last))
        if seat is not None and seat.left and log.name in seat.left:
            self.wrong("epoch-lie", ch.name, name, "back in %s" % log.name)
        new = p.seats[ch.name] = Seat(log, off)
        if seat is not None:
            new.left = seat.left
            if seat.log is not None and seat.log is not log:
                new.left = new.left or set()
                new.left.add(seat.log.name)

    def op_unsub(self, e):
        p = self.person(e["p"])
        if p.open is False:
            self.wrong("late-callback", e["ch"], e["p"], "unsub")
            return
        p.seats.pop(e["ch"], None)

    def seat_of(self, p, ch, op):
        """Where this was heard; None: nowhere, which is told."""
        person = self.people.get(p)
        if person is None or person.open is False:
            self.wrong("late-callback", ch, p, "%s without a connection" % op)
            return None
        seat = person.seats.get(ch)
        if seat is None or not seat.here:
            self.wrong("late-callback", ch, p, "%s without a subscription" % op)
            return None
        return seat

    def op_recv(self, e):
        self.heard(e["p"], e["ch"], e["key"], e.get("epoch"), e.get("off"))

    def heard(self, p, name, key, epoch, off):
        self.counts["heard"] += 1
        ch = self.channels.get(name) or self.channel(name)
        if ch.may is not None and p not in ch.may:
            self.wrong("leak", name, p, key)
        seat = self.seat_of(p, name, "recv")
        if seat is None:
            return
        if off is None or seat.log is None:
            self.heard_live(p, ch, seat, key)
            return
        log, last = seat.log, seat.last
        if epoch != log.name:
            self.wrong("epoch-lie", name, p, "hears %s in %s" % (epoch, log.name))
            return
        if off == last + 1:
            seat.last = off
        elif off > last:
            self.wrong("silent-gap", name, p, "%d, then %d" % (last, off))
            self.leave_out(seat, last + 1, off - 1)
            seat.last = off
        else:
            self.went_back(ch, seat, p, off)
        known = log.values.get(off)
        if known is None:
            log.values[off] = key
        elif known != key:
            self.clash(ch, log, off, key, p)

    @staticmethod
    def leave_out(seat, first, last):
        seat.holes = seat.holes or []
        seat.holes.append([first, last])

    def went_back(self, ch, seat, p, off):
        had = off > seat.start and not any(a <= off <= b for a, b in seat.holes or ())
        self.wrong("duplicate" if had else "nonmonotonic", ch.name, p, "%d after %d" % (off, seat.last))

    def clash(self, ch, log, off, key, p):
        self.wrong("inconsistent-offsets", ch.name, p,
                   "%s at %d of %s, and %s" % (log.values[off], off, log.name, key))
        log.clashes = log.clashes or set()
        log.clashes.add(key)

    def heard_live(self, p, ch, seat, key):
        who, _, number = key.rpartition(":")
        self.unsaid.add((ch.name, key))
        if not who:
            return
        if seat.heard is None:
            seat.heard, seat.numbers = set(), {}
        number, before = int(number), seat.numbers.get(who, -1)
        if key in seat.heard:
            self.wrong("duplicate", ch.name, p, key)
        elif number < before:
            self.singles.append((ch.name, p, key, "%s:%d" % (who, before)))
        else:
            seat.numbers[who] = number
        seat.heard.add(key)

    def op_skip(self, e):
        self.counts["skips"] += 1
        ch = self.channel(e["ch"])
        if ch.may is not None and e["p"] not in ch.may:
            self.wrong("leak", ch.name, e["p"], "skip")
        seat = self.seat_of(e["p"], e["ch"], e["op"])
        if seat is None:
            return
        if seat.log is None or e["epoch"] != seat.log.name:
            self.wrong("epoch-lie", ch.name, e["p"], "skips in %s" % e["epoch"])
            return
        off, n = e["off"], e["n"]
        if off <= seat.last:
            self.wrong("nonmonotonic", ch.name, e["p"], "skips %d after %d" % (off, seat.last))
            return
        if off - n > seat.last:
            self.wrong("silent-gap", ch.name, e["p"], "%d, then skips %d to %d" % (seat.last, n, off))
        self.leave_out(seat, seat.last + 1, off)
        seat.last = off
        seat.log.seen = max(seat.log.seen, off)

    # -- publications ----------------------------------------------------------------------------

    def op_pub(self, e):
        key = e["key"]
        if key in self.sent:
            self.again.add(key)
            if "seq" not in e:
                self.loose.add(key)
        else:
            self.sent[key] = self.channel(e["ch"]).name
        p = self.person(e["p"])
        if p.open is None:
            p.asked[key] = e["t"]

    def op_pub_ok(self, e):
        self.counts["acked"] += 1
        p, ch = self.person(e["p"]), self.channel(e["ch"])
        since = p.asked.pop(e["key"], None) if p.open is None else None
        if "off" not in e:
            return
        log, off, key = self.epoch(ch, e["epoch"]), e["off"], e["key"]
        if since is not None:
            self.belongs(ch, log, since, e["t"], e["p"])
        known = log.values.get(off)
        if known is None:
            log.values[off] = key
        elif known != key:
            self.clash(ch, log, off, key, e["p"])

    def op_pub_fail(self, e):
        self.counts["failed"] += 1
        self.failed[e["key"]] = (e["ch"], e["p"])

    def op_pub_unknown(self, e):
        self.counts["unknown"] += 1

    # -- the end ---------------------------------------------------------------------------------

    def op_hist(self, e):
        ch = self.channel(e["ch"])
        log, off = self.epoch(ch, e["epoch"]), e["off"]
        log.read = log.read if log.read is not None else set()
        log.read.add(off)
        known = log.values.get(off)
        if known is None:
            log.values[off] = e["key"]
        elif known != e["key"]:
            self.clash(ch, log, off, e["key"], e["p"])

    def op_head(self, e):
        ch = self.channel(e["ch"])
        self.epoch(ch, e["epoch"])
        ch.head = e

    def op_pres(self, e):
        if e.get("final"):
            self.channel(e["ch"]).lists.append((e["p"], set(e["members"])))
            return
        seat = self.seat_of(e["p"], e["ch"], e["op"])
        if seat is not None:
            seat.members = set(e["members"])

    def op_join(self, e):
        seat = self.seat_of(e["p"], e["ch"], e["op"])
        if seat is None or seat.members is None:
            return
        if e["m"] in seat.members:
            self.wrong("presence-drift", e["ch"], e["p"], "%s joins twice" % e["m"])
        seat.members.add(e["m"])

    def op_leave(self, e):
        seat = self.seat_of(e["p"], e["ch"], e["op"])
        if seat is None or seat.members is None:
            return
        if e["m"] not in seat.members:
            self.wrong("presence-drift", e["ch"], e["p"], "%s leaves twice" % e["m"])
        seat.members.discard(e["m"])

    def op_here(self, e):
        ch = self.channel(e["ch"])
        ch.here = ch.here if ch.here is not None else set()
        ch.here.add(e["client"])

    def finish(self):
        heard_failed = set()
        for ch in self.channels.values():
            for log in ch.epochs.values():
                self.judge_log(ch, log, heard_failed)
            if ch.head is not None:
                self.judge_head(ch, ch.head)
        for key in heard_failed:
            self.wrong("false-fail", *self.failed[key], key)
        for ch, key in self.unsaid:
            if self.sent.get(key) != ch:
                self.wrong("phantom", ch, "", repr(key))
            if key in self.failed and key not in self.again:
                self.wrong("false-fail", *self.failed[key], key)
        for ch, p, *keys in self.singles:
            if not self.loose.intersection(keys):
                self.wrong("reorder", ch, p, "%s after %s" % tuple(keys))
        for name, p in self.people.items():
            self.judge_seats(name, p)
        for ch in self.channels.values():
            for p, members in ch.lists:
                self.judge_list(ch, p, members)

    def judge_log(self, ch, log, heard_failed):
        numbers, keys, sent, again, loose = {}, set(), self.sent, self.again, self.loose
        order = log.values if list(log.values) == sorted(log.values) else sorted(log.values)
        for off in order:
            key = log.values[off]
            if sent.get(key) != ch.name:
                self.wrong("phantom", ch.name, "", "%r at %d" % (key, off))
                continue
            if key in keys:
                self.wrong("double-idem", ch.name, "", "%s at %d too" % (key, off))
            keys.add(key)
            if key in loose:
                continue
            if key in self.failed and key not in again:
                heard_failed.add(key)
            who, _, number = key.rpartition(":")
            number = int(number)
            if numbers.get(who, -1) > number:
                self.wrong("reorder", ch.name, "", "%s:%d, then %s" % (who, numbers[who], key))
            numbers[who] = number
        for key in log.clashes or ():
            if sent.get(key) != ch.name:
                self.wrong("phantom", ch.name, "", repr(key))
            elif key in keys:
                self.wrong("double-idem", ch.name, "", "%s at another offset too" % key)
            if key in self.failed and key not in again:
                heard_failed.add(key)

    def judge_head(self, ch, head):
        log, off, first = ch.epochs[head["epoch"]], head["off"], head["first"]
        read = log.read or set()
        if off - first + 1 > len(read):
            missing = next(o for o in range(first, off + 1) if o not in read)
            self.wrong("lost-write", ch.name, "", "%s:%d" % (log.name, missing))
        if ch.count and first > 1 and first > off - ch.count + 1:
            self.wrong("lost-write", ch.name, "", "begins with %d of %d" % (first, off))
        beyond = max(log.values, default=0)
        if max(beyond, log.seen) > off:
            self.wrong("epoch-lie", ch.name, "", "ends with %d, was at %d" % (off, max(beyond, log.seen)))
            if beyond > off:
                self.wrong("lost-write", ch.name, "", "%s:%d" % (log.name, beyond))

    def judge_seats(self, name, p):
        if not p.open:
            return
        for at, seat in p.seats.items():
            ch = self.channels[at]
            if not seat.here:
                continue
            if ch.head is not None and seat.log is not None:
                if seat.log.name != ch.head["epoch"] or seat.last < ch.head["off"]:
                    self.wrong("stuck", at, name, "at %s:%d of %s:%d" % (
                        seat.log.name, seat.last, ch.head["epoch"], ch.head["off"]))
            if seat.members is not None:
                self.judge_list(ch, name, seat.members)

    def judge_list(self, ch, p, members):
        if ch.here is None:
            return
        if lacks := ch.here - members:
            self.wrong("presence-drift", ch.name, p, "lacks %s" % sorted(lacks)[:3])
        if dead := members - ch.here:
            self.wrong("ghost", ch.name, p, "names %s" % sorted(dead)[:3])

    def inconclusive(self):
        said = len(self.sent)
        if self.counts["acked"] < self.least:
            yield "%d acknowledged" % self.counts["acked"]
        if self.counts["unknown"] > self.unknown * said:
            yield "%d of %d unknown" % (self.counts["unknown"], said)
        for kind in self.wanted or ():
            if kind not in self.done:
                yield "no %s" % kind

    def report(self, began):
        self.finish()
        seconds = time.monotonic() - began
        why = list(self.inconclusive())
        return {
            "verdict": "failed" if self.found else "inconclusive" if why else "passed",
            "why": why, "events": self.events, "seconds": round(seconds, 2),
            "events_per_s": round(self.events / max(seconds, 1e-9)),
            "publications": len(self.sent), "counts": self.counts,
            "anomalies": [{"name": n, "ch": ch, "p": p, "words": words}
                          for (n, ch, p), words in sorted(self.found.items())],
        }


def check(files):
    gc.disable()  # millions of objects and not one cycle: it would look through them again and again
    began, checker = time.monotonic(), Checker()
    for file in files:
        checker.feed(file)
    return checker.report(began)
