#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes inference/text/unicode_table.cc: the class of every character.

The classes are what the patterns of tokenizers tell apart (unicode_class.h).
Categories are those of Python's unicodedata; \\s is the property White_Space
(PropList.txt), which unicodedata does not have: it is stable and listed here.
Usage: make_unicode_table.py > inference/text/unicode_table.cc
"""
import unicodedata

WHITE_SPACE = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680,
               *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# The numbers of CharClass.
OTHER, UPPER, LOWER, LETTER, MARK, NUMBER, SPACE = range(7)
# Of a range: capitals and small letters in turn, a capital first; and a small
# one first.
CAPITAL_SMALL, SMALL_CAPITAL = 7, 8
PER_LINE = 8


def class_of(code):
    if code in WHITE_SPACE:
        return SPACE
    category = unicodedata.category(chr(code))
    known = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER, "Lm": LETTER, "Lo": LETTER}
    if category in known:
        return known[category]
    return {"M": MARK, "N": NUMBER}.get(category[0], OTHER)


def plain_runs():
    """[first character, class, length]"""
    runs = []
    for code in range(0x110000):
        kind = class_of(code)
        if runs and runs[-1][1] == kind:
            runs[-1][2] += 1
        else:
            runs.append([code, kind, 1])
    return runs


def ranges():
    """(first character, class), runs of single letters in turn joined."""
    runs = plain_runs()
    at = 0
    while at < len(runs):
        end = at
        while (end + 1 < len(runs) and runs[end][2] == runs[end + 1][2] == 1
               and {runs[end][1], runs[end + 1][1]} == {UPPER, LOWER}):
            end += 1
        if end - at >= 3:
            yield runs[at][0], (CAPITAL_SMALL if runs[at][1] == UPPER
                                else SMALL_CAPITAL)
            at = end + 1
        else:
            yield runs[at][0], runs[at][1]
            at += 1


def main():
    numbers = [f"{first << 4 | kind:#x}," for first, kind in ranges()]
    print(f"""\
// SPDX-License-Identifier: Apache-2.0
// Written by inference/text/tools/make_unicode_table.py from Unicode
// {unicodedata.unidata_version}. Each number: 16 * first character of a range + its class.
#include "inference/text/unicode_table.h"

namespace inference {{

// clang-format off
const std::array<uint32_t, kNumUnicodeRanges> kUnicodeRanges = {{""")
    for start in range(0, len(numbers), PER_LINE):
        print(" ".join(numbers[start:start + PER_LINE]))
    print("""};
// clang-format on

}  // namespace inference""")


main()
