"""Ways in which a history can be untrue. Each changes the events of one family so that one channel
of it cannot have been; it returns that channel, or None where there was no place for it.

    LIES: title -> (function, what has to be found, what may be found besides)
"""
LIES = {}
SAID = ("recv", "hist", "pub_ok")  # lines that place a key


def lie(title, finds, *besides):
    def keep(function):
        LIES[title] = (function, finds, set(besides))
        return function
    return keep


def pick(rng, found):
    found = list(found)
    return rng.choice(found) if found else None


def places(events, *ops):
    return [i for i, e in enumerate(events) if e["op"] in ops]


def later(events, i):
    """What its client hears in this channel after line i, until its subscription begins anew."""
    for j in range(i + 1, len(events)):
        e = events[j]
        if e["p"] != events[i]["p"] or e.get("ch") != events[i]["ch"]:
            continue
        if e["op"] == "unsub" or e["op"] == "sub_ok" and not e.get("recovered"):
            return
        if e["op"] in ("recv", "skip"):
            yield j


def logged(events, *ops):
    return [i for i in places(events, *ops) if "off" in events[i]]


def count_at(events, e):
    return sum(o["op"] in SAID and (o["ch"], o.get("epoch"), o.get("off")) == (e["ch"], e["epoch"], e["off"])
               for o in events)


def said(events, key):
    return sum(e["op"] == "pub" and e["key"] == key for e in events)


def after(events, i, new):
    """Puts an event right behind line i."""
    events.insert(i + 1, {**new, "t": events[i]["t"]})


@lie("a message is left out", "silent-gap")
def left_out(rng, ev):
    i = pick(rng, (i for i in logged(ev, "recv") if any(True for _ in later(ev, i))))
    return i is not None and ev.pop(i)["ch"]


@lie("the last message is left out", "stuck")
def last_left_out(rng, ev):
    heads = {e["ch"]: e for e in ev if e["op"] == "head"}
    i = pick(rng, (i for i in logged(ev, "recv") if ev[i]["ch"] in heads and not any(True for _ in later(ev, i))
                   and heads[ev[i]["ch"]]["off"] == ev[i]["off"]
                   and heads[ev[i]["ch"]]["epoch"] == ev[i]["epoch"]
                   and not any(e["op"] == "sub_ok" and e["p"] == ev[i]["p"] and e["ch"] == ev[i]["ch"]
                               for e in ev[i:])))
    return i is not None and ev.pop(i)["ch"]


@lie("a message comes twice", "duplicate")
def twice(rng, ev):
    i = pick(rng, logged(ev, "recv"))
    if i is None:
        return None
    where = [i] + [j for j in later(ev, i) if ev[j]["op"] == "recv"
                   and not any(e["op"] == "close" and e["p"] == ev[i]["p"] for e in ev[i:j])][:3]
    after(ev, rng.choice(where), ev[i])
    return ev[i]["ch"]


def next_heard(ev, i, op="recv"):
    """The line after i of its subscription, when that is such a one on the same connection."""
    j = next(later(ev, i), None)
    if j is None or ev[j]["op"] != op or any(e["op"] in ("close", "sub_ok") and e["p"] == ev[i]["p"]
                                             for e in ev[i:j]):
        return None
    return j


@lie("two messages change places", "nonmonotonic", "silent-gap")
def swapped(rng, ev):
    i = pick(rng, (i for i in logged(ev, "recv") if next_heard(ev, i)))
    if i is None:
        return None
    j = next_heard(ev, i)
    ev[i], ev[j] = {**ev[j], "t": ev[i]["t"]}, {**ev[i], "t": ev[j]["t"]}
    return ev[i]["ch"]


@lie("one reader gets another value", "inconsistent-offsets", "double-idem", "reorder")
def another_value(rng, ev):
    i = pick(rng, (i for i in logged(ev, "recv", "hist") if count_at(ev, ev[i]) > 1))
    if i is None:
        return None
    others = [e["key"] for e in ev if e["op"] == "pub" and e["ch"] == ev[i]["ch"] and e["key"] != ev[i]["key"]
              and not any(o["op"] == "pub_fail" and o["key"] == e["key"] for o in ev)]
    ev[i] = {**ev[i], "key": rng.choice(others)} if others else ev[i]
    return others and ev[i]["ch"]


