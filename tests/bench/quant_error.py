#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables of the error of every written type, for each class of tensors, beside
those of another quantiser and with and without an importance matrix.

Usage: quant_error.py LODESTONE QUANT_ERROR SOURCE [--rival FOLDER]
                      [--imatrix auto|FILE] [--types q4_0,q4_k,...]
Converts SOURCE to each type in a temporary folder. FOLDER holds the rival's
files as TYPE.gguf; types that are not there are left out of its column.
QUANT_ERROR is built by `ninja quant_error`.
"""
import argparse
import os
import subprocess
import sys
import tempfile

TYPES = ("q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0",
         "iq4_nl", "mxfp4")


def errors(tool, source, paths):
    """By (class, path): type and relative error."""
    out = subprocess.run([tool, source, *paths], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    found = {}
    for line in out.splitlines():
        name, path, dtype, _, relative = line.split("\t")[:5]
        found[name, path] = dtype, float(relative)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lodestone")
    parser.add_argument("quant_error")
    parser.add_argument("source")
    parser.add_argument("--rival")
    parser.add_argument("--imatrix")
    parser.add_argument("--types", default=",".join(TYPES))
    flags = parser.parse_args()
    columns = ["Lodestone"]
    columns += ["with importance"] if flags.imatrix else []
    columns += ["rival", "Lodestone / rival"] if flags.rival else []
    print("| Type | Class | as | " + " | ".join(columns) + " |")
    print("|---" * (3 + len(columns)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        # A source in another order of rows could not be compared.
        source = os.path.join(folder, "source.gguf")
        convert = [flags.lodestone, "convert", flags.source]
        run = {"check": True, "stdout": subprocess.DEVNULL,
               "stderr": subprocess.DEVNULL}
        subprocess.run([*convert, source], **run)
        for dtype in flags.types.split(","):
            paths = {"Lodestone": os.path.join(folder, dtype + ".gguf")}
            subprocess.run([*convert, paths["Lodestone"], "--to", dtype],
                           **run)
            if flags.imatrix:
                paths["with importance"] = os.path.join(
                    folder, dtype + "-imatrix.gguf")
                subprocess.run([*convert, paths["with importance"], "--to",
                                dtype, "--imatrix", flags.imatrix], **run)
            rival = os.path.join(flags.rival or "", dtype + ".gguf")
            if flags.rival and os.path.exists(rival):
                paths["rival"] = rival
            found = errors(flags.quant_error, source, list(paths.values()))
            for name in sorted({name for name, _ in found}):
                ours = found[name, paths["Lodestone"]]
                cells = [f"{ours[1]:.5f}"]
                if "with importance" in paths:
                    cells.append(
                        f"{found[name, paths['with importance']][1]:.5f}")
                if flags.rival:
                    theirs = found.get((name, paths.get("rival")))
                    cells += (["", ""] if theirs is None else
                              [f"{theirs[1]:.5f} ({theirs[0]})",
                               f"{ours[1] / theirs[1]:.3f}"])
                print(f"| {dtype} | {name} | {ours[0]} | " +
                      " | ".join(cells) + " |")
            for path in paths.values():
                if path.startswith(folder):
                    os.unlink(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
