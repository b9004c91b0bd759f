"""The book of cases: every case has an id, a title and a coroutine that runs it.

The ids of the public suite are listed here a second time, as counts, so that a
table that lost a row cannot pass for a complete one.
"""
from typing import Callable, NamedTuple, Tuple

BOTH = ("server", "client")
SERVER = ("server",)
CLIENT = ("client",)

# Cases per section of the public suite, 517 in all.
SECTIONS = {
    "1.1": 8, "1.2": 8, "2": 11, "3": 7, "4.1": 5, "4.2": 5, "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4,
    "6.10": 3, "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5,
    "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7,
    "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2,
    "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6, "10.1": 1,
    "12.1": 18, "12.2": 18, "12.3": 18, "12.4": 18, "12.5": 18,
    "13.1": 18, "13.2": 18, "13.3": 18, "13.4": 18, "13.5": 18, "13.6": 18, "13.7": 18,
}
TOTAL = 517
INFORMATIONAL_IDS = ("7.1.6", "7.13.1", "7.13.2")


class Case(NamedTuple):
    id: str
    title: str
    run: Callable
    profile: str = "main"              # which flags the testee is started with
    roles: Tuple[str, ...] = BOTH      # what kind of testee it is for
    full: bool = False                 # only in a full run
    solo: bool = False                 # nothing else may run beside it
    limit: float = 30.0                # seconds
    client_profile: str = ""           # other flags when the testee is a client


class Book:
    def __init__(self):
        self.cases = {}

    def add(self, id, title, run, **how):
        assert id not in self.cases, "case %s twice" % id
        self.cases[id] = Case(id, title, run, **how)

    def sorted(self):
        return sorted(self.cases.values(), key=lambda c: order(c.id))

    def suite(self):
        return [c for c in self.sorted() if not c.id.startswith("x.")]

    def self_check(self):
        """Says what is wrong with the list, or nothing."""
        wanted = set()
        for section, n in SECTIONS.items():
            wanted |= {"%s.%d" % (section, i) for i in range(1, n + 1)}
        have = {c.id for c in self.suite()}
        wrong = ["missing " + i for i in sorted(wanted - have, key=order)]
        wrong += ["unexpected " + i for i in sorted(have - wanted, key=order)]
        if sum(SECTIONS.values()) != TOTAL:
            wrong.append("sections add up to %d, not %d" % (sum(SECTIONS.values()), TOTAL))
        if any(c.roles != BOTH for c in self.suite()):
            wrong.append("a case of the public suite is not for both roles")
        return wrong


def order(id):
    return [(1, 0) if p == "x" else (0, int(p)) for p in id.split(".")]


def matches(id, prefix):
    return id == prefix or id.startswith(prefix + ".")
