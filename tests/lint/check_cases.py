#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of faults in docs/SECURITY.md, checked: every case is listed once,
and every test that it names exists and says the number of the case.

A test is `Suite.Name` or `Suite` (a TEST, TEST_F or TEST_P somewhere below
tests/; of a suite, at least one) or `scripts.name` (tests/scripts/name.py). A
C++ test has the number in its name or in the comment above it; a script has it
in its text. A row without a test says "none: " and the reason.
Usage: check_cases.py SOURCE_ROOT
"""
import os
import re
import sys

GROUPS = {"A": 21, "B": 12, "C": 21, "D": 14, "E": 7, "F": 17, "G": 9}
ROW = re.compile(r"^\| ([A-G]\d+) \| ([^|]+) \| ([^|]+) \|$", re.M)
TEST = re.compile(r"((?://[^\n]*\n)*)\s*TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")


def cpp_tests(root):
    """Name to the text that may hold numbers: comment above and name."""
    tests = {}
    for folder, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if not name.endswith("_test.cc"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for comment, suite, test in TEST.findall(file.read()):
                    text = f"{comment} {test} "
                    tests[f"{suite}.{test}"] = text
                    tests[suite] = tests.get(suite, "") + text
    return tests


def says(text, case):
    # Alone, or at the head of a name, perhaps with others: A1A2Refuses.
    return re.search(rf"(?<![A-Za-z0-9])(?:[A-G]\d+)*{case}(?![0-9])",
                     text) is not None


def main():
    root = sys.argv[1]
    with open(os.path.join(root, "docs/SECURITY.md"), encoding="utf-8") as page:
        rows = ROW.findall(page.read())
    problems = []
    tests = cpp_tests(root)
    seen = [case for case, _, _ in rows]
    for group, count in GROUPS.items():
        for number in range(1, count + 1):
            case = f"{group}{number}"
            if seen.count(case) != 1:
                problems.append(f"{case}: {seen.count(case)} rows")
    for case in sorted(set(seen)):
        if case[0] not in GROUPS and seen.count(case) != 1:
            problems.append(f"{case}: {seen.count(case)} rows")
    for case, _, cell in rows:
        if cell.strip().startswith("none: "):
            continue
        names = re.findall(r"`([^`]+)`", cell)
        if not names:
            problems.append(f"{case}: names no test")
        for name in names:
            if name.startswith("scripts."):
                path = os.path.join(root, "tests/scripts",
                                    name.partition(".")[2] + ".py")
                if not os.path.exists(path):
                    problems.append(f"{case}: no {path}")
                    continue
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            elif name in tests:
                text = tests[name]
            else:
                problems.append(f"{case}: no test {name}")
                continue
            if not says(text, case):
                problems.append(f"{case}: {name} does not say {case}")
    for problem in problems:
        print(f"docs/SECURITY.md: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
