# SPDX-License-Identifier: Apache-2.0
"""Files that are no weights, or not those that their name says: the content
decides (trust: C15, C16)."""
import gzip
import bz2
import io
import lzma
import struct
import tarfile

import ggufs
import pickles
import safetensors_files
import zips
from case import Case, around

ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 120
PE = b"MZ\x90\0" + b"\0" * 56 + struct.pack("<I", 64) + b"PE\0\0" + b"\0" * 64
HTML = (b"<!DOCTYPE html><html><head><title>Sign in</title></head>"
        b"<body>You need access</body></html>")
LFS = (b"version https://git-lfs.github.com/spec/v1\n"
       b"oid sha256:" + b"0" * 64 + b"\nsize 93404700000\n")


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("../evil")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    return out.getvalue()


def npy():
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return (b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head +
            pickles.call("posix", "system", pickles.COMMAND))


CONTENTS = (
    # name, bytes, id, a word of the message
    ("7z", b"7z\xbc\xaf\x27\x1c\0\x04" + b"\0" * 60, "E-CONTENT", "7z"),
    ("rar-4", b"Rar!\x1a\x07\0" + b"\0" * 60, "E-CONTENT", "RAR"),
    ("rar-5", b"Rar!\x1a\x07\x01\0" + b"\0" * 60, "E-CONTENT", "RAR"),
    ("gzip", gzip.compress(b"x" * 1000, mtime=0), "E-CONTENT", "gzip"),
    ("bzip2", bz2.compress(b"x" * 1000), "E-CONTENT", "bzip2"),
    ("xz", lzma.compress(b"x" * 1000), "E-CONTENT", "xz"),
    ("zstd", b"\x28\xb5\x2f\xfd\x04\x00\x01\0\0", "E-CONTENT", "zstd"),
    ("tar", tar(), "E-CONTENT", "tar"),
    ("elf", ELF, "E-CONTENT", "program"),
    ("pe", PE, "E-CONTENT", "program"),
    ("llamafile", b"MZqFpD='\n" + b"\0" * 500 + zips.archive()[:200],
     "E-CONTENT", "program"),
    ("elf-with-zip-behind", ELF + zips.archive(), "E-CONTENT", "program"),
    ("script", b"#!/bin/sh\ntouch " + pickles.CANARY.encode() + b"\n",
     "E-CONTENT", "script"),
    ("html", HTML, "E-HTML", "HTML"),
    ("html-after-spaces", b"\n\n   " + HTML, "E-HTML", "HTML"),
    ("html-after-mark", b"\xef\xbb\xbf" + HTML.upper(), "E-HTML", "HTML"),
    ("xml-error", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>',
     "E-HTML", "HTML"),
    ("lfs-pointer", LFS, "E-LFS-POINTER", "LFS"),
    ("empty", b"", "E-EMPTY", "empty"),
    ("one-zero", b"\0", "E-EMPTY", "zeros"),
    ("zeros-64-kib", b"\0" * 65536, "E-EMPTY", "zeros"),
    ("pdf", b"%PDF-1.7\n" + b"\0" * 100, "E-CONTENT", "PDF"),
    ("numpy", npy(), "E-CONTENT", "NumPy"),
    ("hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "E-CONTENT", "HDF5"),
    ("onnx", b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10\x0a\x08",
     "E-CONTENT", "unknown"),
    ("tflite", b"\x1c\0\0\0TFL3" + b"\0" * 60, "E-CONTENT", "unknown"),
    ("ggml", b"lmgg" + b"\0" * 60, "E-CONTENT", "GGML"),
    ("ggjt", b"tjgg\x03\0\0\0" + b"\0" * 60, "E-CONTENT", "GGML"),
    ("pickle-protocol-4",
     b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93.",
     "E-CONTENT", "pickle"),
    ("pickle-protocol-0", b"cposix\nsystem\n(S'touch x'\ntR.", "E-CONTENT",
     "pickle"),
    ("json", b'{"error": "access to the model is restricted"}',
     "E-CONTENT", "JSON"),
    ("text", b"Entry not found", "E-CONTENT", "unknown"),
    ("random", bytes((i * 167 + 13) % 256 for i in range(4096)),
     "E-CONTENT", "unknown"),
    ("zip-empty", b"PK\x05\x06" + b"\0" * 18, "E-ZIP", "empty"),
    ("zip-spanned", b"PK\x07\x08" + zips.archive(), "E-CONTENT", "zip"),
    ("torch-behind-newline", b"\n" + zips.archive(), "E-CONTENT", "unknown"),
    ("gguf-behind-newline", b"\n" + ggufs.build(), "E-CONTENT", "unknown"),
    ("gguf-magic-alone", b"GGUF", "E-GGUF", "GGUF"),
    ("zip-magic-alone", b"PK\x03\x04", "E-ZIP*", "zip"),
    ("mach-o", b"\xcf\xfa\xed\xfe" + b"\0" * 100, "E-CONTENT", "program"),
    ("java-class", b"\xca\xfe\xba\xbe\0\0\0\x37" + b"\0" * 100, "E-CONTENT",
     "program"),
    ("wasm", b"\0asm\x01\0\0\0" + b"\0" * 100, "E-CONTENT", "program"),
    ("sqlite", b"SQLite format 3\0" + b"\0" * 100, "E-CONTENT", "SQLite"),
    ("png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "E-CONTENT", "image"),
    ("torrent", b"d8:announce3:url4:infod6:lengthi1eee", "E-CONTENT",
     "unknown"),
    ("bittorrent-zeros-then-data", b"\0" * 5000 + b"x" * 5000, "E-EMPTY",
     "zeros"),
)

def cases():
    for name, content, id, says in CONTENTS:
        yield Case(f"content/{name}", around(content), id, says=(says,))
    bad_gguf = ggufs.build(num_keys=2 ** 63)
    bad_zip = zips.archive(pickles.call("posix", "system", pickles.COMMAND))
    bad_st = safetensors_files.build(length=2 ** 63)
    for name, held, data, id in (
            ("model.safetensors", "gguf", bad_gguf, "E-GGUF"),
            ("model.safetensors", "pickle",
             pickles.call("posix", "system", pickles.COMMAND), "E-CONTENT"),
            ("model.safetensors", "torch", bad_zip, "E-PICKLE-GLOBAL"),
            ("model.safetensors", "elf", ELF, "E-CONTENT"),
            ("model.gguf", "html", HTML, "E-HTML"),
            ("model.gguf", "safetensors", bad_st, "E-SAFETENSORS"),
            ("model.gguf", "torch", bad_zip, "E-PICKLE-GLOBAL"),
            ("weights.bin", "torch", bad_zip, "E-PICKLE-GLOBAL"),
            ("weights.bin", "gguf", bad_gguf, "E-GGUF"),
            ("weights.pt", "pickle",
             pickles.call("posix", "system", pickles.COMMAND), "E-CONTENT"),
            ("model.ckpt", "torch", bad_zip, "E-PICKLE-GLOBAL"),
            ("README.md", "torch", bad_zip, "E-PICKLE-GLOBAL"),
            ("consolidated.00.pth", "gguf", bad_gguf, "E-GGUF"),
            ("consolidated.00.pth", "safetensors", bad_st,
             "E-SAFETENSORS")):
        yield Case(f"content/{name.replace('.', '-').lower()}-is-{held}",
                   {name: data}, id, target=name)
    hole = 64 << 20
    weights = "consolidated.00.pth"
    yield Case("content/sparse", around(b""), "E-EMPTY", says=("zeros",),
               holes={weights: hole})
    yield Case("content/sparse-behind-zip-magic", around(b"PK\x03\x04"),
               "E-ZIP*", holes={weights: hole})
    yield Case("content/sparse-behind-archive", around(zips.archive()),
               "E-ZIP*", holes={weights: hole})
    yield Case("content/sparse-gguf", {"model.gguf": ggufs.build()},
               "E-GGUF", target="model.gguf", holes={"model.gguf": hole})
    yield Case("content/sparse-safetensors", around(
        safetensors_files.build(), safetensors_files.NAME),
        "E-SAFETENSORS", holes={safetensors_files.NAME: hole})
