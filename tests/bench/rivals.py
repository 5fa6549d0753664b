#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lodestone against what people use today, in turn, on this machine.

    tests/bench/rivals.py LODESTONE_BINARY [--mib 1024] [--rounds 5]

check    `verify --level checksums` of a folder with an md5 list, against
         md5sum and sha256sum of the same files one after the other
Prints a line per measurement: medians of whole-process wall seconds and the
ratio of the medians. Works in a temporary folder that it removes. Fetching is
measured by fetch.py.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time


def timed(command, **options):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, **options)
    return time.monotonic() - start


def alternate(rounds, ours, theirs):
    a, b = [], []
    for _ in range(rounds):
        a.append(ours())
        b.append(theirs())
    return statistics.median(a), statistics.median(b)


def report(name, size, ours, theirs, rival):
    print(f"{name:<8} lodestone {size / ours / 1e6:7.0f} MB/s   "
          f"{rival} {size / theirs / 1e6:7.0f} MB/s   "
          f"ratio {theirs / ours:.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    size = arguments.mib << 20
    top = tempfile.mkdtemp(prefix="lodestone-bench-")
    environment = {"PATH": os.environ["PATH"], "HOME": top,
                   "LC_ALL": "C.UTF-8"}
    try:
        folder = os.path.join(top, "payload")
        os.mkdir(folder)
        for index in range(2):
            with open(os.path.join(folder, f"weights.{index}"), "wb") as file:
                for _ in range(arguments.mib // 2):
                    file.write(os.urandom(1 << 20))
        sums = subprocess.run(["md5sum", "weights.0", "weights.1"], check=True,
                              cwd=folder, stdout=subprocess.PIPE).stdout
        with open(os.path.join(folder, "MD5SUMS"), "wb") as file:
            file.write(sums)

        check = [binary, "verify", folder, "--level", "checksums"]
        files = [os.path.join(folder, f"weights.{i}") for i in range(2)]
        print(f"{size >> 20} MiB in 2 files, {os.cpu_count()} processors, "
              f"{arguments.rounds} alternating rounds, medians")
        ours, theirs = alternate(
            arguments.rounds, lambda: timed(check, env=environment),
            lambda: timed(["md5sum", *files]))
        report("check", size, ours, theirs, "md5sum (md5 alone)")
        ours, theirs = alternate(
            arguments.rounds, lambda: timed(check, env=environment),
            lambda: timed(["md5sum", *files]) + timed(["sha256sum", *files]))
        report("check", size, ours, theirs, "md5sum; sha256sum")
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
