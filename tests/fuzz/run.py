# SPDX-License-Identifier: Apache-2.0
"""Spends processor time on every fuzz target, several at once, and says how
much each got: a limit of wall time says nothing on a busy machine.

  python3 tests/fuzz/run.py build/fuzz [--minutes 20] [--jobs 2] [--only zip,tar]

Inputs are kept in BUILD/fuzz-corpus/NAME and the time spent in
BUILD/fuzz-spent.json, so that a run goes on where the last one was stopped. A
finding is left as BUILD/fuzz-findings/NAME-*, and the target is given up until
that file is gone."""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SLICE_S = 60
# What a reader may take of memory at once, and of time for one input.
TIMEOUT_S = 10
LIMITS = ("-malloc_limit_mb=256", "-rss_limit_mb=2048",
          f"-timeout={TIMEOUT_S}")


class Spent:
    """Seconds of processor time, executions and coverage by target."""

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        try:
            with open(path, encoding="utf-8") as file:
                self._of = json.load(file)
        except FileNotFoundError:
            self._of = {}

    def seconds(self, name):
        return self._of.get(name, {}).get("cpu_s", 0)

    def add(self, name, cpu_s, runs, coverage):
        with self._lock:
            entry = self._of.setdefault(name, {"cpu_s": 0, "runs": 0})
            entry["cpu_s"] = round(entry["cpu_s"] + cpu_s, 1)
            entry["runs"] += runs
            entry["coverage"] = coverage
            with open(self._path + ".new", "w", encoding="utf-8") as file:
                json.dump(self._of, file, indent=1, sort_keys=True)
            os.replace(self._path + ".new", self._path)
            return dict(entry)


def one_slice(binary, corpus, seeds, findings):
    """(cpu seconds, executions, coverage, exit status, the last lines)."""
    process = subprocess.Popen(
        [binary, corpus, seeds, f"-max_total_time={SLICE_S}",
         f"-artifact_prefix={findings}", "-print_final_stats=1", *LIMITS],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="replace")
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said)
    covered = re.findall(r"cov: (\d+)", said)
    return (usage.ru_utime + usage.ru_stime, int(runs[-1]) if runs else 0,
            int(covered[-1]) if covered else 0, process.returncode,
            said[-3000:])


def only_waited(binary, findings):
    """Whether all that was found is inputs that are not slow: libFuzzer goes by
    the clock, which also runs while others have the processor. Removes them."""
    paths = glob.glob(glob.escape(findings) + "*")
    for path in paths:
        if not re.match(r"(timeout|slow-unit)-", path[len(findings):]):
            return False
        process = subprocess.Popen([binary, path], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if status != 0 or usage.ru_utime + usage.ru_stime >= TIMEOUT_S:
            return False
        os.unlink(path)
    return bool(paths)


def fuzz(name, build, wanted_s, spent):
    corpus = os.path.join(build, "fuzz-corpus", name)
    findings = os.path.join(build, "fuzz-findings", name + "-")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(os.path.dirname(findings), exist_ok=True)
    binary = os.path.join(build, "tests", "fuzz", name + "_fuzz")
    seeds = os.path.join(HERE, "corpus", name)
    entry = None
    while spent.seconds(name) < wanted_s:
        if (glob.glob(glob.escape(findings) + "*") and
                not only_waited(binary, findings)):
            return f"{name}: a finding is there: {findings}*"
        cpu_s, runs, coverage, status, said = one_slice(binary, corpus, seeds,
                                                        findings)
        entry = spent.add(name, cpu_s, runs, coverage)
        if status != 0 and not only_waited(binary, findings):
            return f"{name}: status {status}\n{said}"
    print(f"{name}: {spent.seconds(name) / 60:.1f} minutes of processor time" +
          (f", {entry['runs']} executions, {entry['coverage']} edges"
           if entry else " (before)"), flush=True)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    build = os.path.abspath(options.build)
    names = sorted(os.path.basename(path)[:-len("_fuzz")] for path in
                   glob.glob(os.path.join(build, "tests", "fuzz", "*_fuzz")))
    if options.only:
        names = [name for name in options.only.split(",") if name in names]
    if not names:
        sys.exit(f"no fuzz target in {build}: cmake --workflow --preset fuzz")
    if not shutil.which("llvm-symbolizer") and not shutil.which(
            "llvm-symbolizer-14"):
        print("no llvm-symbolizer: reports will name no lines",
              file=sys.stderr)
    spent = Spent(os.path.join(build, "fuzz-spent.json"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        problems = [problem for problem in pool.map(
            lambda name: fuzz(name, build, options.minutes * 60, spent), names)
            if problem]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
