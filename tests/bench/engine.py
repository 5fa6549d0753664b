#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine against llama.cpp and ik_llama.cpp: same file, same threads, the
engines in turn.

    tests/bench/engine.py LODESTONE_BINARY MODEL.gguf... [--llama FOLDER]
        [--ik FOLDER] [--rtr] [--prompt 512] [--gen 64] [--threads 2]
        [--rounds 5] [--start]

FOLDER holds the rival's built llama-bench (and llama-cli for --start), the
latter with the flags that were best for it: ik_llama.cpp with -fa 1 -fmoe 1,
with --rtr also with -rtr 1 as an engine of its own. Prints for each model the
median tokens a second of the prompt and of generating, their ratios to the
better rival, peak memory; with --start the seconds from the start of the
process to the first token of an answer.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def run(command):
    """Output, seconds and peak memory of a whole process."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    # Both ends are read: neither may fill up and block the process.
    output, errors = process.communicate()
    seconds = time.monotonic() - start
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit code {process.returncode}\n"
                 f"{errors.decode(errors='replace')[-2000:]}")
    return output.decode(), seconds


def peak_of(command):
    """Peak memory in bytes, as GNU time would print it."""
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_maxrss * 1024


class Lodestone:
    name = "lodestone"

    def __init__(self, binary, options):
        self.binary, self.options = os.path.abspath(binary), options

    def command(self, model, prompt, gen):
        return [self.binary, "bench", model, "--json", "--threads",
                str(self.options.threads), "--prompt", str(prompt), "--gen",
                str(gen), "--repeat", "1"]

    def rates(self, model):
        output, _ = run(self.command(model, self.options.prompt,
                                     self.options.gen))
        summary = json.loads(output.splitlines()[-1])["summary"]
        return (summary["pp_tokens_per_s"], summary["tg_tokens_per_s"],
                summary)

    def peak(self, model):
        return peak_of(self.command(model, self.options.prompt,
                                    self.options.gen))

    def start(self, model):
        _, seconds = run([self.binary, "chat", model, "-p", "Hello", "--raw",
                          "--max-tokens", "1", "--threads",
                          str(self.options.threads)])
        return seconds


class Rival:
    def __init__(self, name, folder, flags, options):
        self.name, self.flags, self.options = name, flags, options
        self.bench = os.path.join(folder, "llama-bench")
        self.cli = os.path.join(folder, "llama-cli")

    def command(self, model):
        return [self.bench, "-m", model, "-p", str(self.options.prompt), "-n",
                str(self.options.gen), "-t", str(self.options.threads), "-r",
                "1", "-o", "json", *self.flags]

    def rates(self, model):
        output, _ = run(self.command(model))
        rows = json.loads(output[output.index("["):])
        prompt = [r["avg_ts"] for r in rows if r["n_prompt"] > 0]
        gen = [r["avg_ts"] for r in rows if r["n_gen"] > 0]
        return prompt[0], gen[0], {}

    def peak(self, model):
        return peak_of(self.command(model))

    def start(self, model):
        # llama-cli takes -fa without a value, and where it is on alone.
        wanted = ["-fa"] if "1" in self.flags else []
        _, seconds = run([self.cli, "-m", model, "-p", "Hello", "-n", "1", "-t",
                          str(self.options.threads), *wanted])
        return seconds


def median_table(rounds, engines):
    out = {}
    for engine in engines:
        samples = [r[engine.name] for r in rounds]
        out[engine.name] = tuple(
            statistics.median(s[i] for s in samples) for i in (0, 1))
    return out


def show(model, engines, rounds, options):
    table = median_table(rounds, engines)
    others = [table[e.name] for e in engines if e.name != "lodestone"]
    print(os.path.basename(model), flush=True)
    for engine in engines:
        prompt, gen = table[engine.name]
        peak = engine.peak(model) / 1e9
        print(f"  {engine.name:<12} prompt {prompt:8.1f}  generating "
              f"{gen:7.2f} tokens/s  peak {peak:6.2f} GB", flush=True)
    if others:
        for index, what in ((0, "prompt"), (1, "generating")):
            best = max(o[index] for o in others)
            per_round = [r["lodestone"][index] /
                         max(r[e.name][index] for e in engines
                             if e.name != "lodestone") for r in rounds]
            print(f"  {what:<10} {table['lodestone'][index] / best:.2f} of the "
                  f"better rival (rounds "
                  f"{' '.join(f'{x:.2f}' for x in per_round)})")
    limits = [r["lodestone"][2] for r in rounds]
    for key in limits[0]:
        if key.endswith("_limit"):
            print(f"  {key} {statistics.median(r[key] for r in limits):.2f}")
    if options.start:
        seconds = {e.name: [] for e in engines}
        for _ in range(options.rounds):
            for engine in engines:
                seconds[engine.name].append(engine.start(model))
        for name, values in seconds.items():
            print(f"  {name:<12} first token after "
                  f"{statistics.median(values):.2f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--llama")
    parser.add_argument("--ik")
    parser.add_argument("--rtr", action="store_true")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--start", action="store_true")
    options = parser.parse_args()
    engines = [Lodestone(options.binary, options)]
    if options.llama:
        engines.append(Rival("llama.cpp", options.llama, ["-fa", "0"],
                             options))
    if options.ik:
        flags = ["-fa", "1", "-fmoe", "1"]
        engines.append(Rival("ik", options.ik, flags, options))
        if options.rtr:
            engines.append(Rival("ik-rtr", options.ik, flags + ["-rtr", "1"],
                                 options))
    for model in options.models:
        rounds = []
        for _ in range(options.rounds):
            rounds.append({e.name: e.rates(model) for e in engines})
        show(model, engines, rounds, options)


if __name__ == "__main__":
    main()
