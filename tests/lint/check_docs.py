#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents that are true: every relative link leads somewhere, every exit
code of the program is on docs/CLI.md, and docs/CLI.md is what the program
prints.

Usage: check_docs.py SOURCE_ROOT LODESTONE_BINARY [--write]
--write makes docs/CLI.md anew.
"""
import os
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
VERBS = ["get", "seed", "publish", "tracker", "verify", "inspect", "convert",
         "chat", "eval", "bench", "catalog", "ls", "ps", "rm", "demo"]


def run(binary, *arguments):
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                   "HOME": "/nonexistent", "COLUMNS": "100"}
    return subprocess.run([binary, *arguments], check=True, text=True,
                          stdout=subprocess.PIPE, env=environment).stdout


def cli_page(binary):
    parts = ["# Command line\n",
             "Made from the program's own help by "
             "`tests/lint/check_docs.py . build/release/lodestone --write`.\n",
             "## lodestone\n", "```", run(binary, "--help").rstrip(), "```\n"]
    for verb in VERBS:
        parts += [f"## lodestone {verb}\n", "```",
                  run(binary, verb, "--help").rstrip(), "```\n"]
    for topic in ("exit-codes", "environment", "json", "security", "formats"):
        parts += [f"## {topic}\n", "```",
                  run(binary, "help", topic).rstrip(), "```\n"]
    return "\n".join(parts)


def main():
    root, binary = sys.argv[1], sys.argv[2]
    page = os.path.join(root, "docs", "CLI.md")
    text = cli_page(binary)
    if "--write" in sys.argv:
        with open(page, "w", encoding="utf-8") as file:
            file.write(text)
    problems, links = [], 0
    with open(page, encoding="utf-8") as file:
        if file.read() != text:
            problems.append("docs/CLI.md is not what the program prints; "
                            "write it anew with --write")
    for where, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in ("build", ".git")]
        for name in names:
            if not name.endswith(".md"):
                continue
            path = os.path.join(where, name)
            with open(path, encoding="utf-8") as file:
                content = file.read()
            for target, _ in LINK.findall(content):
                if "://" in target or target.startswith("mailto:"):
                    continue
                links += 1
                if not os.path.exists(os.path.join(where, target)):
                    problems.append(
                        f"{os.path.relpath(path, root)}: dead link {target}")
    for problem in problems:
        print(problem)
    print(f"{links} links checked, {len(problems)} problems")
    return 1 if problems or links == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
