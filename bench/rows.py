"""rows.py -- what is measured, and what is good enough.

A row is one load on several servers ("entrants"), run in turn, again and again.
A goal reads the runs of a row and answers with one figure for each repetition;
`must` and `star` say what its median is to reach. Rows and goals are those of the
table in README.md.
"""
from dataclasses import dataclass, field

OURS, RAW, BUN, WS, LWS = "ours", "raw", "bun", "ws", "lws"
NATIVE = "native"  # linnet serve, spoken to in linnet.v1
PACKED = OURS_PACKED, NATIVE_PACKED = "ours, deflate", "native, deflate"  # the load offers it
LEVEL = 0.97  # "level with": not further behind than two runs of the same binary are apart


@dataclass
class Goal:
    name: str
    figure: object  # (runs of one repetition by entrant) -> number
    unit: str       # what the figure is: "of raw", "x bun", "B"
    must: float
    star: float | None
    larger: bool = False  # larger is better

    def met(self, value, bound):
        return value >= bound if self.larger else value <= bound


@dataclass
class Row:
    name: str
    load: list               # of the load generator, without --raw, --pid, --json and the URL
    route: str = "/echo"
    entrants: tuple = (OURS, RAW, BUN, WS, LWS)
    needed: tuple = (OURS, RAW)  # the ones that goals read: all that a quick run measures
    goals: list = field(default_factory=list)
    fresh: bool = False      # a new server for every run
    seconds: bool = True     # takes --duration and --warmup from the command line


def cost(runs, who):
    return runs[who]["server_cpu_ns"]


def of(other, key="server_cpu_ns"):
    """Ours divided by the other's."""
    return lambda runs: runs[OURS][key] / runs[other][key]


def times(other):
    """How many times the other's work we do for the same CPU time."""
    return lambda runs: cost(runs, other) / cost(runs, OURS)


def against_raw(name, must, star):
    return Goal(name, of(RAW), "of raw", must, star)


def against(other, name, must, star):
    return Goal(name, times(other), f"x {other}", must, star, larger=True)


def echo(name, connections, size, must, star, more=(), needed=(OURS, RAW), goals=()):
    load = ["echo", "--connections", str(connections), "--size", size, *more]
    return Row(name, load, needed=needed, goals=[against_raw(name, must, star), *goals])


def echo_rows():
    in_flight = "echo 50 x 20 B, 16 in flight"
    rate = Goal(f"{in_flight}, rate", of(BUN, "rate"), "x bun's rate", 1.3, None, larger=True)
    return [
        echo("echo 50 x 20 B", 50, "20", 1.03, 1.00),
        echo("echo 500 x 20 B", 500, "20", 1.03, 1.00),
        echo("echo 50 x 1 KiB", 50, "1k", 1.03, 1.00),
        echo(in_flight, 50, "20", 1.05, 1.00, ["--in-flight", "16"], (OURS, RAW, BUN), [rate]),
        echo("echo 500 x 16 KiB ASCII", 500, "16k", 1.12, 1.05),
        echo("echo 8 x 1 MiB ASCII", 8, "1m", 1.25, 1.10),
        echo("echo 100 x 16 KiB non-ASCII", 100, "16k", 1.30, 1.15, ["--non-ascii"]),
        echo("echo 8 x 1 MiB non-ASCII", 8, "1m", 1.30, 1.15, ["--non-ascii"]),
    ]


def fanout(name, subscribers, more=(), **rest):
    sources = ["--sources", "4"] if subscribers > 5000 else []
    load = ["fanout", "--connections", str(subscribers), *sources, *more]
    return Row(name, load, route="/ps", **rest)


def fanout_rows():
    def one(name, subscribers, must, star, more=()):
        return fanout(name, subscribers, more, goals=[against_raw(name, must, star)])

    rows = [
        one("fan-out 100", 100, 1.05, 1.0),
        one("fan-out 1,000", 1000, 1.05, 1.0),
        one("fan-out 10,000", 10000, 1.10, 1.0),
        one("fan-out 500 x 16 KiB", 500, 1.15, 1.05, ["--size", "16k"]),
    ]
    for burst in (8, 16, 64, 128):
        name = f"fan-out 1,000, bursts of {burst}"
        goal = against(BUN, name, LEVEL, 1.3 if burst == 8 else None)
        rows.append(fanout(name, 1000, ["--burst", str(burst)], needed=(OURS, BUN), goals=[goal]))
    name = "many topics"
    rows.append(fanout(name, 1000, ["--topics", "1000", "--topics-each", "10", "--in-flight", "16"],
                       entrants=(OURS, BUN, WS, LWS), needed=(OURS, BUN),
                       goals=[against(BUN, name, 1.15, 1.3)]))
    return rows


