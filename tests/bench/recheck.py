#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near hashing comes to what the processors can do, on this machine.

    tests/bench/recheck.py LODESTONE_BINARY [--lt-recheck BINARY] [--gib 8]
                           [--rounds 5] [--only pieces,sha256,all,single]

Every line is measured in the same rounds as its bound: `openssl speed` at
16 KiB on one processor, times the processors.

pieces   `verify --level pieces` of 4 files against processors x sha1, and
         against libtorrent's own recheck with default settings
sha256   `verify --level checksums` of 4 files against processors x sha256, and
         sha256sum of the files, one process for each processor
all      md5, sha256 and v1 pieces of 4 files in one read against
         processors / (1/md5 + 1/sha256 + 1/sha1)
single   sha256, v2 root and v1 pieces of one file against the sha256 chain or
         processors / (2/sha256 + 1/sha1), whichever is less

Rates are medians of whole-process wall time of Lodestone; the files are in
the page cache, which is checked. Where other load takes processors away, the
second figure says more: bytes a second of processor time against what the
bound asks of one. Works in a temporary folder that it removes.
"""
import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

CHUNK = 4 << 20


def timed(command, environment):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=environment)
    return time.monotonic() - start


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def openssl_rate(digest, seconds=1):
    """Bytes a second of one processor at 16 KiB."""
    out = subprocess.run(
        ["openssl", "speed", "-mr", "-seconds", str(seconds), "-bytes",
         "16384", "-evp", digest], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True).stdout
    return float(re.search(r"^\+F:\d+:[^:]+:([0-9.]+)$", out, re.M).group(1))


def write_random(path, size):
    with open(path, "wb", buffering=0) as file:
        while size > 0:
            chunk = os.urandom(min(CHUNK, size))
            file.write(chunk)
            size -= len(chunk)


def resident(paths):
    """The part of the files that is in the page cache."""
    out = subprocess.run(["fincore", "--bytes", "--noheadings", "--output",
                          "RES,SIZE", *paths], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in out.splitlines()]
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs)


class Bench:
    def __init__(self, arguments, top):
        self.arguments = arguments
        self.binary = os.path.abspath(arguments.binary)
        self.top = top
        self.environment = {"PATH": os.environ["PATH"], "HOME": top,
                            "LC_ALL": "C.UTF-8"}
        self.processors = len(os.sched_getaffinity(0))
        self.size = int(arguments.gib * (1 << 30)) // (4 * CHUNK) * 4 * CHUNK

    def payload(self, name, count):
        folder = os.path.join(self.top, name)
        os.mkdir(folder)
        paths = [os.path.join(folder, f"weights.{i}") for i in range(count)]
        for path in paths:
            write_random(path, self.size // count)
        return folder, paths

    def publish(self, folder, form):
        torrent = f"{folder}.{form}.torrent"
        timed([self.binary, "publish", folder, "--output", torrent, "--format",
               form, "--overwrite"], self.environment)
        return torrent

    def verify(self, folder, *options):
        return timed([self.binary, "verify", folder, *options],
                     self.environment)

    def rounds(self, paths, digests, bound_of, ours, rivals):
        """Runs everything in turn and prints rates; `digests` says how often
        each byte goes into which, bound_of maps one-core rates by digest to
        bytes a second."""
        timed(["cat", *paths], self.environment)
        rates = {digest: [] for digest in digests}
        times, ratios, cpu_ratios = [], [], []
        rival_times = {name: [] for name in rivals}
        for _ in range(self.arguments.rounds):
            here = {}
            for digest in digests:
                here[digest] = openssl_rate(digest)
                rates[digest].append(here[digest])
            before = children_cpu()
            times.append(ours())
            cpu = children_cpu() - before
            # Other load comes and goes: the bound of a round is that of
            # just before and just after.
            for digest in digests:
                after = openssl_rate(digest)
                rates[digest].append(after)
                here[digest] = (here[digest] + after) / 2
            ratios.append(self.size / times[-1] / bound_of(here))
            work = sum(weight / here[d] for d, weight in digests.items())
            cpu_ratios.append(self.size * work / cpu)
            for name, run in rivals.items():
                rival_times[name].append(run())
        share = resident(paths)
        medians = {d: statistics.median(r) for d, r in rates.items()}
        rate = self.size / statistics.median(times)
        bound = bound_of(medians)
        print("  one processor: " + ", ".join(
            f"{d} {r / 1e9:.2f} GB/s" for d, r in medians.items()))
        print(f"  lodestone {rate / 1e9:.2f} GB/s, bound {bound / 1e9:.2f}, "
              f"ratio of medians {rate / bound:.2f}, median of the rounds' "
              f"ratios {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}), "
              f"{share:.1%} in the page cache")
        print("  work of the digests alone by processor time used: median "
              f"{statistics.median(cpu_ratios):.2f} "
              f"({min(cpu_ratios):.2f} to {max(cpu_ratios):.2f})")
        for name, measured in rival_times.items():
            rival = self.size / statistics.median(measured)
            print(f"  {name} {rival / 1e9:.2f} GB/s, lodestone is "
                  f"{rate / rival:.2f} times as fast")

    def libtorrent(self, torrent):
        out = subprocess.run([self.arguments.lt_recheck, torrent, self.top],
                             check=True, stdout=subprocess.PIPE, text=True)
        return float(out.stdout)

    def sha256sum(self, paths):
        start = time.monotonic()
        shares = [paths[i::self.processors] for i in range(self.processors)]
        running = [subprocess.Popen(["sha256sum", *share],
                                    stdout=subprocess.DEVNULL)
                   for share in shares if share]
        for process in running:
            process.wait()
        return time.monotonic() - start

    def many_files(self, wanted):
        cores = self.processors
        folder, paths = self.payload("payload", 4)
        torrent = self.publish(folder, "v1")
        if "pieces" in wanted:
            print("pieces: v1 pieces of 4 files")
            rivals = {}
            if self.arguments.lt_recheck:
                rivals["libtorrent"] = lambda: self.libtorrent(torrent)
            self.rounds(paths, {"sha1": 1}, lambda r: cores * r["sha1"],
                        lambda: self.verify(folder, "--level", "pieces",
                                            "--against", torrent), rivals)
        # What follows must not find the torrent by itself.
        shutil.rmtree(os.path.join(self.top, ".local"), ignore_errors=True)
        if "sha256" in wanted:
            print("sha256: of 4 files")
            self.rounds(paths, {"sha256": 1}, lambda r: cores * r["sha256"],
                        lambda: self.verify(folder, "--level", "checksums"),
                        {"sha256sum": lambda: self.sha256sum(paths)})
        if "all" in wanted:
            print("all: md5, sha256 and v1 pieces of 4 files")
            names = [os.path.basename(path) for path in paths]
            sums = subprocess.run(["md5sum", *names], check=True, cwd=folder,
                                  stdout=subprocess.PIPE).stdout
            with open(os.path.join(folder, "MD5SUMS"), "wb") as file:
                file.write(sums)
            self.rounds(paths, {"md5": 1, "sha256": 1, "sha1": 1},
                        lambda r: cores / sum(1 / x for x in r.values()),
                        lambda: self.verify(folder, "--level", "checksums",
                                            "--against", torrent), {})
        shutil.rmtree(folder)

    def single_file(self):
        cores = self.processors
        folder, paths = self.payload("single", 1)
        torrent = self.publish(folder, "hybrid")
        print("single: sha256, v2 root and v1 pieces of one file")
        self.rounds(paths, {"sha256": 2, "sha1": 1},
                    lambda r: min(r["sha256"], cores / (2 / r["sha256"] +
                                                        1 / r["sha1"])),
                    lambda: self.verify(folder, "--level", "checksums",
                                        "--against", torrent), {})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--lt-recheck")
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="pieces,sha256,all,single")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    top = tempfile.mkdtemp(prefix="lodestone-bench-")
    try:
        bench = Bench(arguments, top)
        print(f"{bench.size / (1 << 30):g} GiB, {bench.processors} processors, "
              f"{arguments.rounds} rounds")
        if {"pieces", "sha256", "all"} & set(wanted):
            bench.many_files(wanted)
        if "single" in wanted:
            bench.single_file()
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
