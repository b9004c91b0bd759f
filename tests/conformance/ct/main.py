"""The command line: which cases, against whom, and what is printed.

Output is TAP (`ok 3 - 1.1.3 title`), one line per case in the order of the
book, so that a test runner can count. A failing case adds one line that says
what was expected and what came. Exit codes: 0 all passed, 1 some failed,
2 wrong usage or a testee that does not start.
"""
import argparse
import asyncio
import collections
import json
import os
import sys
import time

from . import (extra_client, extra_deflate, extra_frames, extra_load, extra_opening, suite_core,
               suite_load, suite_utf8)
from .bench import PROFILES, Bench, CannotStart, Trial
from .book import INFORMATIONAL_IDS, SECTIONS, TOTAL, Book, matches
from .judge import INFORMATIONAL, OK, SKIPPED, Result

HELP = """Examples:
  run --server "build/release/linnet echo --listen 127.0.0.1:0 {flags}"
  run --client "build/release/linnet connect {url} --echo {flags}"
  run --url ws://127.0.0.1:9001 --group 6
{flags} is replaced by the flags a case needs (see --profiles), {url} by the address
to connect to. Without {flags} there is one testee, and cases that need other flags
do not apply."""


def all_cases():
    book = Book()
    for part in (suite_core, suite_utf8, suite_load, extra_opening, extra_frames, extra_deflate,
                 extra_load, extra_client):
        part.fill(book)
    return book


