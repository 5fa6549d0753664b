# SPDX-License-Identifier: Apache-2.0
"""The layouts in which releases came, written from one set of tensors by the
standard library alone: Mistral's names are the start of all."""
import io
import json
import os
import re
import shutil
import struct
import zipfile

from checkpoints import write_safetensors
from harness import read, write

_STORAGE = {"BF16": b"BFloat16Storage", "F16": b"HalfStorage",
            "F32": b"FloatStorage"}
_SIZES = {"BF16": 2, "F16": 2, "F32": 4}
_IDS = "1,5,300,77,1024,9,2000"


def logits(box, model):
    """Of fixed tokens, to the last bit, to compare layouts by."""
    run = box.run("eval", "logits", model, "--ids", _IDS, "--json")
    return run.result["summary"]["logits"]


def _unicode(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integers(values):
    return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"


def _pickled(tensors):
    """What torch.save writes for a dict of contiguous tensors."""
    out = io.BytesIO()
    out.write(b"\x80\x02}(")
    for key, (name, (dtype, shape, data)) in enumerate(tensors.items()):
        strides, step = [], 1
        for extent in reversed(shape):
            strides.insert(0, step)
            step *= extent
        out.write(_unicode(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(")
        out.write(b"(" + _unicode("storage") + b"ctorch\n" + _STORAGE[dtype] +
                  b"\n" + _unicode(str(key)) + _unicode("cpu") + b"J" +
                  struct.pack("<i", len(data) // _SIZES[dtype]) + b"tQ")
        out.write(b"K\0" + _integers(shape) + _integers(strides))
        out.write(b"\x89ccollections\nOrderedDict\n)RtR")
    out.write(b"u.")
    return out.getvalue()


def write_torch(path, tensors):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors))
        for key, (_, _, data) in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")
    return path


def transposed(tensor):
    dtype, (rows, columns), data = tensor
    size = _SIZES[dtype]
    return dtype, [columns, rows], b"".join(
        data[(r * columns + c) * size:(r * columns + c + 1) * size]
        for c in range(columns) for r in range(rows))


def stacked(tensors, params):
    """Experts of a layer in one matrix, each w2 as its transpose."""
    out = {}
    for name, tensor in tensors.items():
        if ".feed_forward." not in name:
            out[name] = tensor
        elif name.endswith(".gate.weight"):
            out[name.replace("feed_forward", "block_sparse_moe")] = tensor
    for layer in range(params["n_layers"]):
        for w in ("w1", "w2", "w3"):
            parts = [tensors[f"layers.{layer}.feed_forward.experts.{x}.{w}"
                             ".weight"]
                     for x in range(params["moe"]["num_experts"])]
            if w == "w2":
                parts = [transposed(part) for part in parts]
            dtype, (rows, columns), _ = parts[0]
            out[f"layers.{layer}.block_sparse_moe.{w}"] = (
                dtype, [rows * len(parts), columns],
                b"".join(part[2] for part in parts))
    return out


def shares(tensors, number):
    """Disjoint dicts that together are all of them."""
    out = [{} for _ in range(number)]
    for index, (name, tensor) in enumerate(tensors.items()):
        out[index % number][name] = tensor
    return out


def cut_dim(name, embedding_dim):
    """Along which dimension a tensor-parallel run cuts a matrix; None for what
    each file has whole."""
    if name.endswith(("norm.weight", ".gate.weight")):
        return None
    if name == "tok_embeddings.weight":
        return embedding_dim
    return 1 if name.endswith(("wo.weight", "w2.weight")) else 0


def slice_of(tensor, dim, first, extent):
    """Rows or columns [first, first + extent)."""
    dtype, (rows, columns), data = tensor
    size = _SIZES[dtype]
    row_bytes = columns * size
    if dim == 0:
        return (dtype, [extent, columns],
                data[first * row_bytes:(first + extent) * row_bytes])
    return dtype, [rows, extent], b"".join(
        data[r * row_bytes + first * size:
             r * row_bytes + (first + extent) * size] for r in range(rows))


def slices(tensors, number, embedding_dim):
    """The tensors of each file of a run."""
    out = [{} for _ in range(number)]
    for name, tensor in tensors.items():
        dim = cut_dim(name, embedding_dim)
        for i, part in enumerate(out):
            if dim is None:
                part[name] = tensor
                continue
            extent = tensor[1][dim] // number
            part[name] = slice_of(tensor, dim, i * extent, extent)
    return out


def cut_bytes(path, folder, names, bounds):
    """A file as pieces: `bounds` are where the second and further begin."""
    os.makedirs(folder, exist_ok=True)
    data = read(path)
    edges = [0, *bounds, len(data)]
    for name, begin, end in zip(names, edges, edges[1:]):
        write(os.path.join(folder, name), data[begin:end])
    return os.path.join(folder, names[0])


def to_e4m3(bits):
    """The e4m3 code of a bf16 number, cut off towards zero; None if it is not
    one that e4m3 holds."""
    sign, exponent, mantissa = bits >> 15, (bits >> 7) & 0xFF, bits & 0x7F
    exponent -= 127 - 7
    if not 1 <= exponent <= 15:
        return sign << 7
    code = exponent << 3 | mantissa >> 4
    return sign << 7 | min(code, 0x7E)


def from_e4m3(code):
    """The number as bf16 bits: exact."""
    sign, exponent, mantissa = code >> 7, (code >> 3) & 15, code & 7
    if exponent == 0:
        assert mantissa == 0
        return sign << 15
    return sign << 15 | (exponent + 127 - 7) << 7 | mantissa << 4


def fp8(tensor, side, exponents):
    """A bf16 matrix as e4m3 with a scale of 2^exponent for each block of
    `side` rows and columns (one list of exponents for each row of blocks), and
    what its numbers then are in bf16, exactly: the same model twice."""
    _, (rows, columns), data = tensor
    numbers = struct.unpack(f"<{len(data) // 2}H", data)

    def scaled(bits, by):
        if bits & 0x7F80 == 0:
            return bits & 0x8000
        moved = ((bits >> 7) & 0xFF) + by
        return bits & 0x807F | moved << 7 if 0 < moved < 255 else bits & 0x8000

    known = {}
    codes, plain = bytearray(), []
    for r in range(rows):
        for c in range(columns):
            exponent = exponents[r // side][c // side]
            key = numbers[r * columns + c], exponent
            if key not in known:
                code = to_e4m3(scaled(key[0], -exponent))
                known[key] = code, scaled(from_e4m3(code), exponent)
            code, bits = known[key]
            codes.append(code)
            plain.append(bits)
    scales = struct.pack(
        f"<{sum(map(len, exponents))}f",
        *(2.0 ** exponent for row in exponents for exponent in row))
    return (("F8_E4M3", [rows, columns], bytes(codes)),
            ("F32", [len(exponents), len(exponents[0])], scales),
            ("BF16", [rows, columns], struct.pack(f"<{len(plain)}H", *plain)))


class Forms:
    """Folders with the model of a Release, one for each layout."""

    def __init__(self, release):
        self._release = release

    def _folder(self, folder, params=None):
        os.makedirs(folder, exist_ok=True)
        if params is not None:
            write(os.path.join(folder, "params.json"), json.dumps(params))
        shutil.copy(self._release.tokenizer,
                    os.path.join(folder, "tokenizer.model"))
        return folder

    def consolidated_parts(self, folder, number, write_part, name):
        """Key-disjoint files; `name` gives the name of part i."""
        self._folder(folder, self._release.params)
        for i, part in enumerate(shares(self._release.tensors, number)):
            write_part(os.path.join(folder, name(i)), part)
        return folder

    def safetensors_parts(self, folder, number=3):
        return self.consolidated_parts(
            folder, number, write_safetensors,
            lambda i: f"consolidated-{i + 1:05}-of-{number:05}.safetensors")

    def torch_parts(self, folder, number=2):
        return self.consolidated_parts(
            folder, number, write_torch, lambda i: f"consolidated.{i:02}.pth")

    def slices(self, folder, number=2, embedding_dim=1, params=None):
        """Files of a tensor-parallel run, with the table of rotations that
        Llama's first files repeat."""
        self._folder(folder, params or self._release.params)
        parts = slices(self._release.tensors, number, embedding_dim)
        for i, part in enumerate(parts):
            part["rope.freqs"] = ("F32", [16], bytes(range(64)))
            write_torch(os.path.join(folder, f"consolidated.{i:02}.pth"), part)
        return folder

    def pieces(self, folder, source, name, bounds):
        """A weights file in pieces beside the configuration; `name` gives the
        name of piece i."""
        self._folder(folder, self._release.params)
        cut_bytes(source, folder,
                  [name(i) for i in range(len(bounds) + 1)], bounds)
        return folder

    def stacked(self, folder, number=8, params=None):
        """The first upload of Mixtral to Hugging Face."""
        self._folder(folder, params or self._release.params)
        whole = stacked(self._release.tensors, self._release.params)
        for i, part in enumerate(shares(whole, number)):
            write_torch(os.path.join(folder, f"consolidated.{i:02}.pt"), part)
        return folder


# GGUF, taken apart and put together.

_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Gguf:
    """Keys as their bytes by name, tensors as (name, ne, type, data)."""

    def __init__(self, path):
        data = read(path)
        _, _, num_tensors, num_keys = struct.unpack_from("<IIQQ", data, 0)
        at = 24
        self.keys = {}
        for _ in range(num_keys):
            start = at
            name, at = self._text(data, at)
            kind, = struct.unpack_from("<I", data, at)
            at = self._skip(data, at + 4, kind)
            self.keys[name] = data[start:at]
        infos = []
        for _ in range(num_tensors):
            name, at = self._text(data, at)
            dims, = struct.unpack_from("<I", data, at)
            ne = struct.unpack_from(f"<{dims}Q", data, at + 4)
            kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * dims)
            at += 4 + 8 * dims + 12
            infos.append((name, ne, kind, offset))
        base = (at + 31) // 32 * 32
        ends = [info[3] for info in infos[1:]] + [len(data) - base]
        self.tensors = [(name, ne, kind, data[base + offset:base + end])
                        for (name, ne, kind, offset), end in zip(infos, ends)]

    @staticmethod
    def _text(data, at):
        length, = struct.unpack_from("<Q", data, at)
        return data[at + 8:at + 8 + length].decode(), at + 8 + length

    def _skip(self, data, at, kind):
        if kind == 8:
            return self._text(data, at)[1]
        if kind != 9:
            return at + _FIXED[kind]
        element, count = struct.unpack_from("<IQ", data, at)
        at += 12
        if element != 8:
            return at + count * _FIXED[element]
        for _ in range(count):
            at = self._text(data, at)[1]
        return at


def gguf_key(name, kind, value):
    return (struct.pack("<Q", len(name)) + name.encode() +
            struct.pack("<I", kind) + value)


def write_gguf(path, keys, tensors):
    infos, data = b"", b""
    for name, ne, kind, content in tensors:
        data += b"\0" * (-len(data) % 32)
        infos += (struct.pack("<Q", len(name)) + name.encode() +
                  struct.pack("<I", len(ne)) + struct.pack(f"<{len(ne)}Q", *ne)
                  + struct.pack("<IQ", kind, len(data)))
        data += content
    data += b"\0" * (-len(data) % 32)
    head = (b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) +
            b"".join(keys) + infos)
    return write(path, head + b"\0" * (-len(head) % 32) + data)


def split_gguf(path, folder, number=3, **lies):
    """As gguf-split writes it; the path of the first part. `lies` replace
    what the parts say: no, count, total."""
    whole = Gguf(path)
    os.makedirs(folder, exist_ok=True)
    total = len(whole.tensors)
    bounds = [total * i // number for i in range(number + 1)]
    for i in range(number):
        says = {"no": i, "count": number, "total": total, **lies}
        keys = list(whole.keys.values()) if i == 0 else []
        keys += [gguf_key("split.no", 2, struct.pack("<H", says["no"])),
                 gguf_key("split.count", 2, struct.pack("<H", says["count"])),
                 gguf_key("split.tensors.count", 5,
                          struct.pack("<i", says["total"]))]
        write_gguf(os.path.join(folder,
                                f"m-{i + 1:05}-of-{number:05}.gguf"), keys,
                   whole.tensors[bounds[i]:bounds[i + 1]])
    return os.path.join(folder, f"m-00001-of-{number:05}.gguf")


def gguf_by_expert(path, target):
    """A tensor for each expert, as files until March 2024 had it."""
    whole = Gguf(path)
    tensors = []
    for name, ne, kind, data in whole.tensors:
        merged = re.fullmatch(r"(blk\.\d+\.ffn_\w+)_exps\.weight", name)
        if merged is None:
            tensors.append((name, ne, kind, data))
            continue
        experts = ne[2]
        size = len(data) // experts
        tensors += [(f"{merged[1]}.{x}.weight", ne[:2], kind,
                     data[x * size:(x + 1) * size]) for x in range(experts)]
    return write_gguf(target, list(whole.keys.values()), tensors)
