# SPDX-License-Identifier: Apache-2.0
"""GGUF files that break a rule (trust: GGUF)."""
import dataclasses
import struct

from case import (DIM, FF, HEAD_DIM, HEADS, KV_HEADS, LAYERS, TENSORS,
                  VOCABULARY, Case, bf16, elements, f32, pieces)

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
TYPE_F32, TYPE_F16, TYPE_Q4_0, TYPE_Q8_0, TYPE_BF16 = 0, 1, 2, 8, 30
FORMATS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i",
           F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    if kind == STRING:
        return string(content)
    if kind == ARRAY:
        element, items = content
        return (struct.pack("<IQ", element, len(items)) +
                b"".join(value(element, item) for item in items))
    return struct.pack(FORMATS[kind], content)


def key(name, kind, content):
    """`content` as bytes stands as it is."""
    raw = content if isinstance(content, bytes) else value(kind, content)
    return string(name) + struct.pack("<I", kind) + raw


@dataclasses.dataclass
class Tensor:
    name: object
    ne: tuple
    kind: int
    data: bytes
    offset: int = None
    dims: int = None


def keys():
    """Name to (type, value), in order."""
    listed = pieces()
    return {
        "general.architecture": (STRING, "llama"),
        "general.name": (STRING, "hostile"),
        "llama.block_count": (U32, LAYERS),
        "llama.context_length": (U32, 1024),
        "llama.embedding_length": (U32, DIM),
        "llama.feed_forward_length": (U32, FF),
        "llama.attention.head_count": (U32, HEADS),
        "llama.attention.head_count_kv": (U32, KV_HEADS),
        "llama.rope.dimension_count": (U32, HEAD_DIM),
        "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
        "llama.rope.freq_base": (F32, 10000.0),
        "llama.vocab_size": (U32, VOCABULARY),
        "tokenizer.ggml.model": (STRING, "llama"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, [p[0] for p in listed])),
        "tokenizer.ggml.scores": (ARRAY, (F32, [p[1] for p in listed])),
        "tokenizer.ggml.token_type": (ARRAY, (I32, [p[2] for p in listed])),
        "tokenizer.ggml.bos_token_id": (U32, 1),
        "tokenizer.ggml.eos_token_id": (U32, 2),
    }


def tensors():
    listed = []
    for index, (_, _, name, shape) in enumerate(TENSORS):
        norm = len(shape) == 1
        listed.append(Tensor(
            name, tuple(reversed(shape)), TYPE_F32 if norm else TYPE_BF16,
            f32(index, shape) if norm else bf16(index, shape)))
    return listed


def build(entries=None, listed=None, version=3, magic=b"GGUF",
          num_tensors=None, num_keys=None, alignment=32, tail=b"",
          padding=b"\0", more_keys=b"", num_more=0):
    entries = keys() if entries is None else entries
    listed = tensors() if listed is None else listed
    meta = b"".join(key(name, *entry) for name, entry in entries.items())
    meta += more_keys
    infos = bytearray()
    data = bytearray()
    for tensor in listed:
        data += padding * (-len(data) % alignment)
        offset = len(data) if tensor.offset is None else tensor.offset
        dims = len(tensor.ne) if tensor.dims is None else tensor.dims
        infos += (string(tensor.name) + struct.pack("<I", dims) +
                  b"".join(struct.pack("<Q", n) for n in tensor.ne) +
                  struct.pack("<IQ", tensor.kind, offset % 2 ** 64))
        data += tensor.data
    count = len(entries) + num_more
    head = bytearray(magic) + struct.pack(
        "<IQQ", version,
        len(listed) if num_tensors is None else num_tensors,
        count if num_keys is None else num_keys) + meta + infos
    head += padding * (-len(head) % alignment)
    return bytes(head + data + tail)


def changed(index, **changes):
    listed = tensors()
    listed[index] = dataclasses.replace(listed[index], **changes)
    return listed


def with_key(name, kind, content):
    entries = keys()
    entries[name] = (kind, content)
    return entries


def without(*names):
    entries = keys()
    for name in names:
        del entries[name]
    return entries


