# SPDX-License-Identifier: Apache-2.0
"""Weights in several files that do not belong together: slices of a
tensor-parallel run, pieces of one file, scales of fp8 (trust: C5, C6)."""
import struct

from case import (DIM, TENSORS, Case, bf16, config_json, params_json,
                  tokenizer_model)
import pickles
import safetensors_files
import zips

SCALED = "model.layers.0.self_attn.q_proj.weight"


def cut_dim(name):
    if name.endswith("norm.weight"):
        return None
    side_by_side = ("tok_embeddings.weight", "wo.weight", "w2.weight")
    return 1 if name.endswith(side_by_side) else 0


def sliced(index, number, part):
    """Shape and bytes of a tensor in file `part` of `number`."""
    name, shape = TENSORS[index][0], TENSORS[index][3]
    data = bf16(index, shape)
    dim = cut_dim(name)
    if dim is None:
        return list(shape), data
    rows, columns = shape
    if dim == 0:
        extent = rows // number
        size = extent * columns * 2
        return [extent, columns], data[part * size:(part + 1) * size]
    extent = columns // number
    return [rows, extent], b"".join(
        data[(r * columns + part * extent) * 2:
             (r * columns + (part + 1) * extent) * 2] for r in range(rows))


def file_of(tensors):
    """A safetensors file: name to (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return safetensors_files.build(header, data)


def slice_tensors(number, part):
    return {TENSORS[i][0]: ("BF16", *sliced(i, number, part))
            for i in range(len(TENSORS))}


def run_of(parts):
    """A folder of slices: tensors of each file, or bytes."""
    files = {f"consolidated.{i:02}.pth":
             part if isinstance(part, bytes) else file_of(part)
             for i, part in enumerate(parts)}
    return {**files, "params.json": params_json(),
            "tokenizer.model": tokenizer_model()}


def good_slices():
    return run_of([slice_tensors(2, 0), slice_tensors(2, 1)])


def pieces(data, names, bounds):
    edges = [0, *bounds, len(data)]
    files = {name: data[begin:end]
             for name, begin, end in zip(names, edges, edges[1:])}
    return {**files, "params.json": params_json(),
            "tokenizer.model": tokenizer_model()}


def good_pieces():
    data = zips.archive()
    return pieces(data, [f"consolidated.00.pth-split{i}" for i in range(4)],
                  [1, 5000, len(data) - 10])


def slice_cases():
    def case(name, parts, id="E-PARTS", **more):
        return Case("slices/" + name, run_of(parts), id, **more)

    def changed(**tensors):
        parts = [slice_tensors(2, 0), slice_tensors(2, 1)]
        for name, tensor in tensors.items():
            parts[1][name] = tensor
        return parts

    one, two = slice_tensors(2, 0), slice_tensors(2, 1)
    norm = ("BF16", [DIM], bf16(3, (DIM,)))
    yield case("norm-differs", changed(**{"norm.weight": norm}),
               says=("norm.weight", "differs"))
    yield case("a-file-of-four-is-missing",
               [slice_tensors(4, 0), slice_tensors(4, 1)], says=("slices",))
    yield case("of-two-and-of-four", [one, slice_tensors(4, 1)],
               says=("no slices of one model",))
    yield case("other-type", changed(**{"output.weight": (
        "F16", *sliced(11, 2, 1))}), says=("f16",))
    yield case("one-tensor-less", [one, {name: tensor for name, tensor in
                                         two.items() if "wo" not in name}],
               says=("no parts of one model",))
    yield case("the-whole-twice", [slice_tensors(1, 0), slice_tensors(1, 0)],
               "*")
    for what, shape in (("no-columns", [40, 0]), ("no-rows", [0, DIM])):
        empty = ("BF16", shape, b"")
        yield case(f"embedding-{what}", [
            {**part, "tok_embeddings.weight": empty} for part in (one, two)],
            "*")
    yield case("no-norm", [{"a.w1.weight": one["output.weight"]}] * 2, code=9)
    yield case("norm-of-no-width", [
        {"norm.weight": ("BF16", [0], b""),
         "output.weight": ("BF16", [40, 0], b"")}] * 2, code=9)
    long_row = ("U8", [1, 1 << 20], b"\0" * (1 << 20))
    yield case("row-of-2-mib", [
        {"norm.weight": ("U8", [1], b"\1"), "a.w2.weight": long_row}] * 2,
        "*")
    yield case("packed-in-gguf-names", [
        {"blk.0.attn_q.weight": one["output.weight"]}] * 2, code=9)
    yield case("second-is-a-pickle-that-runs", [
        one, zips.archive(pickles.call("posix", "system", pickles.COMMAND))],
        "E-PICKLE-GLOBAL")
    yield case("second-is-cut", [one, file_of(two)[:-2]], "E-SAFETENSORS")


def piece_cases():
    good = zips.archive()
    half = len(good) // 2

    def case(name, files, id, **more):
        return Case("pieces/" + name, files, id, **more)

    def split(*parts):
        return {**{f"consolidated.00.pth-split{i}": part
                   for i, part in enumerate(parts)},
                "params.json": params_json(),
                "tokenizer.model": tokenizer_model()}

    yield case("last-is-missing", split(good[:half]), "E-ZIP*",
               says=("behind the last",))
    first = split(good[:half], good[half:])
    del first["consolidated.00.pth-split0"]
    yield case("first-is-missing", first, "E-SHARD-MISSING", code=3)
    yield case("one-of-ten-thousand", {
        "model.gguf.part1of10000": good,
        "params.json": params_json()}, "E-SHARD-MISSING", code=3)
    yield case("swapped", split(good[half:], good[:half]), "E-CONTENT")
    yield case("one-twice", split(good[:half], good[:half], good[half:]), "*")
    yield case("all-empty", split(b"", b"", b""), "E-EMPTY")
    evil = zips.archive(pickles.call("posix", "system", pickles.COMMAND))
    yield case("pickle-that-runs-across-a-cut",
               split(evil[:60], evil[60:70], evil[70:]), "E-PICKLE-GLOBAL")
    yield case("of-a-web-page", split(b"<!DOCTYPE html><ht", b"ml></html>"),
               "E-HTML")
    both = {**split(good[:half], good[half:]),
            "consolidated.00.pth.part1of1": good}
    yield case("cut-in-two-ways", both, "E-SHARDS", code=2)


def fp8(scale, name=SCALED + "_scale", weight=None, **config):
    """A model in Hugging Face's layout with one matrix in fp8."""
    header, data = safetensors_files.entries(1)
    tensors = {}
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[key] = ("BF16", entry["shape"], data[begin:end])
    shape = tensors[SCALED][1]
    codes = bytes(0x38 + i % 7 for i in range(shape[0] * shape[1]))
    tensors[SCALED] = weight or ("F8_E4M3", shape, codes)
    tensors[name] = scale
    return {"model.safetensors": file_of(tensors),
            "config.json": config_json(**config),
            "tokenizer.model": tokenizer_model()}


