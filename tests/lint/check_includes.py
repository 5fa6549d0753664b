#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the table of docs/ARCHITECTURE.md, checked.

Also: no circle of includes, every source starts with the licence line, every
header has #pragma once, libtorrent only where it may be, no file over 500
lines without a line that says why ("Long because: ...").
Usage: check_includes.py SOURCE_ROOT
"""
import os
import re
import sys

FOLDERS = ("verify", "p2p", "inference", "cli", "tests")
MAY_INCLUDE = {
    "verify/base": ["verify/base"],
    "verify/digest": ["verify/base", "verify/digest"],
    "verify/container": ["verify/base", "verify/container"],
    "verify/manifest": ["verify/base", "verify/digest", "verify/container",
                        "verify/manifest"],
    "verify/checkpoint": ["verify/base", "verify/digest", "verify/container",
                          "verify/checkpoint"],
    "verify/structure": ["verify"],
    "p2p": ["verify/base", "verify/digest", "p2p"],
    "inference": ["verify/base", "verify/container", "verify/checkpoint",
                  "verify/structure", "verify/digest", "inference"],
    "cli": ["verify", "p2p", "inference", "cli"],
    "tests": ["verify", "p2p", "inference", "cli", "tests"],
}
INCLUDE = re.compile(r'^\s*#include\s+([<"])([^">]+)[">]', re.M)
MAX_LINES = 500


def folder_rule(path):
    """The longest entry of the table that holds this file."""
    best = ""
    for entry in MAY_INCLUDE:
        if path.startswith(entry + "/") and len(entry) > len(best):
            best = entry
    return best


def sources(root):
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(where, name), root)


def find_circle(graph):
    """A list of headers that include each other in a ring, or nothing."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in graph.get(node, ()):
            ring = visit(target)
            if ring:
                return ring
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        ring = visit(node)
        if ring:
            return ring
    return None


def main():
    root = sys.argv[1]
    problems, graph, count = [], {}, 0
    for path in sorted(sources(root)):
        count += 1
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        if not text.startswith("// SPDX-License-Identifier: Apache-2.0\n"):
            problems.append(f"{path}: first line is not the licence line")
        if path.endswith(".h") and "#pragma once" not in text \
                and not path.endswith("-inl.h"):
            problems.append(f"{path}: no #pragma once")
        lines = text.count("\n")
        if lines > MAX_LINES and "Long because:" not in text:
            problems.append(f"{path}: {lines} lines without a reason")
        graph[path] = []
        rule = folder_rule(path)
        for kind, target in INCLUDE.findall(text):
            if target.startswith("libtorrent/") and not (
                    path == "p2p/lt_bridge.h" or
                    (path.endswith(".cc") and
                     path.startswith(("p2p/", "tests/")))):
                problems.append(f"{path}: includes {target}")
            if kind == "<" or not target.startswith(
                    tuple(f + "/" for f in FOLDERS)):
                continue
            graph[path].append(target)
            if not any(target.startswith(allowed + "/")
                       for allowed in MAY_INCLUDE[rule]):
                problems.append(f"{path}: may not include {target}")
    ring = find_circle(graph)
    if ring:
        problems.append("circle of includes: " + " -> ".join(ring))
    for problem in problems:
        print(problem)
    print(f"{count} files checked, {len(problems)} problems")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
