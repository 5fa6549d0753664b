#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the hostile checkpoints, each a folder named for the rule it breaks,
and corpus.json beside them. The same bytes on every run.
Usage: build_corpus.py FOLDER [PART_OF_NAME]
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ggufs  # noqa: E402
import layouts  # noqa: E402
import pickles  # noqa: E402
import safetensors_files  # noqa: E402
import sniffed  # noqa: E402
import texts  # noqa: E402
import zips  # noqa: E402
from case import around, config_json  # noqa: E402,F401

MODULES = (pickles, zips, ggufs, safetensors_files, sniffed, texts, layouts)


def all_cases():
    seen = set()
    for module in MODULES:
        for case in module.cases():
            if case.name in seen:
                raise ValueError(f"two cases of the name {case.name}")
            seen.add(case.name)
            yield case


def good_models():
    """Name to (files, target): what must be accepted, by the same builders."""
    shards, index = safetensors_files.two_shards()
    crc_zero = [zips.dataclasses.replace(member, crc=0)
                for member in zips.members()]
    return {
        "torch": (around(zips.archive()), ""),
        "torch-crc-0": (around(zips.build(crc_zero)), ""),
        "gguf": ({"model.gguf": ggufs.build()}, "model.gguf"),
        "safetensors": (around(safetensors_files.build(),
                               safetensors_files.NAME), ""),
        "shards": (safetensors_files.hf(shards, index), ""),
        "slices": (layouts.good_slices(), ""),
        "pieces": (layouts.good_pieces(), ""),
    }


def write(folder, files, holes=()):
    for path, data in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)
            if path in holes:
                file.truncate(holes[path])


def main():
    root = sys.argv[1]
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    listed = []
    for case in all_cases():
        if part not in case.name:
            continue
        folder = os.path.join(root, case.name)
        write(folder, case.files, case.holes)
        listed.append({"name": case.name, "target": case.target,
                       "code": case.code, "id": case.id,
                       "convert": case.convert_code})
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "corpus.json"), "w",
              encoding="utf-8") as file:
        json.dump(listed, file, indent=1)
        file.write("\n")
    print(f"{len(listed)} cases")


if __name__ == "__main__":
    main()
