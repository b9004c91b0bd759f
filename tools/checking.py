"""What the check-* tools share: findings, the tree, C without comments, self-tests.

A check is a function of a folder that yields findings (strings like
"src/wire/x.c:12: what is wrong"). Its self-test plants violations in a small
tree of its own and asks that each is found, and that the clean tree is silent.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def files(root, folders, endings):
    """Names relative to root of all files below the folders, in a fixed order."""
    found = []
    for folder in folders:
        for path, folders_here, names in os.walk(os.path.join(root, folder)):
            folders_here[:] = sorted(d for d in folders_here if d not in ("node_modules", ".git"))
            found += [os.path.relpath(os.path.join(path, n), root)
                      for n in sorted(names) if n.endswith(endings)]
    return found


def code_only(text):
    """C without comments and without what strings say; line numbers stay."""
    def blank(m):
        token = m.group(0)
        if token[0] == "/":
            return "\n" * token.count("\n") or " "
        return token[0] + token[0]
    return TOKEN.sub(blank, text)


def plant(root, tree):
    for name, text in tree.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def main(check, clean, planted, usage):
    """check(root) yields findings; clean is a tree without any; planted is a table
    of (why, changes to the tree, words that the finding must contain)."""
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test(check, clean, planted))
    if sys.argv[1:]:
        print(usage, file=sys.stderr)
        sys.exit(2)
    findings = list(check(ROOT))
    for line in findings:
        print(line)
    sys.exit(1 if findings else 0)


def self_test(check, clean, planted):
    rows = [("the clean tree is silent", {}, None), *planted]
    print(f"1..{len(rows)}")
    failed = 0
    for number, (why, changes, words) in enumerate(rows, 1):
        with tempfile.TemporaryDirectory() as root:
            plant(root, {**clean, **changes})
            findings = list(check(root))
        good = not findings if words is None else any(words in f for f in findings)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {why}")
        if not good:
            print(f"# wanted {words!r}, found {findings}")
    return 1 if failed else 0