def cases():
    def case(name, data, id="E-GGUF", **more):
        return Case("gguf/" + name, {"model.gguf": data}, id,
                    target="model.gguf", **more)

    whole = build()
    yield case("magic", b"GGUF"[::-1] + whole[4:], "E-CONTENT")
    yield case("magic-lower-case", b"gguf" + whole[4:], "E-CONTENT")
    for version in (0, 1, 4, 2 ** 32 - 1):
        yield case(f"version-{version}", build(version=version), code=9)
    yield case("big-endian", whole[:4] + whole[4:8][::-1] + whole[8:], code=9)
    for what, lie in (("minus-1", 2 ** 64 - 1), ("2-63", 2 ** 63),
                      ("1e9", 10 ** 9), ("one-more", None)):
        yield case(f"n-tensors-{what}", build(
            num_tensors=len(tensors()) + 1 if lie is None else lie))
        yield case(f"n-kv-{what}", build(
            num_keys=len(keys()) + 1 if lie is None else lie))
    yield case("n-tensors-one-less", build(num_tensors=len(tensors()) - 1))
    yield case("n-kv-one-less", build(num_keys=len(keys()) - 1))
    yield case("n-tensors-zero", build(listed=[]), "*")
    yield case("key-2-64", build(more_keys=b"\xff" * 8, num_more=1))
    yield case("key-longer-than-file", build(
        more_keys=struct.pack("<Q", 1 << 30), num_more=1))
    yield case("key-empty", build(with_key("", U32, 1)))
    yield case("key-twice", build(more_keys=key("general.name", STRING, "x"),
                                  num_more=1))
    yield case("key-not-utf8", build(more_keys=key(b"\xff\xfe", U32, 1),
                                     num_more=1))
    yield case("key-control", build(with_key("a\x1b[2J", U32, 1)))
    yield case("key-70000-bytes", build(with_key("k" * 70000, U32, 1)))
    yield case("keys-70000", build(more_keys=b"".join(
        key(f"k{i}", U8, 0) for i in range(70000)), num_more=70000))
    for kind in (13, 99, 2 ** 31, 2 ** 32 - 1):
        yield case(f"value-type-{kind}", build(
            more_keys=key("x", kind, b"\0" * 8), num_more=1))
    yield case("bool-2", build(more_keys=key("x", BOOL, b"\x02"),
                               num_more=1))
    yield case("bool-in-array-7", build(with_key(
        "x", ARRAY, (BOOL, [1, 7]))))
    yield case("string-2-64", build(more_keys=key("x", STRING, b"\xff" * 8),
                                    num_more=1))
    yield case("string-of-1-gib", build(more_keys=key(
        "x", STRING, struct.pack("<Q", 1 << 30)), num_more=1))
    yield case("string-of-17-mib", build(with_key("x", STRING,
                                                  "a" * (17 << 20))))
    for what, element, count in (
            ("2-61-u64", U64, 2 ** 61), ("2-62-u32", U32, 2 ** 62),
            ("minus-1-u8", U8, 2 ** 64 - 1), ("1e9-string", STRING, 10 ** 9),
            ("1e9-bool", BOOL, 10 ** 9)):
        yield case(f"array-{what}", build(more_keys=key(
            "x", ARRAY, struct.pack("<IQ", element, count)), num_more=1))
    yield case("array-of-arrays", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQIQ", ARRAY, 1, U8, 0)), num_more=1))
    yield case("array-element-type", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQ", 77, 1) + b"\0" * 8), num_more=1))
    yield case("array-9-million", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQ", U8, 9 << 20) + b"\0" * (9 << 20)),
        num_more=1))
    yield case("array-of-a-million-strings", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQ", STRING, 10 ** 6) +
        (struct.pack("<Q", 40) + b"a" * 40) * 10 ** 6), num_more=1,
        listed=[]), "E-EMPTY")
    yield case("tensors-200000", build(listed=[
        Tensor(f"t{i}", (32,), 24, b"", offset=32 * i)
        for i in range(200000)]))
    yield case("tensors-300000", build(listed=[
        Tensor(f"t{i}", (32,), 24, b"", offset=32 * i)
        for i in range(300000)]))
    yield case("array-of-short-strings", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQ", STRING, 4 << 20) +
        b"\0" * (32 << 20)), num_more=1), "E-GGUF")
    for alignment in (0, 1, 4, 13, 24, 8192, 2 ** 30, 2 ** 31, 2 ** 32 - 3):
        yield case(f"alignment-{alignment}", build(
            with_key("general.alignment", U32, alignment)))
    for what, kind, content in (("u64", U64, 32), ("text", STRING, "32"),
                                ("bool", BOOL, 1), ("i32", I32, 32),
                                ("array", ARRAY, (U32, [32]))):
        yield case(f"alignment-as-{what}", build(
            with_key("general.alignment", kind, content)))
    yield case("alignment-other-than-layout", build(
        with_key("general.alignment", U32, 256)))
    yield case("alignment-padding-not-zero", build(padding=b"x"))

    yield case("tensor-name-64-bytes", build(listed=changed(0, name="a" * 64)))
    yield case("tensor-name-empty", build(listed=changed(0, name="")), "*")
    yield case("tensor-name-2-63", build(num_tensors=len(tensors()) + 1)[:-1]
               + b"", "*")
    yield case("tensor-name-control", build(listed=changed(
        0, name="a\x1b[2J")), "*")
    yield case("tensor-name-not-utf8", build(listed=changed(
        0, name=b"\xff")), "*")
    yield case("tensor-twice", build(listed=tensors() + [Tensor(
        "output.weight", (DIM, VOCABULARY), TYPE_BF16,
        bf16(9, (VOCABULARY, DIM)))]), "*")
    for dims in (0, 5, 77, 2 ** 32 - 1):
        yield case(f"n-dims-{dims}", build(listed=changed(0, dims=dims)))
    yield case("dim-zero", build(listed=changed(0, ne=(DIM, 0), data=b"")))
    yield case("dim-zero-before-overflow", build(listed=changed(
        0, ne=(2 ** 63, 2 ** 63, 0), data=b"")))
    yield case("ne-2-63", build(listed=changed(0, ne=(2 ** 63, 1))))
    yield case("ne-minus-1", build(listed=changed(0, ne=(2 ** 64 - 1,))))
    yield case("ne-product-2-64", build(listed=changed(
        0, ne=(2 ** 32, 2 ** 32))))
    yield case("nbytes-wraps-to-0", build(listed=changed(
        0, ne=(2 ** 62, 4), kind=TYPE_F32, data=b"")))
    yield case("nbytes-wraps-to-small", build(listed=changed(
        0, ne=(2 ** 62 + 8, 1), kind=TYPE_F32, data=b"\0" * 32)))
    # Padding the size up would wrap to 0.
    yield case("padded-size-wraps", build(listed=changed(
        0, ne=(2 ** 64 - 32, 1), kind=24, data=b"")))
    yield case("mem-size-overflow", build(listed=[
        Tensor(f"t{i}", (2 ** 61,), 24, b"", offset=0) for i in range(8)]))
    for kind in (4, 5, 31, 36, 64, 99, 2 ** 31, 2 ** 32 - 1):
        yield case(f"tensor-type-{kind}", build(listed=changed(0, kind=kind)),
                   code=9 if kind < 64 else 8)
    yield case("partial-block", build(listed=changed(
        0, ne=(DIM + 1, VOCABULARY), kind=TYPE_Q8_0,
        data=b"\0" * (34 * VOCABULARY))))
    yield case("offset-beyond-file", build(listed=changed(
        11, offset=1 << 40)))
    yield case("offset-2-64-minus-32", build(listed=changed(
        11, offset=2 ** 64 - 32)))
    yield case("offset-unaligned", build(listed=changed(11, offset=8)))
    yield case("offset-overlaps", build(listed=changed(11, offset=0)))
    yield case("offset-hole", build(listed=changed(
        11, offset=len(whole))))
    yield case("offset-in-metadata", build(listed=changed(
        0, offset=2 ** 64 - 1024)))
    # What Ollama before 0.17.1 re-quantised: the heap behind a short file.
    yield case("data-beyond-file", build(listed=changed(
        11, ne=(DIM, VOCABULARY * 1000))))
    for cut in (3, 8, 20, 24, 100, len(whole) - 1):
        yield case(f"cut-at-{cut}", whole[:cut],
                   "E-CONTENT" if cut == 3 else "E-GGUF")
    yield case("tail", build(tail=b"evil" * 100))
    yield case("tail-zip", build(tail=b"PK\x03\x04" + b"\0" * 60))
    yield case("tail-of-zeros", build(tail=b"\0" * 4096))
    yield case("metadata-cut-in-array", build(more_keys=key(
        "x", ARRAY, struct.pack("<IQ", U32, 100)), num_more=1, listed=[]),
        "*")

    # Well-formed tables whose numbers lie about the model.
    for name, what, lie in (
            ("llama.attention.head_count", "n-head", 0),
            ("llama.attention.head_count", "n-head", 3),
            ("llama.attention.head_count", "n-head", 2 ** 32 - 1),
            ("llama.attention.head_count_kv", "n-head-kv", 0),
            ("llama.attention.head_count_kv", "n-head-kv", 7),
            ("llama.block_count", "block-count", 0),
            ("llama.block_count", "block-count", 2),
            ("llama.block_count", "block-count", 10 ** 6),
            ("llama.embedding_length", "n-embd", 0),
            ("llama.embedding_length", "n-embd", 64),
            ("llama.embedding_length", "n-embd", 2 ** 31),
            ("llama.feed_forward_length", "n-ff", 0),
            ("llama.feed_forward_length", "n-ff", 2 ** 32 - 1),
            ("llama.context_length", "context", 2 ** 32 - 1),
            ("llama.rope.dimension_count", "rope-dims", 0),
            ("llama.rope.dimension_count", "rope-dims", 15),
            ("llama.rope.dimension_count", "rope-dims", 2 ** 20),
            ("llama.vocab_size", "vocabulary", 0),
            ("llama.vocab_size", "vocabulary", VOCABULARY - 1),
            ("llama.vocab_size", "vocabulary", 2 ** 31)):
        # Part of each head turned is a form that is not implemented.
        partial = (what, lie) in (("n-embd", 64), ("n-embd", 2 ** 31))
        yield case(f"{what}-{lie}", build(with_key(name, U32, lie)), "*",
                   code=9 if partial else 8)
    for what, lie in (("zero", 0.0), ("negative", -1.0),
                      ("nan", float("nan")), ("infinite", float("inf"))):
        yield case(f"norm-eps-{what}", build(with_key(
            "llama.attention.layer_norm_rms_epsilon", F32, lie)), "*")
        yield case(f"rope-base-{what}", build(with_key(
            "llama.rope.freq_base", F32, lie)), "*")
    for what in ("bos", "eos"):
        for lie in (VOCABULARY, 2 ** 31, 2 ** 32 - 2):
            yield case(f"{what}-token-{lie}", build(with_key(
                f"tokenizer.ggml.{what}_token_id", U32, lie)))
    yield case("token-id-as-text", build(with_key(
        "tokenizer.ggml.bos_token_id", STRING, "1")))
    yield case("unknown-token-outside", build(with_key(
        "tokenizer.ggml.unknown_token_id", U32, VOCABULARY)))
    listed = pieces()
    yield case("vocabulary-larger-than-rows", build(
        {**keys(), "tokenizer.ggml.tokens": (ARRAY, (
            STRING, [p[0] for p in listed] + ["zz"])),
         "tokenizer.ggml.scores": (ARRAY, (F32, [0.0] * 41)),
         "tokenizer.ggml.token_type": (ARRAY, (
             I32, [p[2] for p in listed] + [1]))}), "*")
    yield case("tokens-one-less-than-scores", build(with_key(
        "tokenizer.ggml.tokens", ARRAY, (
            STRING, [p[0] for p in listed[:-1]]))))
    yield case("tokens-as-text", build(with_key("tokenizer.ggml.tokens",
                                                STRING, "abc")))
    yield case("tokens-as-numbers", build(with_key(
        "tokenizer.ggml.tokens", ARRAY, (U32, list(range(40))))))
    yield case("tokens-twice", build(with_key(
        "tokenizer.ggml.tokens", ARRAY, (
            STRING, [p[0] for p in listed[:-1]] + [listed[4][0]]))), "*")
    yield case("tokens-not-utf8", build(with_key(
        "tokenizer.ggml.tokens", ARRAY, (
            STRING, [p[0] for p in listed[:-1]] + [b"\xff\xff"]))), "*")
    yield case("scores-as-u8", build(with_key(
        "tokenizer.ggml.scores", ARRAY, (U8, [0] * VOCABULARY))))
    yield case("scores-as-f64", build(with_key(
        "tokenizer.ggml.scores", ARRAY, (F64, [0.0] * VOCABULARY))), code=9)
    yield case("scores-nan", build(with_key(
        "tokenizer.ggml.scores", ARRAY, (
            F32, [float("nan")] * VOCABULARY))), "*")
    yield case("token-type-7", build(with_key(
        "tokenizer.ggml.token_type", ARRAY, (I32, [7] * VOCABULARY))), "*")
    yield case("token-type-negative", build(with_key(
        "tokenizer.ggml.token_type", ARRAY, (I32, [-1] * VOCABULARY))), "*")
    yield case("token-types-too-few", build(with_key(
        "tokenizer.ggml.token_type", ARRAY, (I32, [1]))))
    yield case("no-architecture", build(without("general.architecture")), "*")
    yield case("architecture-as-number", build(with_key(
        "general.architecture", U32, 1)))
    yield case("architecture-unknown", build(with_key(
        "general.architecture", STRING, "evil")), "*", code=9)
    yield case("no-block-count", build(without("llama.block_count")), "*")
    yield case("block-count-as-text", build(with_key(
        "llama.block_count", STRING, "1")), "*")
    yield case("head-count-array-too-long", build(with_key(
        "llama.attention.head_count", ARRAY, (U32, [2] * 5000))), "*")
    yield case("shape-other-than-metadata", build(listed=changed(
        2, ne=(DIM, 16), data=bf16(2, (16, DIM)))), "E-STRUCTURE")
    yield case("tensor-missing", build(listed=tensors()[:5] + tensors()[6:]),
               "E-STRUCTURE")
    yield case("tensor-extra", build(listed=tensors() + [Tensor(
        "blk.7.attn_q.weight", (DIM, 32), TYPE_BF16, bf16(3, (32, DIM)))]),
        "E-STRUCTURE")
    yield case("weights-as-i32", build(listed=changed(
        0, kind=26, data=bf16(0, (VOCABULARY, DIM)) * 2)), "E-STRUCTURE")
    yield case("split-part", build({
        **keys(), "split.count": (U16, 3), "split.no": (U16, 0),
        "split.tensors.count": (I32, 12)}), "E-GGUF-SPLIT")