@lie("an answer names another place", "inconsistent-offsets", "double-idem", "reorder")
def wrong_place(rng, ev):
    def others(i):
        return [e["off"] for e in ev if e["op"] in ("recv", "hist") and e["ch"] == ev[i]["ch"]
                and e.get("epoch") == ev[i]["epoch"] and e["key"] != ev[i]["key"]]
    i = pick(rng, (i for i in logged(ev, "pub_ok") if others(i)))
    if i is None:
        return None
    ev[i] = {**ev[i], "off": rng.choice(others(i))}
    return ev[i]["ch"]


@lie("two of one publisher change places in the log", "reorder")
def reordered(rng, ev):
    spots = {}
    for e in ev:
        if e["op"] in SAID and "off" in e and said(ev, e["key"]) == 1:
            spots.setdefault((e["ch"], e["epoch"], e["key"].rpartition(":")[0]), {})[e["key"]] = e["off"]
    where = pick(rng, (w for w, keys in spots.items() if len(keys) > 1))
    if where is None:
        return None
    a, b = rng.sample(sorted(spots[where]), 2)
    for i, e in enumerate(ev):
        if e["op"] in SAID and e.get("key") in (a, b):
            other = b if e["key"] == a else a
            ev[i] = {**e, "off": spots[where][other]} if e["op"] == "pub_ok" else {**e, "key": other}
    return where[0]


@lie("a message that nobody said", "phantom", "inconsistent-offsets")
def phantom(rng, ev):
    i = pick(rng, logged(ev, "recv", "hist"))
    if i is None:
        return None
    ev[i] = {**ev[i], "key": rng.choice(["", "nobody.1:7"])}
    return ev[i]["ch"]


@lie("a message of another channel", "phantom", "inconsistent-offsets")
def strayed(rng, ev):
    i = pick(rng, places(ev, "recv"))
    others = [e["key"] for e in ev if e["op"] == "pub" and i is not None and e["ch"] != ev[i]["ch"]
              and not any(o["op"] == "pub_fail" and o["key"] == e["key"] for o in ev)]
    if not others:
        return None
    key = rng.choice(others)
    if "off" not in ev[i]:  # class live: it would also be out of order there
        return None
    ev[i] = {**ev[i], "key": key}
    return ev[i]["ch"]


@lie("somebody hears what is not for him", "leak")
def leaked(rng, ev):
    i = pick(rng, (i for i in places(ev, "may") if any(
        e["op"] in ("recv", "sub_ok") and (e["p"], e["ch"]) == (ev[i]["p"], ev[i]["ch"]) for e in ev)))
    return i is not None and ev.pop(i)["ch"]


@lie("an acknowledged publication cannot be read", "lost-write")
def lost(rng, ev):
    i = pick(rng, places(ev, "hist"))
    return i is not None and ev.pop(i)["ch"]


@lie("a log begins too late", "lost-write")
def cut_off(rng, ev):
    i = pick(rng, (i for i in places(ev, "head") if ev[i]["n"] > 2))
    if i is None:
        return None
    head = ev[i] = {**ev[i]}
    head["first"] += rng.randint(1, head["n"] - 1)
    ev[:] = [e for e in ev if e["op"] != "hist" or e["ch"] != head["ch"] or e["off"] >= head["first"]]
    return head["ch"]


@lie("a log ends too early", "epoch-lie", "lost-write")
def cut_short(rng, ev):
    i = pick(rng, (i for i in places(ev, "head") if ev[i]["n"] > 2))
    if i is None:
        return None
    head = ev[i] = {**ev[i]}
    head["off"] -= 1
    ev[:] = [e for e in ev if e["op"] != "hist" or e["ch"] != head["ch"] or e["off"] <= head["off"]]
    return head["ch"]


@lie("what is in the log was refused", "false-fail")
def refused(rng, ev):
    i = pick(rng, (i for i in places(ev, "pub_ok") if said(ev, ev[i]["key"]) == 1
                   and any(e["op"] in ("recv", "hist") and e["key"] == ev[i]["key"] for e in ev)))
    if i is None:
        return None
    ev[i] = {k: v for k, v in ev[i].items() if k not in ("epoch", "off")} | {"op": "pub_fail"}
    return ev[i]["ch"]


