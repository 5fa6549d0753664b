#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`lodestone convert` against llama-quantize, in turn.

    tests/bench/convert.py LODESTONE_BINARY MODEL BF16.gguf --llama FOLDER
        [--types q8_0,q4_0,q4_k] [--rounds 3] [--threads 2] [--folder DIR]

MODEL is the published form (a folder with a .pth of bf16 numbers); BF16.gguf is
the same model as the rival takes it, made by `convert --to bf16` beforehand;
FOLDER holds the built llama-quantize. Before each run its source is read once,
so that it lies in the page cache, and what was written before is on the disk.
Prints the median bytes of the source a second and their ratio, our peak memory
(anonymous and of mapped pages), and how fast the disk takes the result alone:
`write` is the rate at which as many zeros are written and synced, in turn.
The times end when the data are on the disk.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

RIVAL_TYPES = {"q8_0": "Q8_0", "q4_0": "Q4_0", "q4_k": "Q4_K_S"}


def warm(path):
    for folder, _, names in os.walk(path) if os.path.isdir(path) else [
            (os.path.dirname(path), [], [os.path.basename(path)])]:
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as f:
                while f.read(8 << 20):
                    pass


def synced(path):
    """Ends when the data of a file are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def anonymous_peak(process):
    """The most memory that no file backs, looked at twenty times a second."""
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as f:
                found = re.search(r"RssAnon:\s*(\d+) kB", f.read())
        except OSError:
            break
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.05)
    return peak


def timed(command, result):
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    peaks = []
    watcher = threading.Thread(
        target=lambda: peaks.append(anonymous_peak(process)))
    watcher.start()
    errors = process.stderr.read()
    code = process.wait()
    watcher.join()
    if code != 0:
        raise SystemExit(f"{command}: exit code {code}\n"
                         f"{errors.decode(errors='replace')[-2000:]}")
    synced(result)
    return time.monotonic() - start, peaks[0]


def write_rate(path, size):
    block = bytes(8 << 20)
    start = time.monotonic()
    with open(path, "wb", buffering=0) as f:
        for _ in range(size // len(block)):
            f.write(block)
        os.fsync(f.fileno())
    seconds = time.monotonic() - start
    os.remove(path)
    return size / seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("gguf")
    parser.add_argument("--llama", required=True)
    parser.add_argument("--types", default=",".join(RIVAL_TYPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where results go; default: temporary")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="lodestone-convert-", dir=options.folder)
    size = os.path.getsize(options.gguf)
    result = os.path.join(folder, "result.gguf")
    try:
        for kind in options.types.split(","):
            ours, theirs, writes, peak = [], [], [], 0
            for _ in range(options.rounds):
                os.sync()
                warm(options.model)
                seconds, memory = timed(
                    [options.binary, "convert", options.model, result, "--to",
                     kind, "--threads", str(options.threads)], result)
                ours.append(size / seconds)
                peak = max(peak, memory)
                written = os.path.getsize(result)
                os.remove(result)
                os.sync()
                writes.append(write_rate(result, written))
                warm(options.gguf)
                seconds, _ = timed(
                    [os.path.join(options.llama, "llama-quantize"), "--pure",
                     options.gguf, result, RIVAL_TYPES[kind],
                     str(options.threads)], result)
                theirs.append(size / seconds)
                os.remove(result)
            mine, other = statistics.median(ours), statistics.median(theirs)
            # What the disk would take of the source if writing were all.
            limit = statistics.median(writes) * size / written
            print(f"{kind:<6} lodestone {mine / 1e9:.2f} GB/s of source, "
                  f"llama-quantize {other / 1e9:.2f}, ratio {mine / other:.2f} "
                  f"(rounds "
                  f"{' '.join(f'{a / b:.2f}' for a, b in zip(ours, theirs))}); "
                  f"of the disk's write rate {mine / limit:.2f}; "
                  f"anonymous memory at most {peak / 2 ** 20:.0f} MiB",
                  flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
