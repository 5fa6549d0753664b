#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Perplexity by this engine and by llama.cpp's, of files that either wrote.

    tests/bench/perplexity.py LODESTONE_BINARY MODEL TEXT --llama FOLDER
        [--ctx 512] [--types bf16,q8_0,...] [--own-only]

MODEL is a folder or file that `lodestone convert` reads; FOLDER holds the
built llama-perplexity and llama-quantize. TEXT is a file, or "questions:N": N
questions and answers of all the kinds that the demo model was trained on, of
the same nouns, drawn anew (the same each time). For each type the model is written
by both programs, and each file is read by both engines, by ours also with float
activations, as the weights alone would have it: a small model departs from that
by what either engine rounds of its activations. By how much the engines differ
on the same file comes last. A type that llama.cpp does not write (or read) has
a dash. --own-only leaves out the files that llama-quantize writes.
"""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

# Our names and those of llama-quantize; pure: every tensor gets the type.
TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0",
         "q6_k": "Q6_K", "q5_k": "Q5_K_S", "q4_k": "Q4_K_S", "q5_1": "Q5_1",
         "q5_0": "Q5_0", "q4_1": "Q4_1", "q4_0": "Q4_0", "iq4_nl": "IQ4_NL",
         "mxfp4": "MXFP4", "q5_k_m": "Q5_K_M", "q4_k_m": "Q4_K_M"}


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.binary = os.path.abspath(options.binary)
        self.source = os.path.join(folder, "source.gguf")
        self.convert(self.source, "bf16")

    def convert(self, path, kind):
        subprocess.run([self.binary, "convert", self.options.model, path,
                        "--to", kind], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def quantize(self, path, kind):
        """False where llama-quantize has no such type."""
        done = subprocess.run(
            [os.path.join(self.options.llama, "llama-quantize"), "--pure",
             self.source, path, TYPES[kind], "2"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode == 0

    def ours(self, path, *flags):
        done = subprocess.run(
            [self.binary, "eval", "perplexity", path, "--file",
             self.options.text, "--ctx", str(self.options.ctx), "--json",
             *flags], stdout=subprocess.PIPE)
        if done.returncode != 0:
            return None
        last = json.loads(done.stdout.splitlines()[-1])
        return last["summary"]["perplexity"]

    def theirs(self, path):
        done = subprocess.run(
            [os.path.join(self.options.llama, "llama-perplexity"), "-m", path,
             "-f", self.options.text, "-c", str(self.options.ctx), "-t", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = re.search(rb"Final estimate: PPL = ([0-9.]+)", done.stdout)
        return float(found[1]) if done.returncode == 0 and found else None

    def row(self, path):
        """Three figures of a file, and by how much the engines differ."""
        exact = self.ours(path, "--exact") if path else None
        ours = self.ours(path) if path else None
        theirs = self.theirs(path) if path else None
        return (f"{figure(exact)} {figure(ours)} {figure(theirs)} "
                f"{difference(ours, theirs)}")


def write_questions(count, path):
    recipe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                          "..", "magnets", "demo-recipe")
    sys.path.insert(0, recipe)
    sys.dont_write_bytecode = True
    from corpus import turns
    with open(os.path.join(recipe, "entries.json")) as f:
        entries = json.load(f)
    rng = random.Random(20261127)
    with open(path, "w") as f:
        for _ in range(count):
            question, answer = turns(rng.choice(entries), rng, entries)
            f.write(f"[INST] {question} [/INST] {answer}\n" if question
                    else answer + "\n")


def figure(value):
    return f"{value:9.4f}" if value is not None else "        -"


def difference(a, b):
    if a is None or b is None:
        return "       -"
    return f"{100 * (a / b - 1):+7.3f}%"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--llama", required=True)
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--own-only", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="lodestone-perplexity-")
    try:
        if options.text.startswith("questions:"):
            count = int(options.text.removeprefix("questions:"))
            options.text = os.path.join(folder, "questions.txt")
            write_questions(count, options.text)
        bench = Bench(options, folder)
        each = f"{'float':>9} {'ours':>9} {'llama.cpp':>9} {'differ':>8}"
        print(f"{'':<8} {'our file':<38}  |  their file")
        print(f"{'type':<8} {each}  |  {each}")
        for kind in options.types.split(","):
            mine = os.path.join(folder, "ours.gguf")
            other = os.path.join(folder, "theirs.gguf")
            bench.convert(mine, kind)
            written = (not options.own_only and
                       bench.quantize(other, kind))
            print(f"{kind:<8} {bench.row(mine)}  |  "
                  f"{bench.row(other if written else None)}", flush=True)
            for path in (mine, other):
                if os.path.exists(path):
                    os.remove(path)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