def native_rows():
    """linnet serve with its own protocol, against the bare topics of the library."""
    name = "fan-out 1,000, linnet.v1"
    bare = Goal(name, lambda runs: cost(runs, OURS) / cost(runs, NATIVE), "x bare", 0.95, None, larger=True)
    rows = [fanout(name, 1000, entrants=(NATIVE, OURS), needed=(NATIVE, OURS), goals=[bare])]
    name = "publish, answered, 50 x 16 in flight"
    rate = Goal(name, lambda runs: 1e9 / cost(runs, NATIVE), "a second and core", 300_000, None, larger=True)
    rows.append(Row(name, ["publish", "--connections", "50", "--in-flight", "16"], entrants=(NATIVE,),
                    needed=(NATIVE,), goals=[rate]))
    return rows


def deflate_rows():
    def row(name, how, size, route, needed, goals):
        load = ["echo", "--connections", "50", "--size", size, f"--deflate={how}"]
        return Row(name, load, route=route, entrants=(OURS, BUN, WS, LWS), needed=needed, goals=goals)

    def output(runs):
        return runs[OURS]["reply_zlib6_ratio"]

    rows = []
    for size, must in (("1k", 1.4), ("16k", 1.5)):
        name = f"deflate without takeover, {size.upper().replace('K', ' KiB')}"
        small = Goal(f"{name}, output", output, "of zlib 6", 1.05, None)
        rows.append(row(name, "no-takeover", size, "/echozs", (OURS, BUN),
                        [against(BUN, name, must, 2.0), small]))
    for size in ("1k", "16k"):
        name = f"deflate with takeover, {size.upper().replace('K', ' KiB')}"
        small = Goal(f"{name}, output", of(LWS, "reply_zlib6_ratio"), "of lws", 1.0, None)
        rows.append(row(name, "takeover", size, "/echoz", (OURS, LWS),
                        [against(LWS, name, LEVEL, 1.2), small]))
    return rows


def broadcast_rows():
    """What compressing adds to a broadcast, when it is done once for all."""
    rows = []
    for name, plain, packed in (("broadcast 1 KiB to 1,000, deflate", OURS, OURS_PACKED),
                                ("broadcast 1 KiB to 1,000, linnet.v1, deflate", NATIVE, NATIVE_PACKED)):
        goal = Goal(name, lambda runs, a=packed, b=plain: cost(runs, a) / cost(runs, b), "of plain", 1.3, None)
        load = ["fanout", "--connections", "1000", "--size", "1k"]
        rows.append(Row(name, load, route="/psz", entrants=(plain, packed), needed=(plain, packed), goals=[goal]))
    return rows


def other_rows():
    one, two = "one worker", "two workers"
    asleep, awake = "asleep", "busy-poll"

    def compare(a, b, key):
        return lambda runs: runs[a][key] / runs[b][key]

    name = "handshakes"
    rows = [Row(name, ["connect", "--connections", "50"], entrants=(OURS, BUN, WS, LWS),
                needed=(OURS, BUN), goals=[against(BUN, name, 1.15, 1.2)])]

    name = "one connection with busy-poll, p50"
    rows.append(Row(name, ["echo", "--connections", "1", "--spin"], entrants=(asleep, awake), needed=(asleep, awake),
                    goals=[Goal(name, compare(awake, asleep, "p50_us"), "of without", 0.5, 0.4)]))

    name = "two workers on one core"
    rows.append(Row(name, ["echo", "--connections", "500"], entrants=(one, two), needed=(one, two),
                    goals=[Goal(name, compare(two, one, "server_cpu_ns"), "of one", 1.10, None)]))

    idle = ["idle", "--connections", "10000", "--sources", "4", "--duration", "1.5"]
    for name, who, others, must, star in (("idle memory, plain", OURS, (BUN, WS, LWS), 512, 256),
                                          ("idle memory, TLS", "ours, TLS", (), 8192, 7373)):
        goal = Goal(name, lambda runs, who=who: runs[who]["resident_per_connection"], "B", must, star)
        rows.append(Row(name, idle, entrants=(who, *others), needed=(who,), goals=[goal], fresh=True, seconds=False))
    return rows


def all_rows():
    return echo_rows() + fanout_rows() + native_rows() + broadcast_rows() + deflate_rows() + other_rows()


def no_cliff(results):
    """Larger bursts may not cost us more per delivery: the worst step between two of them."""
    costs = []
    for burst in (8, 16, 64, 128):
        runs = results.get(f"fan-out 1,000, bursts of {burst}")
        if not runs or OURS not in runs[0]:
            return None
        costs.append([cost(r, OURS) for r in runs])
    steps = zip(*costs)
    return [max(after / before for before, after in zip(step, step[1:])) for step in steps]
