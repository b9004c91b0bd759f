"""report.py -- what came of it: the tables people read, the lines machines read."""
import json
import platform
import re
import statistics
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from rows import Goal, no_cliff

HERE = Path(__file__).resolve().parent
FIGURES = ("server_cpu_ns", "rate", "p50_us", "p99_us", "p99_9_us", "server_user_share", "load_cpu_share",
           "resident_per_connection", "reply_zlib6_ratio")


def number(x):
    if x is None:
        return "-"
    if abs(x) >= 100:
        return f"{x:,.0f}"
    return f"{x:.3g}" if abs(x) < 0.1 else f"{x:.2f}"


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def table(head, lines):
    rows = [head, *lines]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        cells = [c.ljust(w) if i in (0, len(widths) - 1) else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))]
        yield "  ".join(cells).rstrip()


def row_table(row, runs):
    """Every entrant of a row: medians over the repetitions."""
    lines = []
    for who in row.entrants:
        mine = [r[who] for r in runs if who in r]
        if not mine:
            continue
        values = {key: median([m.get(key) for m in mine]) for key in FIGURES}
        costs = [m["server_cpu_ns"] for m in mine if m.get("server_cpu_ns")]
        spread = f"{number(min(costs))}..{number(max(costs))}" if costs else "-"
        user = values["server_user_share"]
        extra = ""
        if values["resident_per_connection"] is not None:
            extra = f"{number(values['resident_per_connection'])} B/conn"
        elif values["reply_zlib6_ratio"] is not None:
            extra = f"{values['reply_zlib6_ratio']:.3f} of zlib 6"
        lines.append((who, number(values["server_cpu_ns"]), spread, number(values["rate"]),
                      f"{user * 100:.0f} %" if user is not None else "-", number(values["p50_us"]),
                      number(values["p99_us"]), number(values["p99_9_us"]), extra))
    head = ("", "CPU ns/msg", "spread", "per second", "user", "p50 us", "p99", "p99.9", "")
    return [f"{row.name}", *(f"  {line}" for line in table(head, lines))]


def micro_table(lines):
    """The inner loops: GB/s, or ns per call."""
    rows = []
    for line in lines:
        per_byte = line.get("ns_per_byte")
        figure = f"{1 / per_byte:.1f} GB/s" if per_byte else f"{line['ns_per_call']:.2f} ns"
        rows.append((line["row"], figure, f"{line['spread'] * 100:.0f} %", ""))
    return list(table(("inner loops", "", "spread", ""), rows)) if rows else []


def judge(goal, values):
    """One line of the goals table, and whether it was met."""
    value = median(values)
    met = goal.met(value, goal.must)
    starred = goal.star is not None and goal.met(value, goal.star)
    word = "met *" if met and starred else "met" if met else "missed"
    spread = f"{number(min(values))}..{number(max(values))}"
    star = number(goal.star) if goal.star is not None else "-"
    return (goal.name, f"{number(value)} {goal.unit}", spread, number(goal.must), star, word), met


def goals_table(rows, results, problems):
    lines, met, missed = [], 0, 0

    def add(goal, values, why):
        nonlocal met, missed
        if values:
            line, good = judge(goal, values)
        else:
            line, good = (goal.name, "-", "-", number(goal.must), number(goal.star), f"missed: {why}"), False
        lines.append(line)
        met, missed = met + good, missed + (not good)

    for row in rows:
        for goal in row.goals:
            runs = [r for r in results.get(row.name, []) if all(n in r for n in row.needed)]
            why = "; ".join(sorted({p for who, p in problems.get(row.name, {}).items() if who in row.needed}))
            add(goal, [goal.figure(r) for r in runs], why or "it was not run")
    if any("bursts of 8" in r.name for r in rows):
        cliff = Goal("bursts, no cliff (worst step)", None, "of the burst before", 1.10, None)
        add(cliff, no_cliff(results), "one of the bursts was not run")
    head = ("work", "ours", "spread", "must", "star", "")
    return list(table(head, lines)), met, missed


# -- history ---------------------------------------------------------------

def machine():
    """A name for the kind of machine, and for no machine in particular."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    cpus = len(re.findall(r"^processor\s*:", info, re.M))
    name = model.group(1) if model else platform.machine()
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} {cpus} cpus".lower()).strip("-")
    return slug


def commit():
    def git(*args):
        done = subprocess.run(["git", *args], capture_output=True, text=True, cwd=HERE)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def append_history(rows, results, micro, quick):
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    common = {"at": stamp, "commit": commit(), "kernel": platform.release().split("-")[0], "quick": quick}
    path = HERE / "history" / f"{machine()}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as out:
        for line in micro:
            out.write(json.dumps({**common, **line}) + "\n")
        for row in rows:
            runs = results.get(row.name, [])
            for who in row.entrants:
                mine = [r[who] for r in runs if who in r]
                if not mine:
                    continue
                line = {**common, "row": row.name, "entrant": who, "repetitions": len(mine)}
                for key in FIGURES:
                    values = [m[key] for m in mine if m.get(key) is not None]
                    if values:
                        line[key] = [float(f"{x:.5g}") for x in (min(values), median(values), max(values))]
                out.write(json.dumps(line) + "\n")
    return path
