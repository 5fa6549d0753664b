# SPDX-License-Identifier: Apache-2.0
"""Files that break a rule, written byte by byte; and readings of good ones
that owe nothing to the program under test."""
import hashlib
import io
import pickle
import struct
import zipfile


# Pickles, by hand: each holds a program that would run COMMAND.

def _text(value):
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else (
        b"X" + struct.pack("<I", len(data)) + data)


def global_call(module, name, argument):
    """GLOBAL, one argument, REDUCE."""
    return (b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n" +
            _text(argument) + b"\x85R.")


def stack_global_call(module, name, argument):
    """The same with the names taken from the stack."""
    return (b"\x80\x04" + _text(module) + _text(name) + b"\x93" +
            _text(argument) + b"\x85R.")


def inst_call(module, name, argument):
    """INST, protocol 0: mark, arguments, names."""
    return (b"(S'" + argument.encode() + b"'\ni" + module.encode() + b"\n" +
            name.encode() + b"\n.")


def obj_call(module, name, argument):
    """OBJ: mark, class, arguments."""
    return (b"\x80\x02(c" + module.encode() + b"\n" + name.encode() + b"\n" +
            _text(argument) + b"o.")


def nested_call(module, name, argument):
    """The call is an argument of a call that is allowed."""
    inner = global_call(module, name, argument)[2:-1]
    return (b"\x80\x02ccollections\nOrderedDict\n" + inner + b"\x85R.")


def hidden_in_dict(module, name, argument):
    """The call stands as a value beside a harmless entry, and is popped."""
    inner = global_call(module, name, argument)[2:-1]
    return b"\x80\x02}" + _text("w") + b"K\x01s" + inner + b"0."


def build_call(module, name, argument):
    """BUILD: the state of an object whose __setstate__ would be called."""
    inner = global_call(module, name, argument)[2:-1]
    return b"\x80\x02ccollections\nOrderedDict\n)R" + inner + b"b."


PICKLE_FORMS = {
    "global": global_call,
    "stack_global": stack_global_call,
    "inst": inst_call,
    "obj": obj_call,
    "nested": nested_call,
    "popped": hidden_in_dict,
    "build": build_call,
}


def torch_archive(path, data_pkl, storages=(b"\0" * 64,)):
    """A stored zip as torch.save writes it, around any data.pkl."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("consolidated/data.pkl", data_pkl)
        for index, storage in enumerate(storages):
            archive.writestr(f"consolidated/data/{index}", storage)
        archive.writestr("consolidated/version", b"3\n")
    return path


# A good .pth, read with Python's own unpickler, which is given nothing to call.

class _Names(pickle.Unpickler):
    def find_class(self, module, name):
        full = f"{module}.{name}"
        if full == "collections.OrderedDict":
            return dict
        if full == "torch._utils._rebuild_tensor_v2":
            return lambda storage, offset, shape, *_: (storage, offset, shape)
        return full

    def persistent_load(self, pid):
        return pid


def tensor_ranges(path):
    """Name to (first byte, one behind the last) in the file; bf16 only."""
    ranges = {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        pkl = next(info for info in archive.infolist()
                   if info.filename.endswith("/data.pkl"))
        prefix = pkl.filename[:-len("data.pkl")]
        table = _Names(io.BytesIO(archive.read(pkl))).load()
        for name, (storage, offset, shape) in table.items():
            assert storage[1] == "torch.BFloat16Storage", storage
            record = archive.getinfo(f"{prefix}data/{storage[2]}")
            file.seek(record.header_offset + 26)
            name_size, extra_size = struct.unpack("<HH", file.read(4))
            begin = (record.header_offset + 30 + name_size + extra_size +
                     2 * offset)
            count = 1
            for extent in shape:
                count *= extent
            ranges[name] = (begin, begin + 2 * count)
    return ranges


# Torrents.

def bencode(value):
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    items = sorted((key.encode() if isinstance(key, str) else key, item)
                   for key, item in value.items())
    return b"d" + b"".join(bencode(key) + bencode(item)
                           for key, item in items) + b"e"


def bdecode(data):
    """One value that fills `data`; strings as bytes."""
    value, end = bdecode_prefix(data, 0)
    assert end == len(data), "bytes behind the value"
    return value


def bdecode_prefix(data, at):
    """The value that begins at `at`, and where it ends."""
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind == b"l":
        items = []
        at += 1
        while data[at:at + 1] != b"e":
            item, at = bdecode_prefix(data, at)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        items = {}
        at += 1
        while data[at:at + 1] != b"e":
            key, at = bdecode_prefix(data, at)
            items[key], at = bdecode_prefix(data, at)
        return items, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end], end


def torrent(files, name="model", piece_length=16384, **info):
    """A v1 torrent that names those files: (path parts, size, other keys)."""
    entries = []
    total = 0
    for parts, size, *more in files:
        entry = {"path": list(parts), "length": size}
        for extra in more:
            entry.update(extra)
        entries.append(entry)
        total += max(0, size)
    num_pieces = -(-total // piece_length)
    fields = {"name": name, "piece length": piece_length, "files": entries,
              "pieces": b"\x11" * (20 * min(num_pieces, 1000)), **info}
    return bencode({"info": {key: value for key, value in fields.items()
                             if value is not None}})


def info_hash(data):
    """v1, of a .torrent."""
    return hashlib.sha1(bencode(bdecode(data)[b"info"])).hexdigest()


# Files that are not what their name says: name, content, what a message says.

NOT_WEIGHTS = (
    ("7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + b"\x5a" * 600, "7z archive"),
    ("html", b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>",
     "HTML page"),
    ("lfs", b"version https://git-lfs.github.com/spec/v1\n"
     b"oid sha256:" + b"4d" * 32 + b"\nsize 96724611072\n", "Git LFS pointer"),
    ("empty", b"", "empty"),
    ("zeros", b"\0" * 4096, "zeros"),
    ("elf", b"\x7fELF\x02\x01\x01" + b"\0" * 500, "ELF program"),
    ("script", b"#!/bin/sh\ntouch CANARY\n", "script"),
    ("gguf-lie", b"GGUF\x03\0\0\0" + b"\xff" * 16 + b"\0" * 100, "GGUF"),
    ("zip-cut", b"PK\x03\x04" + b"\0" * 200, "zip"),
)