def arguments(argv):
    p = argparse.ArgumentParser(prog="run", description="WebSocket conformance tester.",
                                epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    who = p.add_mutually_exclusive_group()
    who.add_argument("--server", metavar="CMD", help="start this server and test it")
    who.add_argument("--url", help="test the server at this address")
    who.add_argument("--client", metavar="CMD", help="listen, and test this client")
    p.add_argument("--tls", action="store_true", help="over TLS, with a certificate made here")
    p.add_argument("--case", action="append", default=[], metavar="ID", help="only this case")
    p.add_argument("--group", action="append", default=[], metavar="ID",
                   help="only cases below this id, such as 6 or 12.3 or x.2 (suite: no x.)")
    p.add_argument("--full", action="store_true",
                   help="1000 messages per case and whole sweeps (also FULL=1)")
    p.add_argument("--lenient", action="store_true",
                   help="NON-STRICT and UNIMPLEMENTED do not count as failures")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--jobs", type=int, default=6, metavar="N", help="cases at a time (6)")
    p.add_argument("--scale", type=float, default=1.0, metavar="X",
                   help="multiply all time limits (slow builds)")
    p.add_argument("--flags", action="append", default=[], metavar="NAME=FLAGS",
                   help="other flags for a profile")
    p.add_argument("--list", action="store_true", help="list the cases and check the list")
    p.add_argument("--profiles", action="store_true", help="print the flags of each profile")
    p.add_argument("--failures-only", action="store_true", help="no line for what passed")
    o = p.parse_args(argv)
    o.full = o.full or os.environ.get("FULL") == "1"
    o.profiles_wanted, o.profiles = o.profiles, dict(PROFILES)
    for flag in o.flags:
        name, _, value = flag.partition("=")
        if name not in PROFILES:
            p.error("no profile %r; there are %s" % (name, ", ".join(PROFILES)))
        o.profiles[name] = value
    if not (o.list or o.profiles_wanted or o.server or o.url or o.client):
        p.error("one of --server, --url, --client or --list is needed")
    if o.client and "{url}" not in o.client:
        p.error("--client needs {url} in its command")
    return o


def chosen(book, options):
    role = "client" if options.client else "server"
    cases = [c for c in book.sorted() if role in c.roles]
    unknown = [i for i in options.case if i not in book.cases]
    unknown += [g for g in options.group
                if g != "suite" and not any(matches(i, g) for i in book.cases)]
    if unknown:
        raise CannotStart("no such case or group: " + ", ".join(unknown))
    if options.case or options.group:
        cases = [c for c in cases if c.id in options.case or any(
            matches(c.id, g) or (g == "suite" and c.id[0] != "x") for g in options.group)]
    return cases


def list_cases(book):
    for c in book.sorted():
        print("%-9s %-13s %s" % (c.id, "/".join(c.roles), c.title))
    groups = collections.Counter(s.split(".")[0] for s in SECTIONS for _ in range(SECTIONS[s]))
    print("# suite: %d cases (%s); extra: %d" % (
        len(book.suite()), ", ".join("%s: %d" % g for g in groups.items()),
        len(book.cases) - len(book.suite())))
    wrong = book.self_check()
    for w in wrong:
        print("# WRONG: " + w)
    return 1 if wrong else 0


class Printer:
    """Prints results in the order of the book, as soon as that order allows."""

    def __init__(self, cases, options):
        self.cases, self.options = cases, options
        self.results, self.at, self.told = {}, 0, 0

    def put(self, result):
        self.results[result.case.id] = result
        while self.at < len(self.cases) and self.cases[self.at].id in self.results:
            self.at += 1
            self.line(self.results[self.cases[self.at - 1].id])
        sys.stdout.flush()

    def line(self, r):
        if r.behaviour == SKIPPED:
            print("# %s does not apply here: %s" % (r.case.id, r.got))
            return
        self.told += 1
        n = self.told
        good = r.passed(self.options.lenient)
        if good and self.options.failures_only:
            return
        end = ""
        if (r.behaviour, r.closing) != (OK, OK):
            end = " # " + r.behaviour + (", closing " + r.closing if r.closing != OK else "")
        print("%sok %d - %s %s%s" % ("" if good else "not ", n, r.case.id,
                                     r.case.title.replace("#", ""), end))
        if not good:
            print("  # %s: expected %s; got %s" % (r.case.id, r.want,
                                               r.got.replace("\n", "\n  # ")))


async def run_all(bench, cases, options, printer):
    gate = asyncio.Semaphore(max(1, options.jobs))

    async def one(case):
        if case.full and not options.full:
            printer.put(skipped(case, "only in a full run"))
        elif not bench.has_profile(Trial(bench, case).profile):
            printer.put(skipped(case, "needs other flags"))
        else:
            async with gate:
                printer.put(await Trial(bench, case).run())

    await asyncio.gather(*(one(c) for c in cases if not c.solo))
    for c in cases:
        if c.solo:
            await one(c)


def skipped(case, why):
    r = Result(case)
    r.behaviour, r.got = SKIPPED, why
    return r


def summary(results, seconds, options):
    suite = [r for r in results if r.case.id[0] != "x"]
    count = collections.Counter(r.behaviour for r in suite)
    ok = sum(r.behaviour == OK and r.closing == OK for r in suite)
    skips = sum(r.behaviour == SKIPPED for r in results)
    passed = sum(r.passed(options.lenient) for r in results) - skips
    verdicts = ", ".join("%d %s" % (n, w) for w, n in sorted(count.items()) if w != OK)
    print("# suite: %d of %d OK%s" % (ok, len(suite), "; behaviour: " + verdicts
                                      if verdicts else ""))
    print("# extra: %d of %d passed, %d do not apply" % (
        passed - sum(r.passed(options.lenient) for r in suite),
        len(results) - len(suite) - skips, skips))
    print("# %d passed, %d failed, %.1f s" % (passed, len(results) - skips - passed, seconds))
    return {"passed": passed, "failed": len(results) - skips - passed, "skipped": skips,
            "suite_ok": ok, "suite_total": len(suite),
            "suite_informational": count[INFORMATIONAL], "seconds": round(seconds, 1),
            "testee": "client" if options.client else "server", "tls": options.tls,
            "full": options.full}


def write_json(path, head, results):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"summary": head, "cases": [r.row() for r in results]}, f, indent=1)
        f.write("\n")


async def test(options, book):
    cases = chosen(book, options)
    bench = Bench(options)
    printer = Printer(cases, options)
    began = time.monotonic()
    try:
        await bench.check_testee()
        await run_all(bench, cases, options, printer)
        print("1..%d" % printer.told, flush=True)
    finally:
        bench.close()
    results = [printer.results[c.id] for c in cases]
    head = summary(results, time.monotonic() - began, options)
    if options.json:
        write_json(options.json, head, results)
    if head["failed"] and bench.log_tail().strip():
        print("# last words of the testee:\n  # " +
              bench.log_tail().strip().replace("\n", "\n  # "))
    return 1 if head["failed"] else 0


def main(argv=None):
    options = arguments(argv)
    book = all_cases()
    if options.profiles_wanted:
        for name, flags in options.profiles.items():
            print("%-7s %s" % (name, flags))
        return 0
    if options.list:
        return list_cases(book)
    wrong = book.self_check()
    if wrong or len(book.suite()) != TOTAL or any(i not in book.cases for i in INFORMATIONAL_IDS):
        print("the list of cases is wrong: %s" % "; ".join(wrong), file=sys.stderr)
        return 2
    try:
        return asyncio.run(test(options, book))
    except CannotStart as why:
        print("run: %s" % why, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
