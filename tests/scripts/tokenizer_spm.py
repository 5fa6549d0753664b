# SPDX-License-Identifier: Apache-2.0
"""Ids of generated texts are those of spm_encode (Debian's sentencepiece), for
Mistral's vocabularies v1 and v3.

Where that program is not installed, they are those of the plain encoder below,
which is written from docs/formats/tokenizer.md alone; where it is, the encoder
is held against it too. Texts with newlines, which spm_encode takes for the end
of a text, are compared with the encoder only. No argument; the seed is fixed.
"""
import heapq
import os
import random
import shutil
import struct
import subprocess
import sys

SEED = 20231208
TEXTS = 10000  # without newlines
MORE = 1000    # with newlines
MODELS = ("mistral-v1.model", "mistral-v3.model")
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
MARK = "\u2581"


# The plain encoder.

def fields(data):
    """(number, value) of a protobuf message; bytes, int or float."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
        elif kind == 2:
            size = varint()
            yield number, data[at:at + size]
            at += size
        elif kind == 5:
            yield number, struct.unpack("<f", data[at:at + 4])[0]
            at += 4
        else:
            raise ValueError(f"wire type {kind}")


class PlainEncoder:
    def __init__(self, path):
        self.ids, self.scores, self.user, self.bytes = {}, {}, [], {}
        with open(path, "rb") as file:
            pieces = [dict(fields(value)) for number, value in
                      fields(file.read()) if number == 1]
        for number, piece in enumerate(pieces):
            text, kind = piece[1].decode(), piece.get(3, NORMAL)
            if kind == BYTE:
                self.bytes[int(text[3:5], 16)] = number
            elif kind in (NORMAL, USER):
                self.ids[text] = number
                self.scores[text] = piece.get(2, 0.0)
                if kind == USER:
                    self.user.append(text)
        self.user.sort(key=len, reverse=True)

    def symbols(self, text):
        """Characters, and user-defined pieces, which are never joined."""
        at = 0
        while at < len(text):
            found = next((p for p in self.user if text.startswith(p, at)),
                         text[at])
            yield found, len(found) > 1 or found in self.user
            at += len(found)

    def encode(self, data):
        if not data:
            return []
        text = MARK + repaired(data).replace(" ", MARK)
        chain = list(self.symbols(text))
        parts = [part for part, _ in chain]
        frozen = [is_frozen for _, is_frozen in chain]
        before = list(range(-1, len(parts) - 1))
        after = list(range(1, len(parts))) + [-1]
        queue = []

        def offer(left):
            right = after[left] if left >= 0 else -1
            if left < 0 or right < 0 or frozen[left] or frozen[right]:
                return
            whole = parts[left] + parts[right]
            if whole in self.ids:
                heapq.heappush(queue, (-self.scores[whole], left, right,
                                       len(whole)))

        for left in range(len(parts)):
            offer(left)
        while queue:
            _, left, right, size = heapq.heappop(queue)
            if (not parts[left] or after[left] != right
                    or len(parts[left]) + len(parts[right]) != size):
                continue
            parts[left] += parts[right]
            parts[right] = ""
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            offer(before[left])
            offer(left)
        ids = []
        for part in filter(None, parts):
            if part in self.ids:
                ids.append(self.ids[part])
            else:
                ids.extend(self.bytes[byte] for byte in part.encode())
        return ids


def repaired(data):
    """U+FFFD for every byte that belongs to no character."""
    out, at = [], 0
    while at < len(data):
        size = 1 if data[at] < 0x80 else 2 if data[at] < 0xE0 else \
            3 if data[at] < 0xF0 else 4
        try:
            out.append(data[at:at + size].decode())
            at += size
        except UnicodeDecodeError:
            out.append("\ufffd")
            at += 1
    return "".join(out)


# The generator.

WORDS = """the model of an expert router attention is was hello world Ocean
function return int void naïve façade über straße Москва привет мир 中文 模型
日本語 ひらがな 한국어 العربية עברית ไทย हिन्दी ελληνικά 𓀀 🙂 👩‍👩‍👧 e\u0301
don't I'm 3.14159 1234567890 https://example.org/a?b=c&d=%20 x86_64 foo_bar
camelCaseWord HTTPServer <s> </s> <unk> <0x41> <0x0A> [INST] [/INST]
[TOOL_CALLS] [AVAILABLE_TOOLS] [control_8] [REFERENCE_DOC_0]
[REFERENCE_DOC_12] [REFERENCE_DOC_ [IMG] \u2581 \u2581\u2581 ▁the ⁇ \ufffd
\ufeff \u200b \u200d \u00a0 \u2028 {"name": "x"} ### ---- ==== ++i; //""".split()
BLANKS = [" ", "  ", "   ", " " * 7, " " * 16, " " * 17, " " * 33, "\t",
          "\t\t", "\r", "\v", "\f", " \t ", "\u3000", ""]


def character(rng):
    kind = rng.randrange(8)
    if kind < 3:
        return chr(rng.randrange(0x20, 0x7F))
    if kind == 3:
        return chr(rng.choice([*range(0x00, 0x0A), *range(0x0B, 0x20), 0x7F]))
    if kind == 4:
        return chr(rng.randrange(0x80, 0x800))
    if kind == 5:
        return chr(rng.choice([rng.randrange(0x800, 0xD800),
                               rng.randrange(0xE000, 0x10000)]))
    return chr(rng.randrange(0x10000, 0x110000))


def text_of(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 21])):
        kind = rng.randrange(10)
        if kind < 5:
            parts.append(rng.choice(WORDS).encode())
        elif kind < 7:
            parts.append("".join(character(rng) for _ in
                                 range(rng.randrange(1, 6))).encode())
        elif kind == 7:
            parts.append(rng.choice("aA0 -=.#é中🙂").encode()
                         * rng.randrange(1, 40))
        elif kind == 8:
            parts.append(rng.randbytes(rng.randrange(1, 6)))
        else:  # a character with its end or its beginning cut off
            data = chr(rng.randrange(0x800, 0xD800)).encode()
            parts.append(rng.choice([data[:-1], data[1:], data[:1]]))
        parts.append(rng.choice(BLANKS).encode())
    return b"".join(parts)


