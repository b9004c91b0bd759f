"""Histories that are true, made up: what `selftest` gives to the checkers.

A family is two channels and the clients that are in both; it lives through the same two deaths of
the node as all the others. The whole is in order of time.
"""
import random

SECOND = 10 ** 9
LENGTH = 100 * SECOND
DEATHS = (33 * SECOND, 66 * SECOND)
DOWN = SECOND // 2
KEEPS = 4           # publications, in a channel that forgets
KEEPS_ALL = 100000


class Log:
    """A channel at the server."""

    def __init__(self, name, keeps, live):
        self.name, self.keeps, self.live, self.life = name, keeps, live, 0
        self.reset()

    def reset(self):
        self.life += 1
        self.epoch, self.entries = "%s-%x" % (self.name, self.life), []
        self.known = {}

    def first(self):
        return max(1, len(self.entries) - self.keeps + 1)


class Client:
    def __init__(self, name, watches):
        self.name, self.watches = name, watches
        self.open, self.opens, self.at, self.listed = False, 0, {}, False
        self.owed = []   # what was not answered: (log, key), is said again with its seq


class Family:
    def __init__(self, rng, number, steps):
        self.rng, self.t, self.out = rng, rng.randrange(SECOND), []
        self.step = (LENGTH - 3 * SECOND) // steps
        kind = rng.choice(["plain", "plain", "short", "short", "private", "live", "presence"])
        name = "%s:%d" % (kind, number)
        keeps = KEEPS if kind == "short" else KEEPS_ALL
        self.kind = kind
        self.logs = [Log("%s.%s" % (name, x), keeps, kind == "live") for x in "ab"]
        self.clients = [Client("s%d.%d" % (number, i), kind == "presence") for i in range(rng.randint(3, 6))]
        self.http = ["h%d.%d" % (number, i) for i in range(2)]
        self.numbers, self.pending, self.number = {}, [], number
        if kind == "private":
            for log in self.logs:
                for c in self.clients:
                    self.say(p=c.name, op="may", ch=log.name)

    def say(self, **e):
        self.t += self.rng.randint(1, 1000)
        self.out.append({"t": self.t, **e})

    # -- clients ---------------------------------------------------------------------------------

    def connect(self, c):
        c.opens += 1
        c.open, c.id = True, "%s-%d" % (c.name, c.opens)
        since = self.t
        self.say(p=c.name, op="open", since=since, client=c.id)
        for log in self.logs:
            self.subscribe(c, log)

    def subscribe(self, c, log):
        if log.live:
            self.say(p=c.name, op="sub", ch=log.name)
            self.say(p=c.name, op="sub_ok", ch=log.name)
        elif (at := c.at.get(log.name)) is None:
            self.say(p=c.name, op="sub", ch=log.name)
            self.say(p=c.name, op="sub_ok", ch=log.name, epoch=log.epoch, off=len(log.entries))
        else:
            self.recover(c, log, *at)
        c.at[log.name] = (log.epoch, len(log.entries))
        if self.kind == "presence":
            self.say(p=c.name, op="pres", ch=log.name, members=[o.id for o in self.clients if o.open])
            for o in self.clients:
                if o is not c and o.open and log.name in o.at:
                    self.say(p=o.name, op="join", ch=log.name, m=c.id)

    def recover(self, c, log, epoch, off):
        self.say(p=c.name, op="sub", ch=log.name, epoch=epoch, off=off)
        good = epoch == log.epoch and off >= log.first() - 1
        self.say(p=c.name, op="sub_ok", ch=log.name, epoch=log.epoch, off=len(log.entries),
                 recovered=good)
        if good:
            for o in range(off + 1, len(log.entries) + 1):
                self.hear(c, log, o)

    def hear(self, c, log, off):
        where = {} if log.live else {"epoch": log.epoch, "off": off}
        self.say(p=c.name, op="recv", ch=log.name, **where, key=log.entries[off - 1])
        c.at[log.name] = (log.epoch, off)

    def disconnect(self, c):
        c.open = False
        self.say(p=c.name, op="close", code=1006)
        if self.kind == "presence":
            for log in self.logs:
                for o in self.clients:
                    if o.open:
                        self.say(p=o.name, op="leave", ch=log.name, m=c.id)

    def leave(self, c, log):
        if self.kind == "presence" or log.name not in c.at or log.live:
            return
        self.say(p=c.name, op="unsub", ch=log.name)
        del c.at[log.name]
        self.subscribe(c, log)

    # -- publications ----------------------------------------------------------------------------

    def append(self, log, key):
        if key in log.known:
            return log.known[key]
        log.entries.append(key)
        log.known[key] = len(log.entries)
        behind = self.rng.random() < 0.1 and not log.live
        for c in self.clients:
            if not c.open or log.name not in c.at:
                continue
            if behind and self.rng.random() < 0.5:  # not meant for it; it is told later
                continue
            have = c.at[log.name][1]
            if have < len(log.entries) - 1 and not log.live:
                n = len(log.entries) - 1 - have
                self.say(p=c.name, op="skip", ch=log.name, epoch=log.epoch, off=len(log.entries) - 1, n=n)
            self.hear(c, log, len(log.entries))
        return len(log.entries)

    def publish(self):
        log = self.rng.choice(self.logs)
        by = self.rng.choice(self.http + [c.name for c in self.clients if c.open])
        client = next((c for c in self.clients if c.name == by), None)
        if client and client.owed:
            self.say_again(client)
        conn = "%s.%d" % (by, client.opens if client else 0)
        number = self.numbers[conn] = self.numbers.get(conn, 0) + 1
        key = "%s:%d" % (conn, number)
        seq = {"seq": number} if client else {}
        self.say(p=by, op="pub", ch=log.name, key=key, **seq)
        what = self.rng.random()
        if what < 0.05:
            self.say(p=by, op="pub_fail", ch=log.name, key=key)
        elif what < 0.1:
            if what < 0.075:
                self.append(log, key)
            if client and self.rng.random() < 0.7:
                client.owed.append((log, key, number))
                self.disconnect(client)
                return
            self.say(p=by, op="pub_unknown", ch=log.name, key=key)
            if by in self.http:
                self.pending.append((log, by, key))
        else:
            self.acked(log, by, key)
            if by in self.http and what < 0.2:  # the other one says the same
                other = self.http[1 - self.http.index(by)]
                self.say(p=other, op="pub", ch=log.name, key=key)
                self.acked(log, other, key)

    def acked(self, log, by, key):
        off = self.append(log, key)
        where = {} if log.live else {"epoch": log.epoch, "off": off}
        self.say(p=by, op="pub_ok", ch=log.name, key=key, **where)

    def say_again(self, c):
        """In its order, and in front of what is new; behind a death it goes into the new log."""
        for log, key, number in c.owed:
            self.say(p=c.name, op="pub", ch=log.name, key=key, seq=number)
            self.acked(log, c.name, key)
        c.owed = []

    def again(self):
        if self.pending:
            log, by, key = self.pending.pop()
            self.say(p=by, op="pub", ch=log.name, key=key)
            self.acked(log, by, key)

    # -- its life --------------------------------------------------------------------------------

    def die(self):
        for c in self.clients:
            if c.open:
                c.open = False
                self.say(p=c.name, op="close", code=1006)
        for log in self.logs:
            log.reset()
        self.t += 2 * DOWN

    def live(self, steps):
        deaths = list(DEATHS)
        for _ in range(steps):
            self.t += self.step
            if deaths and self.t > deaths[0] - SECOND:
                self.t = deaths.pop(0) + 1000
                self.die()
            self.act()
        for c in self.clients:
            if not c.open:
                self.connect(c)
        self.t = max(self.t, LENGTH)
        for log in self.logs:
            if not log.live:
                self.level(log)
            self.end(log)
        return self.out

    def act(self):
        what, c = self.rng.random(), self.rng.choice(self.clients)
        if what < 0.7:
            self.publish()
        elif what < 0.75:
            self.again()
        elif what < 0.78 and c.open:
            self.leave(c, self.rng.choice(self.logs))
        elif c.open:
            if what > 0.9:
                self.disconnect(c)
        else:
            self.connect(c)

    def level(self, log):
        for c in self.clients:
            have = c.at[log.name][1]
            if have < len(log.entries):
                self.say(p=c.name, op="skip", ch=log.name, epoch=log.epoch, off=len(log.entries),
                         n=len(log.entries) - have)

    def end(self, log):
        if not log.live:
            first = log.first()
            for off in range(first, len(log.entries) + 1):
                self.say(p="end", op="hist", ch=log.name, epoch=log.epoch, off=off, key=log.entries[off - 1])
            self.say(p="end", op="head", ch=log.name, epoch=log.epoch, off=len(log.entries), first=first,
                     n=len(log.entries) - first + 1)
        if self.kind == "presence":
            for c in self.clients:
                self.say(p=c.name, op="here", ch=log.name, client=c.id)
            self.say(p="end", op="pres", ch=log.name, final=True, members=[c.id for c in self.clients])


def node():
    """The lines of the run."""
    kinds = [{"prefix": "live:", "class": "live"}, {"prefix": "short:", "class": "recoverable", "count": KEEPS},
             {"prefix": "", "class": "recoverable", "count": KEEPS_ALL}]
    out = [{"t": 0, "p": "run", "op": "run", "channels": kinds, "faults": ["kill"]}]
    for at in DEATHS:
        out += [{"t": at, "p": "run", "op": "dying"}, {"t": at + 100, "p": "run", "op": "dead"},
                {"t": at + 200, "p": "run", "op": "fault", "kind": "kill"}]
    return out


def families(seed, count, steps=105):
    """So many families, each a list of events in order; about 450 events of 105 steps."""
    rng = random.Random(seed)
    return [Family(random.Random(rng.random()), n, steps).live(steps) for n in range(count)]


def whole(parts):
    return sorted(node() + [e for part in parts for e in part], key=lambda e: e["t"])
