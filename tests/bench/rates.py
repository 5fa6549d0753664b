# SPDX-License-Identifier: Apache-2.0
"""How recheck.py and digests.py measure: everything in turn within a round,
each figure beside its bound of the same round (`openssl speed` at 16 KiB on one
processor)."""
import argparse
import contextlib
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
    """A folder of random files in the page cache, and Lodestone beside others
    on it."""

    def __init__(self, arguments, top):
        self.arguments = arguments
        self.binary = os.path.abspath(arguments.binary)
        self.top = top
        self.environment = {"PATH": os.environ["PATH"], "HOME": top,
                            "LC_ALL": "C.UTF-8"}
        self.processors = len(os.sched_getaffinity(0))
        self.size = int(arguments.gib * (1 << 30)) // (4 * CHUNK) * 4 * CHUNK

    def payload(self, name, count):
        """Files of an earlier run with the same `--data` are taken again."""
        folder = os.path.join(self.top, name)
        os.makedirs(folder, exist_ok=True)
        paths = [os.path.join(folder, f"weights.{i}") for i in range(count)]
        for path in paths:
            if (not os.path.exists(path) or
                    os.path.getsize(path) != self.size // count):
                write_random(path, self.size // count)
        return folder, paths

    def publish(self, folder, form):
        torrent = f"{folder}.{form}.torrent"
        if os.path.exists(torrent):
            return torrent
        timed([self.binary, "publish", folder, "--output", torrent, "--format",
               form, "--overwrite"], self.environment)
        return torrent

    def verify(self, folder, *options):
        return timed([self.binary, "verify", folder, "--rehash", *options],
                     self.environment)

    def rounds(self, paths, digests, bound_of, ours, rivals):
        """Runs everything in turn and prints rates; `digests` says how often
        each byte goes into which, bound_of maps one-core rates by digest to
        bytes a second."""
        timed(["cat", *paths], self.environment)
        rates = {digest: [] for digest in digests}
        times, ratios, cpu_ratios, busy = [], [], [], []
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
            busy.append(cpu / times[-1])
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
              f"({min(cpu_ratios):.2f} to {max(cpu_ratios):.2f}); "
              f"{statistics.median(busy):.2f} of {self.processors} processors "
              "busy")
        for name, measured in rival_times.items():
            rival = self.size / statistics.median(measured)
            print(f"  {name} {rival / 1e9:.2f} GB/s, lodestone is "
                  f"{rate / rival:.2f} times as fast")

    def libtorrent(self, torrent):
        out = subprocess.run([self.arguments.lt_recheck, torrent, self.top],
                             check=True, stdout=subprocess.PIPE, text=True)
        return float(out.stdout)


def parser():
    """The arguments that both know."""
    made = argparse.ArgumentParser()
    made.add_argument("binary")
    made.add_argument("--lt-recheck", help="the built lt_recheck")
    made.add_argument("--gib", type=float, default=8)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--data", help="where the files are made and stay, "
                      "to be taken again (a folder that is removed)")
    return made


@contextlib.contextmanager
def folder_of(arguments):
    if arguments.data:
        os.makedirs(arguments.data, exist_ok=True)
        yield os.path.abspath(arguments.data)
        return
    top = tempfile.mkdtemp(prefix="lodestone-bench-")
    try:
        yield top
    finally:
        shutil.rmtree(top)
