# SPDX-License-Identifier: Apache-2.0
"""safetensors files and indexes that break a rule (trust: safetensors)."""
import json
import struct

from case import (DIM, TENSORS, VOCABULARY, Case, around, bf16, config_json,
                  elements, tokenizer_model)

NAME = "consolidated.safetensors"
INDEX = "model.safetensors.index.json"


def entries(column=0, only=None):
    """Name to what the header says of it, in order of the data; and the
    data."""
    header, data = {}, b""
    for index, names in enumerate(TENSORS):
        if only is not None and index not in only:
            continue
        content = bf16(index, names[3])
        header[names[column]] = {
            "dtype": "BF16", "shape": list(names[3]),
            "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return header, data


def build(header=None, data=None, text=None, length=None):
    """`text`: the header as it stands; `length`: a lie."""
    good, good_data = entries()
    if text is None:
        text = json.dumps(good if header is None else header).encode()
    data = good_data if data is None else data
    return struct.pack("<Q", len(text) if length is None else length) + (
        text + data)


def changed(**changes):
    """The first tensor's entry, changed; None removes."""
    header, _ = entries()
    first = dict(header[TENSORS[0][0]])
    for key, content in changes.items():
        if content is None:
            del first[key]
        else:
            first[key] = content
    header[TENSORS[0][0]] = first
    return header


def raw(old, new):
    """The good header with one text in place of another."""
    text = json.dumps(entries()[0]).encode()
    assert old in text
    return text.replace(old, new, 1)


def file_cases():
    def case(name, data, id="E-SAFETENSORS", **more):
        return Case("safetensors/" + name, around(data, NAME), id, **more)

    header, data = entries()
    first, second = TENSORS[0][0], TENSORS[1][0]
    size = VOCABULARY * DIM * 2
    good = build()
    for what, lie in (("0", 0), ("1", 1), ("2-63", 2 ** 63),
                      ("minus-1", 2 ** 64 - 1), ("200-mb", 200 * 10 ** 6),
                      ("beyond-file", len(good)), ("one-less", None)):
        text = json.dumps(header).encode()
        yield case(f"length-{what}", build(
            length=len(text) - 1 if lie is None else lie),
            "*" if what in ("1", "one-less", "0") else "E-SAFETENSORS")
    yield case("no-header", b"\x02\0\0\0\0\0\0\0", "*")
    yield case("seven-bytes", good[:7], "E-CONTENT")
    yield case("cut-in-header", good[:100])
    yield case("cut-in-data", good[:-1])
    yield case("header-empty-object", build(text=b"{}", data=b""), "*")
    yield case("header-is-list", build(text=b"[]", data=b""), "E-CONTENT")
    yield case("header-leading-space", build(
        text=b" " + json.dumps(header).encode()), "*")
    yield case("header-byte-order-mark", build(
        text=b"\xef\xbb\xbf" + json.dumps(header).encode()), "*")
    yield case("header-padded-by-tabs", build(
        text=json.dumps(header).encode() + b"\t\t"))
    yield case("header-padded-by-nul", build(
        text=json.dumps(header).encode() + b"\0\0"))
    yield case("header-second-value", build(
        text=json.dumps(header).encode() + b"{}"), "*")
    yield case("header-comment", build(text=raw(b"{", b"{/* x */")), "*")
    yield case("header-not-utf8", build(text=raw(b"norm", b"n\xff\xfem")),
               "*")
    yield case("header-cut-json", build(
        text=json.dumps(header).encode()[:-2] + b"}"), "*")
    yield case("header-single-quotes", build(
        text=json.dumps(header).replace('"', "'").encode()), "*")
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    yield case("header-depth-5000", build(text=deep, data=b""), "*")
    yield case("header-depth-9", build(
        text=b'{"a":' + b"[" * 9 + b"]" * 9 + b"}", data=b""), "*")
    yield case("header-unclosed-1e6", build(
        text=b'{"a":' + b"[" * 1000000 + b"}", data=b""), "*")
    yield case("header-3-million-numbers", build(
        text=b'{"a":[' + b"0," * 3000000 + b"0]}", data=b""), "*")
    yield case("header-65000-tensors", build(
        text=b"{" + b",".join(
            b'"t%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i
            for i in range(65000)) + b"}", data=b""), "*", code=9)
    yield case("header-260000-tensors", build(
        text=b"{" + b",".join(
            b'"t%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i
            for i in range(260000)) + b"}", data=b""), "*")
    yield case("header-of-one-key-of-30-mb", build(
        text=b'{"' + b"a" * 30_000_000 + b'":0}', data=b""), "*")
    yield case("header-of-40-mib", build(
        text=b"{" + b" " * (40 << 20) + b"}", data=b""))
    yield case("key-twice", build(text=raw(
        b'"norm.weight"', b'"' + first.encode() + b'"')), "E-JSON-DUPLICATE")
    yield case("key-twice-escaped", build(text=raw(
        b'"norm.weight"', b'"\\u0074' + first[1:].encode() + b'"')),
        "E-JSON-DUPLICATE")
    yield case("key-twice-inside", build(text=raw(
        b'"dtype": "BF16"', b'"dtype": "BF16", "dtype": "F32"')),
        "E-JSON-DUPLICATE")
    yield case("metadata-twice", build(text=raw(
        b"{", b'{"__metadata__": {}, "__metadata__": {"a": "b"},')),
        "E-JSON-DUPLICATE")
    yield case("metadata-number", build({"__metadata__": {"a": 1}, **header}))
    yield case("metadata-nested", build({"__metadata__": {"a": {}}, **header}))
    yield case("metadata-list", build({"__metadata__": [], **header}))
    # Places.
    for what, begin, end in (
            ("end-beyond-data", 0, len(data) + 2), ("reversed", size, 0),
            ("end-2-63", 0, 2 ** 63), ("begin-2-64", 2 ** 64 - 2, 2 ** 64 - 1),
            ("overlap", 2, size + 2), ("one-short", 0, size - 2),
            ("empty", 0, 0), ("all", 0, len(data))):
        yield case(f"offsets-{what}", build(changed(
            data_offsets=[begin, end])), "*")
    for what, text in (("negative", b"[-2, 2558]"), ("float", b"[0.0, 2560]"),
                       ("exponent", b"[0, 2.56e3]"), ("minus-0", b"[-0, 2560]"),
                       ("leading-zero", b"[00, 2560]"),
                       ("text", b'["0", 2560]'), ("null", b"[null, 2560]"),
                       ("2-65", b"[0, 36893488147419103232]"),
                       ("one", b"[0]"), ("three", b"[0, 2560, 2560]"),
                       ("object", b'{"0": 2560}')):
        yield case(f"offsets-{what}", build(text=raw(b"[0, 2560]", text)),
                   "*")
    whole = {name: dict(entry) for name, entry in header.items()}
    whole[second]["data_offsets"] = [0, 64]
    yield case("overlap-as-multiplier", build({
        **{f"t{i}": {"dtype": "U8", "shape": [len(data)],
                     "data_offsets": [0, len(data)]} for i in range(1000)}}))
    yield case("overlap-second-at-zero", build(whole))
    hole = {name: dict(entry) for name, entry in header.items()}
    for entry in list(hole.values())[1:]:
        entry["data_offsets"] = [n + 2 for n in entry["data_offsets"]]
    yield case("hole", build(hole, data=data[:size] + b"xx" + data[size:]))
    front = {name: {**entry, "data_offsets": [
        n + 2 for n in entry["data_offsets"]]}
        for name, entry in header.items()}
    yield case("hole-in-front", build(front, data=b"xx" + data))
    yield case("tail", build(data=data + b"evil"))
    yield case("tail-zip", build(data=data + b"PK\x05\x06" + b"\0" * 18))
    yield case("no-data", build(data=b""))
    # Types and shapes.
    for what, dtype in (("lower-case", "bf16"), ("unknown", "EVIL"),
                        ("empty", ""), ("number", 7), ("list", ["BF16"])):
        yield case(f"dtype-{what}", build(changed(dtype=dtype)))
    for dtype in ("F4", "F6_E2M3", "C64", "F8_E8M0"):
        yield case(f"dtype-{dtype.lower()}", build(changed(dtype=dtype)), "*",
                   code=9)
    yield case("dtype-too-wide", build(changed(dtype="F64")), "E-TENSOR")
    yield case("dtype-integer", build(changed(dtype="I16")), "E-STRUCTURE")
    for what, shape in (
            ("too-large", [VOCABULARY + 1, DIM]), ("zero", [0, DIM]),
            ("product-2-64", [2 ** 32, 2 ** 32]),
            ("product-2-64-plus", [2 ** 63, 2, 5]),
            ("zero-and-2-63", [0, 2 ** 63, 2 ** 63]),
            ("2-64-minus-1", [2 ** 64 - 1, 1])):
        yield case(f"shape-{what}", build(changed(shape=shape)), "E-TENSOR")
    yield case("shape-transposed", build(changed(shape=[DIM, VOCABULARY])),
               "E-STRUCTURE")
    for what, shape in (("negative", [-1, DIM]), ("float", [40.0, DIM]),
                        ("text", "40x32"), ("null", None and 0 or {}),
                        ("nested", [[40], 32])):
        yield case(f"shape-{what}", build(changed(shape=shape)))
    yield case("shape-of-1000-dimensions", build(changed(shape=[1] * 1000)),
               "*")
    yield case("no-dtype", build(changed(dtype=None)))
    yield case("no-shape", build(changed(shape=None)))
    yield case("no-offsets", build(changed(data_offsets=None)))
    yield case("key-extra", build(changed(code="import os")))
    yield case("entry-is-list", build({**header, first: [1]}))
    yield case("name-empty", build({"" if k == first else k: v
                                    for k, v in header.items()}), "E-TENSOR")
    yield case("name-control", build({"a\x1b[2J" if k == first else k: v
                                      for k, v in header.items()}),
               "E-TENSOR")
    yield case("name-5000-bytes", build({"a" * 5000 if k == first else k: v
                                         for k, v in header.items()}), "*")
    yield case("tensor-missing", build(*entries(only=range(1, 12))),
               "E-STRUCTURE")
    yield case("tensor-other-name", build(
        {"evil" if k == first else k: v for k, v in header.items()}),
        "E-STRUCTURE")


def hf(shards, index, **more):
    files = {"config.json": config_json(),
             "tokenizer.model": tokenizer_model()}
    files.update(shards)
    files[INDEX] = index if isinstance(index, bytes) else json.dumps(
        index).encode()
    files.update(more)
    return files


def two_shards():
    """Files, and the index of a good model in two shards."""
    shards, index = {}, {"metadata": {}, "weight_map": {}}
    total = 0
    for number, only in ((1, range(6)), (2, range(6, 12))):
        name = f"model-{number:05}-of-00002.safetensors"
        header, data = entries(1, only)
        shards[name] = build(header, data)
        total += len(data)
        for tensor in header:
            index["weight_map"][tensor] = name
    index["metadata"]["total_size"] = total
    return shards, index


def index_cases():
    shards, index = two_shards()
    one, two = list(shards)
    names = list(index["weight_map"])

    def case(name, index, id="E-SAFETENSORS-INDEX", shards=shards, **more):
        return Case("index/" + name, hf(shards, index), id, **more)

    def mapped(tensor, shard):
        return {**index, "weight_map": {**index["weight_map"],
                                        tensor: shard}}

    for what, path in (("climbs", "../" + one), ("absolute", "/etc/passwd"),
                       ("backslash", "..\\" + one), ("url", "http://x/y"),
                       ("hidden", ".bashrc"), ("empty", ""),
                       ("subfolder", "x/" + one), ("nul", one + "\0"),
                       ("escape", "a\x1b[2J"), ("space", "a b"),
                       ("long", "a" * 300), ("unicode", "m\u00f6del"),
                       ("number", 7), ("list", [one]), ("null", None)):
        yield case(f"shard-{what}", mapped(names[0], path))
    yield case("shard-missing", mapped(names[0], "model-00009.safetensors"),
               "E-MISSING-PART", convert=3)
    yield case("tensor-in-other-shard", mapped(names[0], two))
    yield case("tensor-unlisted", {
        **index, "weight_map": {k: v for k, v in index["weight_map"].items()
                                if k != names[3]}})
    yield case("tensor-listed-and-missing", mapped("evil.weight", one))
    header, data = entries(1, range(5, 12))
    yield case("tensor-in-both", index, "*",
               shards={one: shards[one], two: build(header, data)})
    yield case("tensor-key-twice", json.dumps(index).replace(
        f'"{names[1]}"', f'"{names[0]}"').encode(), "E-JSON-DUPLICATE")
    for what, total in (("too-large", 10 ** 12), ("too-small", 1),
                        ("negative", -1), ("text", "1"), ("float", 1.5)):
        yield case(f"total-size-{what}", {
            **index, "metadata": {"total_size": total}})
    yield case("metadata-list", {**index, "metadata": []})
    yield case("weight-map-missing", {"metadata": {}})
    yield case("weight-map-empty", {"weight_map": {}})
    yield case("weight-map-list", {"weight_map": names})
    yield case("not-json", b"<html>", "*")
    yield case("list", b"[]")
    yield case("depth-1e5", b"[" * 100000, "*")
    yield case("tensors-180000", {"weight_map": {
        f"model.layers.{i}.weight": one for i in range(180000)}})
    yield case("tensors-400000", {"weight_map": {
        f"model.layers.{i}.weight": one for i in range(400000)}}, "limit")
    yield case("shards-1e5", {"weight_map": {
        f"t{i}": f"m{i}.safetensors" for i in range(100000)}}, "*")
    yield case("shard-is-pickle", index, "E-CONTENT", shards={
        one: shards[one], two: b"\x80\x02cposix\nsystem\n."})
    yield case("shard-is-gguf", index, "E-CONTENT", shards={
        one: shards[one], two: b"GGUF" + b"\0" * 100})
    yield case("shard-is-html", index, "E-HTML", shards={
        one: shards[one], two: b"<!doctype html><html>"})
    yield case("shard-is-lfs-pointer", index, "E-LFS-POINTER", shards={
        one: shards[one],
        two: b"version https://git-lfs.github.com/spec/v1\noid sha256:"})
    yield case("shard-of-0-bytes", index, "E-EMPTY", shards={
        one: shards[one], two: b""})
    yield case("shard-cut", index, "E-SAFETENSORS", shards={
        one: shards[one], two: shards[two][:-10]})
    yield case("shards-exchanged", index, shards={
        one: shards[two], two: shards[one]})
    yield case("shard-twice", index, shards={
        one: shards[one], two: shards[one]})
    wide = dict(entries(1, range(6, 12))[0])
    yield case("shard-of-other-model", index, "*", shards={
        one: shards[one], two: build(
            {k: {**v, "shape": list(reversed(v["shape"]))}
             for k, v in wide.items()}, entries(1, range(6, 12))[1])})


def cases():
    yield from file_cases()
    yield from index_cases()