def scale_cases():
    def case(name, files, **more):
        return Case("fp8/" + name, files, "E-STRUCTURE", **more)

    one = struct.pack("<f", 1.0)
    yield case("scale-of-integers", fp8(("I32", [1], one)))
    yield case("scale-for-each-row", fp8(("F32", [32], one * 32)))
    yield case("scale-of-nothing", fp8(("F32", [0], b"")))
    yield case("scale-of-a-plain-weight", fp8(
        ("F32", [], one), weight=("BF16", [32, 32], bf16(2, (32, 32)))))
    yield case("scale-of-no-weight", fp8(("F32", [], one),
                                         "model.norm.weight_scale"))


def mixed_cases():
    """Files that fit by their names and not by what they hold."""
    shards, index = safetensors_files.two_shards()
    two = list(shards)[1]
    index = {"weight_map": index["weight_map"]}
    header, data = safetensors_files.entries(1)
    wide = {}
    for key, shard in index["weight_map"].items():
        if shard != two:
            continue
        begin, end = header[key]["data_offsets"]
        shape = header[key]["shape"]
        wide[key] = ("BF16", [2 * shape[0], *shape[1:]],
                     2 * data[begin:end])
    yield Case("mixed/shard-of-a-larger-model", safetensors_files.hf(
        {**shards, two: file_of(wide)}, index), "E-STRUCTURE",
        says=("misshapen",))
    yield Case("mixed/config-of-a-larger-model", safetensors_files.hf(
        shards, index, **{"config.json": config_json(intermediate_size=128)}),
        "E-STRUCTURE", says=("misshapen",))
    yield Case("mixed/config-of-more-layers", safetensors_files.hf(
        shards, index, **{"config.json": config_json(num_hidden_layers=2)}),
        "E-STRUCTURE", says=("missing",))


def cases():
    yield from mixed_cases()
    yield from slice_cases()
    yield from piece_cases()
    yield from scale_cases()
