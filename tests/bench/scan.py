# SPDX-License-Identifier: Apache-2.0
"""How fast the numbers of a model are looked at: `verify --level numeric` of one
safetensors file against reading the same bytes out of the page cache.

Usage: scan.py LODESTONE [--gib N] [--rounds R] [--dtype BF16|F16|F32]

The file holds random weights and has no configuration beside it, so that the
level `numeric` is one pass over its tensors; its time is taken from the events
of that stage, so starting the program and hashing do not count. The rival adds
up the bytes with as many processes as there are processors, each reading its
part in blocks of 1 MiB into one buffer: what it costs to have the bytes pass
through a processor at all.
"""
import argparse
import datetime
import json
import multiprocessing
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

BLOCK = 1 << 20
COLUMNS = 4096
SIZES = {"BF16": 2, "F16": 2, "F32": 4}


def random_rows(dtype):
    """A quarter of a GiB of numbers of the scale of weights."""
    seed = bytearray(os.urandom(1 << 28))
    if dtype == "F32":
        seed[3::4] = bytes(b & 0x80 | 0x3c for b in seed[3::4])
    elif dtype == "BF16":
        seed[1::2] = bytes(b & 0x80 | 0x3c for b in seed[1::2])
    else:
        seed[1::2] = bytes(b & 0x80 | 0x24 for b in seed[1::2])
    return bytes(seed)


def build(path, gib, dtype):
    part = random_rows(dtype)
    count = gib * 4
    rows = len(part) // SIZES[dtype] // COLUMNS
    header = {f"model.layers.{i}.mlp.up_proj.weight":
              {"dtype": dtype, "shape": [rows, COLUMNS],
               "data_offsets": [i * len(part), (i + 1) * len(part)]}
              for i in range(count)}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for i in range(count):
            # No two tensors are the same: that would be looked at again.
            file.write(struct.pack("<I", 0x3c003c00 + i) + part[4:])
    return count * len(part)


def stage_seconds(lodestone, path):
    run = subprocess.run([lodestone, "verify", path, "--level", "numeric",
                          "--json", "--progress", "none"],
                         stdout=subprocess.PIPE)
    if run.returncode != 0:
        sys.exit(f"verify ended with {run.returncode}: {run.stdout[-800:]}")
    at = {}
    for line in run.stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "stage" and event["stage"] == "numeric":
            stamp = event["ts"].replace("Z", "+00:00")
            at[event["state"]] = datetime.datetime.fromisoformat(stamp)
    return (at["end"] - at["begin"]).total_seconds()


def read_part(arguments):
    path, begin, end = arguments
    buffer = bytearray(BLOCK)
    with open(path, "rb", buffering=0) as file:
        file.seek(begin)
        while begin < end:
            read = file.readinto(buffer)
            if read == 0:
                break
            begin += read
    return begin


def read_seconds(path, size):
    workers = len(os.sched_getaffinity(0))
    step = size // workers
    parts = [(path, i * step, (i + 1) * step) for i in range(workers)]
    with multiprocessing.Pool(workers) as pool:
        pool.map(len, [b""] * workers)  # started
        begin = time.perf_counter()
        pool.map(read_part, parts, 1)
        return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lodestone")
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=SIZES, default="BF16")
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = os.path.join(folder, "model.safetensors")
        size = build(path, options.gib, options.dtype)
        read_seconds(path, size)
        scans, reads = [], []
        for _ in range(options.rounds):
            scans.append(stage_seconds(options.lodestone, path))
            reads.append(read_seconds(path, size))
    scan, read = statistics.median(scans), statistics.median(reads)
    print(f"{options.dtype}: scan {size / scan / 1e9:.2f} GB/s, "
          f"read {size / read / 1e9:.2f} GB/s, ratio {read / scan:.2f}")


main()
