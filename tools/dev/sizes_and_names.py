#!/usr/bin/env python3
"""What lint holds of files: no source is longer than 400 lines, and a test suite is called after its file."""
import pathlib
import re
import subprocess
import sys

LINES_MOST = 400
SUITE = re.compile(r"^(?:TEST|TEST_F|TEST_P)\((\w+),", re.MULTILINE)


def main() -> int:
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    wrong = []
    for path in map(pathlib.Path, names):
        if path.suffix not in {".cpp", ".hpp", ".rs", ".py", ".sh"} or not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > LINES_MOST:
            wrong.append(f"{path} has {lines} lines: more than {LINES_MOST} are to be two files")
        if path.name.endswith("_test.cpp"):
            own = "".join(word.capitalize() for word in path.stem.split("_"))
            for suite in sorted(set(SUITE.findall(text)) - {own, own.removesuffix("Test") + "DeathTest"}):
                wrong.append(f"{path} has the suite {suite}: it is to be {own}")
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