def texts():
    rng = random.Random(SEED)
    plain = [text_of(rng).replace(b"\n", b"") for _ in range(TEXTS)]
    broken = [rng.choice([b"\n", b"\n\n", b"\r\n", b" \n "]).join(
        text_of(rng) for _ in range(rng.randrange(2, 4))) for _ in range(MORE)]
    return plain, broken


# The comparison.

def ids_of(lines):
    return [[int(word) for word in line.split()] for line in lines]


def by_us(model, data):
    lines = "".join(text.hex() + "\n" for text in data)
    run = subprocess.run([os.environ["TOKENIZE_HEX"], model], input=lines,
                         capture_output=True, text=True, check=True)
    return ids_of(run.stdout.splitlines())


def by_spm_encode(program, model, data):
    run = subprocess.run([program, f"--model={model}", "--output_format=id"],
                         input=b"".join(text + b"\n" for text in data),
                         capture_output=True, check=True)
    return ids_of(run.stdout.decode().split("\n")[:-1])


def compare(name, data, ours, others):
    """How many agree; says what the first that does not is."""
    assert len(ours) == len(others) == len(data), (len(ours), len(others))
    wrong = [i for i, ids in enumerate(ours) if ids != others[i]]
    for i in wrong[:3]:
        print(f"{name}: {data[i]!r}\n  ours   {ours[i]}\n  theirs {others[i]}")
    print(f"{name}: {len(data) - len(wrong)} of {len(data)} texts agree")
    return not wrong


def main():
    source = os.environ["SOURCE"]
    program = os.environ.get("SPM_ENCODE") or shutil.which("spm_encode")
    plain, broken = texts()
    fine = True
    for name in MODELS:
        model = os.path.join(source, "tests/golden/tokenizers", name)
        encoder = PlainEncoder(model)
        ours = by_us(model, plain + broken)
        if program:
            theirs = by_spm_encode(program, model, plain)
            fine &= compare(f"{name}, spm_encode", plain, ours[:TEXTS], theirs)
        expected = [encoder.encode(text) for text in plain + broken]
        fine &= compare(f"{name}, plain encoder", plain + broken, ours,
                        expected)
    if not program:
        print("spm_encode is not installed: compared with the plain encoder")
    return 0 if fine else 1


sys.exit(main())