@lie("one key stands twice", "double-idem", "reorder")
def stands_twice(rng, ev):
    placed = {}
    for e in ev:
        if e["op"] in ("recv", "hist") and "off" in e:
            placed.setdefault((e["ch"], e["epoch"]), set()).add(e["key"])
    where = pick(rng, (w for w, keys in placed.items() if len(keys) > 1))
    if where is None:
        return None
    a, b = rng.sample(sorted(placed[where]), 2)
    for i, e in enumerate(ev):
        if e.get("key") == b:
            ev[i] = {**e, "key": a}
    return where[0]


@lie("a message names another epoch", "epoch-lie", "silent-gap", "stuck")
def other_epoch(rng, ev):
    i = pick(rng, logged(ev, "recv", "skip"))
    if i is None:
        return None
    ev[i] = {**ev[i], "epoch": "made-up"}
    return ev[i]["ch"]


@lie("a new epoch in the middle of a life", "epoch-lie", "stuck")
def no_reason(rng, ev):
    def proven(i):
        e = ev[i]
        return e["off"] and not e.get("recovered") and any(
            o["op"] == "sub_ok" and o.get("epoch") == e["epoch"] and o["p"] != e["p"] for o in ev)
    i = pick(rng, (i for i in logged(ev, "sub_ok") if proven(i)))
    if i is None:
        return None
    for j in [i, *(j for j in later(ev, i))]:
        ev[j] = {**ev[j], "epoch": "made-up"}
    for j in range(i + 1, len(ev)):  # and all reconnects of it
        e = ev[j]
        if (e["p"], e.get("ch")) == (ev[i]["p"], ev[i]["ch"]) and e["op"] in ("sub", "sub_ok", "unsub"):
            if e["op"] == "unsub" or e["op"] == "sub_ok" and not e.get("recovered"):
                break
            ev[j] = {**e, "epoch": "made-up"} if "epoch" in e else e
    return ev[i]["ch"]


@lie("an epoch that outlives its log", "epoch-lie", "inconsistent-offsets", "duplicate", "nonmonotonic",
     "silent-gap", "double-idem", "reorder", "lost-write", "stuck", "phantom")
def outlives(rng, ev):
    names = {}
    for e in ev:
        if e["op"] == "sub_ok" and "epoch" in e:
            names.setdefault(e["ch"], []).append(e["epoch"])
    ch = pick(rng, (ch for ch, epochs in names.items() if len(set(epochs)) > 1))
    if ch is None:
        return None
    old, new = rng.sample(sorted(set(names[ch])), 2)
    for i, e in enumerate(ev):
        if e.get("epoch") == new:
            ev[i] = {**e, "epoch": old}
    return ch


@lie("recovered, with a hole", "silent-gap", "stuck")
def false_flag(rng, ev):
    def was_here(i):
        at = None
        for e in ev[:i]:
            if (e["p"], e.get("ch")) == (ev[i]["p"], ev[i]["ch"]) and e["op"] in ("recv", "sub_ok", "skip"):
                at = e.get("epoch"), e.get("off")
        return at and at[0] == ev[i]["epoch"] and at[1] < ev[i]["off"]
    i = pick(rng, (i for i in logged(ev, "sub_ok") if ev[i].get("recovered") is False and was_here(i)
                   and any(True for _ in later(ev, i))))
    if i is None:
        return None
    ev[i] = {**ev[i], "recovered": True}
    return ev[i]["ch"]


@lie("recovered, from another epoch", "epoch-lie")
def false_bridge(rng, ev):
    i = pick(rng, (i for i in logged(ev, "sub_ok") if ev[i].get("recovered") is False and any(
        e["op"] == "sub" and (e["p"], e["ch"]) == (ev[i]["p"], ev[i]["ch"])
        and e.get("epoch") not in (None, ev[i]["epoch"]) for e in ev[max(0, i - 1):i])))
    if i is None:
        return None
    ev[i] = {**ev[i], "recovered": True}
    return ev[i]["ch"]


