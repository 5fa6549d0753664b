#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes inference/text/unicode_nfc_table.cc: what normalisation form C needs.

Canonical decompositions and classes are those of Python's unicodedata. A pair
composes if normalising it gives the one character: that leaves out what
CompositionExclusions.txt excludes. Hangul is arithmetic and not in the tables.
Usage: make_nfc_table.py > inference/text/unicode_nfc_table.cc
"""
import textwrap
import unicodedata


def decompositions():
    """(character, first, second or 0)"""
    for code in range(0x110000):
        text = unicodedata.decomposition(chr(code))
        if text and not text.startswith("<"):
            parts = [int(part, 16) for part in text.split()]
            yield code, parts[0], parts[1] if len(parts) > 1 else 0


def compositions():
    """(first, second, character)"""
    found = []
    for code, first, second in decompositions():
        pair = chr(first) + chr(second)
        if second and unicodedata.normalize("NFC", pair) == chr(code):
            found.append((first, second, code))
    return sorted(found)


def classes():
    """(first character of a range, combining class), where it changes."""
    last = 0
    for code in range(0x110000):
        kind = unicodedata.combining(chr(code))
        if kind != last:
            yield code, kind
        last = kind


def table(name, size_name, kind, numbers):
    print(f"const std::array<{kind}, {size_name}> {name} = {{")
    print(textwrap.fill(" ".join(f"{n:#x}," for n in numbers), 80))
    print("};\n")


def main():
    print(f"""\
// SPDX-License-Identifier: Apache-2.0
// Written by inference/text/tools/make_nfc_table.py from Unicode {unicodedata.unidata_version}.
// Long because: every canonical decomposition is an entry.
#include "inference/text/unicode_nfc_table.h"

namespace inference {{

// clang-format off
""", end="")
    table("kDecompositions", "kNumDecompositions", "uint64_t",
          [c << 42 | a << 21 | b for c, a, b in decompositions()])
    table("kCompositions", "kNumCompositions", "uint64_t",
          [a << 42 | b << 21 | c for a, b, c in compositions()])
    table("kCombiningRanges", "kNumCombiningRanges", "uint32_t",
          [c << 8 | k for c, k in classes()])
    print("""// clang-format on

}  // namespace inference""")


main()