@lie("a skip is left out", "silent-gap")
def unexplained(rng, ev):
    i = pick(rng, (i for i in places(ev, "skip") if any(True for _ in later(ev, i))))
    return i is not None and ev.pop(i)["ch"]


@lie("a skip explains too little", "silent-gap")
def short_skip(rng, ev):
    i = pick(rng, places(ev, "skip"))
    if i is None:
        return None
    ev[i] = {**ev[i], "n": ev[i]["n"] - 1}
    return ev[i]["ch"]


@lie("a coming is not told", "presence-drift")
def untold(rng, ev):
    i = pick(rng, (i for i in places(ev, "join") if stays(ev, i) or leaves(ev, i)))
    return i is not None and ev.pop(i)["ch"]


def stays(ev, i):
    """Its listener stays to the end on this connection, and whom it names is there."""
    here = {(e["ch"], e["client"]) for e in ev if e["op"] == "here"}
    return (ev[i]["ch"], ev[i]["m"]) in here and not closes(ev, i, len(ev))


def leaves(ev, i):
    j = next((j for j in range(i + 1, len(ev)) if ev[j]["op"] == "leave" and ev[j]["m"] == ev[i]["m"]
              and (ev[j]["p"], ev[j]["ch"]) == (ev[i]["p"], ev[i]["ch"])), None)
    return j is not None and not closes(ev, i, j)


def closes(ev, i, j):
    return any(e["op"] == "close" and e["p"] == ev[i]["p"] for e in ev[i:j])


@lie("a coming is told twice", "presence-drift")
def told_twice(rng, ev):
    i = pick(rng, places(ev, "join"))
    if i is None:
        return None
    after(ev, i, ev[i])
    return ev[i]["ch"]


@lie("a leaving is not told", "ghost")
def haunted(rng, ev):
    i = pick(rng, (i for i in places(ev, "leave") if not closes(ev, i, len(ev))))
    return i is not None and ev.pop(i)["ch"]


@lie("the final list lacks one", "presence-drift")
def lacking(rng, ev):
    i = pick(rng, (i for i in places(ev, "pres") if ev[i].get("final")))
    if i is None:
        return None
    members = ev[i]["members"]
    ev[i] = {**ev[i], "members": rng.sample(members, len(members) - 1)}
    return ev[i]["ch"]


@lie("the final list names the dead", "ghost")
def names_the_dead(rng, ev):
    i = pick(rng, (i for i in places(ev, "pres") if ev[i].get("final")))
    if i is None:
        return None
    ev[i] = {**ev[i], "members": ev[i]["members"] + ["gone"]}
    return ev[i]["ch"]


@lie("a message after the close", "late-callback")
def late(rng, ev):
    closed = [i for i in places(ev, "close") if any(e["op"] == "recv" and e["p"] == ev[i]["p"] for e in ev[:i])]
    i = pick(rng, closed)
    if i is None:
        return None
    heard = next(e for e in reversed(ev[:i]) if e["op"] == "recv" and e["p"] == ev[i]["p"])
    after(ev, i, heard)
    return heard["ch"]


@lie("a message before the subscription", "late-callback")
def early(rng, ev):
    opened = [i for i in places(ev, "open") if any(e["op"] == "recv" and e["p"] == ev[i]["p"] for e in ev[:i])]
    i = pick(rng, opened)
    if i is None:
        return None
    heard = next(e for e in reversed(ev[:i]) if e["op"] == "recv" and e["p"] == ev[i]["p"])
    after(ev, i, heard)
    return heard["ch"]


def live_pairs(ev):
    """Two of one publisher, one right after the other on one connection of one reader."""
    last = {}
    for i in places(ev, "sub_ok", "close", "recv"):
        e = ev[i]
        if e["op"] == "close":
            last = {k: v for k, v in last.items() if k[0] != e["p"]}
        elif e["op"] == "sub_ok":
            last = {k: v for k, v in last.items() if k[:2] != (e["p"], e["ch"])}
        elif "off" not in e:
            at = (e["p"], e["ch"], e["key"].rpartition(":")[0])
            if at in last:
                yield last[at], i
            last[at] = i


@lie("class live: two of one publisher change places", "reorder")
def live_swapped(rng, ev):
    pair = pick(rng, ((i, j) for i, j in live_pairs(ev)
                      if said(ev, ev[i]["key"]) == said(ev, ev[j]["key"]) == 1))
    if pair is None:
        return None
    i, j = pair
    ev[i], ev[j] = {**ev[j], "t": ev[i]["t"]}, {**ev[i], "t": ev[j]["t"]}
    return ev[i]["ch"]


@lie("class live: a message comes twice", "duplicate")
def live_twice(rng, ev):
    i = pick(rng, (i for i in places(ev, "recv") if "off" not in ev[i] and said(ev, ev[i]["key"]) == 1))
    if i is None:
        return None
    after(ev, i, ev[i])
    return ev[i]["ch"]


def numbered_again(ev):
    """Keys that were said more than once, each time with a seq."""
    times, loose = {}, set()
    for e in ev:
        if e["op"] == "pub":
            times[e["key"]] = times.get(e["key"], 0) + 1
            if "seq" not in e:
                loose.add(e["key"])
    return {key for key, n in times.items() if n > 1} - loose, loose


def spots_of(ev, ops=SAID):
    """(channel, epoch) -> the keys that stand there by these lines, and where."""
    spots = {}
    for e in ev:
        if e["op"] in ops and "off" in e:
            spots.setdefault((e["ch"], e["epoch"]), {})[e["key"]] = e["off"]
    return spots


@lie("what was said again with its seq is published twice", "double-idem", "reorder")
def seq_twice(rng, ev):
    again, _ = numbered_again(ev)
    pairs = [(at, a, b) for at, keys in spots_of(ev).items() for a in keys if a in again
             for b in keys if keys[b] > keys[a]]
    if not pairs:
        return None
    at, a, b = rng.choice(pairs)
    for i, e in enumerate(ev):
        if e["op"] in SAID and (e["ch"], e.get("epoch"), e["key"]) == (*at, b):
            ev[i] = {**e, "key": a}
    return at[0]


@lie("what was said again with its seq is behind what was said later", "reorder")
def seq_behind(rng, ev):
    again, loose = numbered_again(ev)
    spots = spots_of(ev, ("recv", "hist"))  # an answer alone takes its place along
    pairs = [(at, a, b) for at, keys in spots.items() for a in keys if a in again
             for b in keys if b != a and b not in loose and b.rpartition(":")[0] == a.rpartition(":")[0]]
    if not pairs:
        return None
    at, a, b = rng.choice(pairs)
    where = spots[at]
    for i, e in enumerate(ev):
        if e["op"] in SAID and (e["ch"], e.get("epoch")) == at and e["key"] in (a, b):
            other = b if e["key"] == a else a
            ev[i] = {**e, "off": where[other]} if e["op"] == "pub_ok" else {**e, "key": other}
    return at[0]


def on_this_connection(ev, i):
    """What its client hears in this channel behind line i, until anything else becomes of it."""
    for e in range(i + 1, len(ev)):
        if ev[e]["p"] != ev[i]["p"]:
            continue
        if ev[e]["op"] in ("close", "open") or (ev[e].get("ch") == ev[i]["ch"] and ev[e]["op"] in ("sub_ok", "unsub")):
            return
        if ev[e]["op"] == "recv" and ev[e]["ch"] == ev[i]["ch"]:
            yield e


@lie("class live: what was said again is heard again", "duplicate")
def live_again(rng, ev):
    again, _ = numbered_again(ev)
    i = pick(rng, (i for i in places(ev, "recv") if "off" not in ev[i] and ev[i]["key"] in again))
    if i is None:
        return None
    after(ev, rng.choice([i, *on_this_connection(ev, i)][:4]), ev[i])
    return ev[i]["ch"]


@lie("class live: what was said again with its seq changes places", "reorder")
def live_behind(rng, ev):
    again, loose = numbered_again(ev)
    pair = pick(rng, ((i, j) for i, j in live_pairs(ev)
                      if {ev[i]["key"], ev[j]["key"]} & again and not {ev[i]["key"], ev[j]["key"]} & loose))
    if pair is None:
        return None
    i, j = pair
    ev[i], ev[j] = {**ev[j], "t": ev[i]["t"]}, {**ev[i], "t": ev[j]["t"]}
    return ev[i]["ch"]
