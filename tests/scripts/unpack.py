# SPDX-License-Identifier: Apache-2.0
"""Archives on the command line: what `unpack` writes, and that it writes nothing
else (E1 to E7, and rule 8 of places: confined, never over anything, 0700 while
it works, the final name last); what `inspect` and `verify` say of them."""
import gzip
import hashlib
import io
import os
import signal
import stat
import struct
import subprocess
import tarfile
import zipfile

from harness import (check, contains, equal, main, needs, read, same_tree,
                     wait_until, write)
from zstd_forms import seekable, skippable, zstd

MIB = 1 << 20


def tar(*members, form=tarfile.PAX_FORMAT):
    """Members (name, content) or (name, content, fields of TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content, *more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in (more[0] if more else {}).items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(target, kind=tarfile.SYMTYPE):
    return {"type": kind, "linkname": target}


class Place:
    """A folder to unpack into, beside which nothing may change."""

    def __init__(self, box, name):
        self.box = box
        self.folder = box.path(name)
        self.output = os.path.join(self.folder, "out")
        os.makedirs(self.output)
        self.outside = write(os.path.join(self.folder, "outside"), b"precious")

    def archive(self, name, data):
        return write(os.path.join(self.folder, name), data)

    def unpack(self, archive, *more, **expected):
        return self.box.run("unpack", archive, "--output", self.output,
                            "--json", *more, **expected)

    def refuses(self, archive, *more, code=8, id=None, says=()):
        run = self.box.fails("unpack", archive, "--output", self.output, *more,
                             code=code, id=id, says=says)
        self.untouched()
        return run

    def untouched(self):
        equal(os.listdir(self.output), [], "what was left behind")
        equal(read(self.outside), b"precious", "a file outside")

    def outcome(self, *names):
        equal(sorted(os.listdir(self.output)), sorted(names),
              "what was unpacked")


def unpacks(box, demo):
    """What GNU tar and zstd write comes out as it went in."""
    place = Place(box, "good")
    parent, name = os.path.split(demo)
    forms = {"a.tar": ["--format=gnu"], "b.tar": ["--format=pax"],
             "c.tar": ["--format=ustar"]}
    for archive, flags in forms.items():
        path = os.path.join(place.folder, archive)
        subprocess.run(["tar", *flags, "-C", parent, "-cf", path, name],
                       check=True)
        data = read(path)
        for form, packed in (("tar", data), ("tar.zst", zstd(data)),
                             ("seekable.tar.zst", seekable(data, MIB))):
            source = place.archive(f"{archive}.{form}", packed)
            run = place.unpack(source)
            target = os.path.join(place.output, name)
            equal(run.result["path"], target, "path of the result")
            same_tree(target, demo)
            place.outcome(name)
            for event in run.of_type("file"):
                digest = hashlib.sha256(
                    read(os.path.join(place.output, event["path"])))
                equal(event["sha256"], digest.hexdigest(), "sha256 of a file")
            mode = stat.S_IMODE(os.stat(target).st_mode)
            equal(mode, 0o755, "mode of the folder when it is done")
            box.fails(
                "unpack", source, "--output", place.output, code=5,
                id="E-EXISTS")
            subprocess.run(["rm", "-r", target], check=True)
    # From a folder itself: names begin with "./".
    path = os.path.join(place.folder, "dot.tar")
    subprocess.run(["tar", "-C", demo, "-cf", path, "."], check=True)
    place.unpack(path)
    same_tree(os.path.join(place.output, "dot"), demo)
    # One file, without tar; text for people ends in the path.
    weights = os.urandom(3 * MIB)
    source = place.archive("w.pth.zst", zstd(weights, "--no-check"))
    run = box.run("unpack", source, "--output", place.output)
    equal(run.last_line, os.path.join(place.output, "w.pth"), "last line")
    equal(read(run.last_line), weights, "what came out")
    contains(run.stderr, "have no checksum", "a frame without checksum")
    place.outcome("dot", "w.pth")
    # Marks of programs are left out.
    run = place.unpack(place.archive("x.tar", tar(
        ("run.sh", b"#!/bin/sh\n", {"mode": 0o755}), ("b", b"2"))))
    mode = stat.S_IMODE(os.stat(os.path.join(place.output, "x/run.sh")).st_mode)
    equal(mode, 0o644, "mode of a program")
    equal([w["code"] for w in run.of_type("warning")], ["NOT_EXECUTABLE"],
          "warnings")


def bombs(box):
    """E1: nothing is left of what grows beyond the limit."""
    place = Place(box, "bombs")
    block = struct.pack("<I", 1 << 1 | (128 << 10) << 3)[:3] + b"0"
    last = struct.pack("<I", 1 | 1 << 1 | (128 << 10) << 3)[:3] + b"0"
    head = struct.pack("<IB", 0xFD2FB528, 0)
    bomb = place.archive("x.pth.zst", head + b"\x50" + block * 700 + last)
    place.refuses(bomb, id="E-ARCHIVE-BOMB", says="--max-size")
    place.refuses(bomb, "--max-size", "10MB", id="E-ARCHIVE-BOMB")
    run = place.unpack(bomb, "--max-size", "1GB")
    equal(run.result["summary"]["bytes"], 701 * (128 << 10), "bytes allowed")
    os.remove(os.path.join(place.output, "x.pth"))
    window = place.archive("w.zst", head + b"\xa8" + last)
    place.refuses(window, id="E-ZSTD-WINDOW", says="--window-log")
    lying = place.archive("l.zst", struct.pack("<IBI", 0xFD2FB528, 0xA0, 9999)
                          + struct.pack("<I", 1 | 3 << 3)[:3] + b"abc")
    place.refuses(lying, id="E-ZSTD")
    # The last file of three, and what was already written goes with it.
    data = tar(("a", b"1" * MIB), ("b", b"2"), ("../c", b"3"))
    place.refuses(place.archive("late.tar.zst", zstd(data)),
                  id="E-ARCHIVE-PATH", says="../c")
    plain = place.archive("big.tar", tar(("a", b"1" * MIB)))
    place.refuses(plain, "--max-size", "1MB", id="E-ARCHIVE-BOMB")


def broken(box):
    """E2: damage and what does not belong there."""
    place = Place(box, "broken")
    good = zstd(tar(("a", os.urandom(300_000)), ("b", b"")))
    cut = place.archive("cut.tar.zst", good[:-1000])
    place.refuses(cut, id="E-ZSTD-TRUNCATED")
    checksum = place.archive("sum.tar.zst",
                             good[:-1] + bytes([good[-1] ^ 1]))
    place.refuses(checksum, id="E-ZSTD-CHECKSUM")
    tail = place.archive("tail.tar.zst", good + b"tail")
    place.refuses(tail, id="E-ZSTD-TRAILING")
    flood = place.archive("flood.tar.zst", good + skippable(b"") * 70)
    place.refuses(flood, id="E-ZSTD", says="flood")
    dictionary = place.archive(
        "dict.zst", struct.pack("<IBBB", 0xFD2FB528, 0x21, 5, 3)
        + struct.pack("<I", 1 | 3 << 3)[:3] + b"abc")
    place.refuses(dictionary, id="E-ZSTD-DICTIONARY")
    # verify says the same of each, with the same id and code.
    for path, name in ((cut, "E-ZSTD-TRUNCATED"), (tail, "E-ZSTD-TRAILING"),
                       (checksum, "E-ZSTD-CHECKSUM"),
                       (dictionary, "E-ZSTD-DICTIONARY")):
        box.fails("verify", path, code=8, id=name)


def tables(box):
    """E3: a seek table that lies."""
    place = Place(box, "tables")
    data = tar(("a", os.urandom(50_000)), ("b", b"2"))
    for name, more in (("count", {"count": 0xFFFFFFFF}),
                       ("bits", {"flags": 0x40})):
        path = place.archive(f"{name}.tar.zst", seekable(data, 9000, **more))
        for verb in ("verify", "inspect"):
            box.fails(verb, path, code=8, id="E-SEEK-TABLE")
        place.refuses(path, id="E-SEEK-TABLE", says="--ignore-seek-table")
        box.run("verify", path, "--ignore-seek-table")
        place.unpack(path, "--ignore-seek-table")
        place.outcome(name)
        subprocess.run(["rm", "-r", os.path.join(place.output, name)],
                       check=True)


def places(box):
    """E4: nothing outside of the folder, by whatever name."""
    place = Place(box, "places")
    outside = place.outside
    cases = {
        "climbing": [("../outside", b"evil")],
        "absolute": [(outside, b"evil")],
        "inside out": [("a/../../outside", b"evil")],
        "through a link": [("l", b"", link("..")), ("l/outside", b"evil")],
        "link": [("l", b"", link(outside)), ("l", b"evil")],
        "hard link": [("h", b"", link(outside, tarfile.LNKTYPE))],
        "device": [("d", b"", {"type": tarfile.CHRTYPE})],
        "pipe": [("p", b"", {"type": tarfile.FIFOTYPE})],
        "pax": [("x", b"evil", {"pax_headers": {"path": "../outside"}})],
        "sparse": [("s", b"x", {"pax_headers": {"GNU.sparse.major": "1"}})],
        "twice": [("a", b"1"), ("a", b"2")],
        "case": [("Model.bin", b"1"), ("model.bin", b"2")],
        "accents": [("caf\u00e9", b"1"), ("cafe\u0301", b"2")],
        "file and folder": [("a", b"1"), ("a/b", b"2")],
        "escape": [("a\x1b[2J", b"1")],
    }
    for name, members in cases.items():
        data = tar(("first", b"written before"), *members)
        for form, packed in (("tar", data), ("tar.zst", zstd(data)),
                             ("s.tar.zst", seekable(data, 700))):
            archive = place.archive(f"{name}.{form}", packed)
            place.refuses(archive, id="E-ARCHIVE-PATH")
            for verb in ("verify", "inspect"):
                box.fails(verb, archive, code=8, id="E-ARCHIVE-PATH")
    huge = bytearray(tar(("a", b"1"), form=tarfile.USTAR_FORMAT))
    huge[124:135] = b"7" * 11
    huge[148:156] = b" " * 8
    huge[148:156] = b"%06o\0 " % sum(huge[:512])
    for form, packed in (("tar", bytes(huge)), ("tar.zst", zstd(bytes(huge)))):
        place.refuses(place.archive("huge." + form, packed), id="E-TRUNCATED")


def kinds(box):
    """E5, E6: other archives, archives in archives, and files that are two
    things at once."""
    place = Place(box, "kinds")
    seven = b"7z\xbc\xaf\x27\x1c" + b"\0" * 600
    for name, data in (("a.7z", seven), ("a.rar", b"Rar!\x1a\x07\x01\0" * 9),
                       ("a.tar.gz", gzip.compress(b"x"))):
        path = place.archive(name, data)
        place.refuses(path, code=9, id="E-ARCHIVE-KIND")
    # E5: named like weights, they are no weights.
    for name, data in (("a.pth", seven), ("b.pth", b"Rar!\x1a\x07\x01\0" * 9),
                       ("c.pth", gzip.compress(b"x")),
                       ("d.pth", zstd(b"x")), ("e.pth", tar(("a", b"1")))):
        box.fails("verify", place.archive(name, data), code=8)
    inner = tar(("a", b"1"))
    for name, data in (("in.tar", tar(("b", b"2"), ("in.tar", inner))),
                       ("in.tar.zst", zstd(tar(("in.zst", zstd(inner))))),
                       ("twice.zst", zstd(zstd(b"x"))),
                       ("seven.zst", zstd(seven)),
                       ("seven.tar", tar(("weights.bin", seven)))):
        path = place.archive(name, data)
        place.refuses(path, id="E-ARCHIVE-NESTED")
        box.fails("verify", path, code=8, id="E-ARCHIVE-NESTED")
    # A zip is weights, and none that holds an archive in front or behind.
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02}.")
    tail = place.archive("tail.tar", inner + plain.getvalue())
    place.refuses(tail, id="E-ARCHIVE-TRAILING")
    # A header of safetensors that is the start of a tar header: name "X", then
    # JSON up to the checksum, which stands in a text.
    text = bytearray(b"\x00" * 512)
    json = (b'{"__metadata__":{"a":"' + b" " * 70)
    head = struct.pack("<Q", 240) + json
    text[:len(head)] = head
    text[0:1] = b"\xf0"
    text[124:136] = b"00000000000 "
    text[257:265] = b"ustar\x0000"
    text[148:156] = b" " * 8
    text[148:156] = b"%06o\0 " % sum(text)
    both = place.archive("both.tar", bytes(text) + b"\0" * 1024)
    place.refuses(both, id="E-POLYGLOT", says="safetensors")
    box.fails("verify", place.archive("both.safetensors", read(both)), code=8,
              says="tar")


def without_sums(box, demo):
    """E5: a checksum of 0 means that the writer made none: taken, and said."""
    data = bytearray(read(os.path.join(demo, "consolidated.00.pth")))
    at = data.rfind(b"PK\x05\x06")
    offset, = struct.unpack_from("<I", data, at + 16)
    while data[offset:offset + 4] == b"PK\x01\x02":
        size, = struct.unpack_from("<I", data, offset + 20)
        names, extra, comment = struct.unpack_from("<HHH", data, offset + 28)
        local, = struct.unpack_from("<I", data, offset + 42)
        data[offset + 16:offset + 20] = bytes(4)
        lengths = struct.unpack_from("<HH", data, local + 26)
        flags, = struct.unpack_from("<H", data, local + 6)
        data[local + 14:local + 18] = bytes(4)
        if flags & 8:
            payload = local + 30 + sum(lengths)
            check(data[payload + size:payload + size + 4] == b"PK\x07\x08",
                  "no descriptor where it should be")
            data[payload + size + 4:payload + size + 8] = bytes(4)
        offset += 46 + names + extra + comment
    path = write(box.path("unsummed", "weights.pth"), bytes(data))
    run = box.run("verify", path, "--json")
    notes = [w for w in run.of_type("warning") if w["code"] == "NO_CRC"]
    equal(len(notes), 1, f"E5: notes of members without a checksum\n{run}")


def members(box):
    """E7: a list of names without end."""
    place = Place(box, "members")
    one = bytearray(tar(("0000000", b""), form=tarfile.USTAR_FORMAT)[:512])

    def header(number):
        one[0:7] = b"%07d" % number
        one[148:156] = b" " * 8
        one[148:156] = b"%06o\0 " % sum(one)
        return bytes(one)
    data = b"".join(header(i) for i in range(200_001)) + b"\0" * 1024
    run = place.refuses(place.archive("many.tar.zst", zstd(data)),
                        "--max-size", "1GB", id="E-TAR", says="200000 members")
    check(run.seconds < 60, f"E7: took {run.seconds:.0f} s")


def interrupted(box):
    """Ctrl-C in the middle, a full disk, and a kill."""
    place = Place(box, "interrupted")
    work = place.output
    # So slow to read that it is under way for certain: a pipe cannot be
    # named, so a file that holds one frame of 2 GiB of one byte, repeated.
    block = struct.pack("<I", 1 << 1 | (128 << 10) << 3)[:3] + b"0"
    last = struct.pack("<I", 1 | 1 << 1 | (128 << 10) << 3)[:3] + b"0"
    head = struct.pack("<IB", 0xFD2FB528, 0) + b"\x50"
    archive = place.archive("x.zst", head + block * (8 << 10) + last)

    def folders():
        return [name for name in os.listdir(work)
                if name.startswith(".lodestone-unpack-")]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = box.start("unpack", archive, "--output", work, "--json",
                            "--max-size", "100GB")
        name, = wait_until(folders, "the work folder")
        mode = stat.S_IMODE(os.stat(os.path.join(work, name)).st_mode)
        equal(mode, 0o700, "rule 8: mode of the work folder")
        check(not os.path.exists(os.path.join(work, "x")),
              "rule 8: a final name before the end")
        process.send(number)
        process.end(code)
        place.untouched()


def tells(box, demo):
    """inspect and verify of what is right."""
    place = Place(box, "tells")
    data = tar(("m/a", b"1" * 5000), ("m/b", b"2", {"mode": 0o755}))
    archive = place.archive("m.tar.zst", seekable(data, 4000))
    document = box.run("inspect", archive, "--json").document
    equal(document["kind"], "archive", "kind")
    equal(document["format"], "tar.zst", "format")
    equal([(m["path"], m["bytes"], m["executable"])
           for m in document["members"]],
          [("m/a", 5000, False), ("m/b", 1, True)], "members")
    frames = -(-len(data) // 4000)
    equal(document["seek_table"]["frames"], frames, "frames of the table")
    equal(document["frames"]["count"], frames, "frames")
    equal(document["frames"]["without_checksum"], 0, "frames without checksum")
    contains(box.run("inspect", archive).stdout, "m/a", "inspect")
    # A list beside it is held against the archive itself.
    sums = hashlib.sha256(read(archive)).hexdigest() + "  m.tar.zst\n"
    write(os.path.join(place.folder, "SHA256SUMS"), sums.encode())
    run = box.run("verify", archive, "--json")
    equal(run.result["summary"]["level"], "sha256", "level by the list")
    notes = [w for w in run.of_type("warning") if w["code"] == "ARCHIVE"]
    equal(len(notes), 1, "warnings of an archive")
    contains(notes[0]["hint"], "lodestone unpack", "the next step")
    check(any(c["id"] == "structure.archive" and c["status"] == "pass"
              for c in run.of_type("check")), f"no check\n{run}")
    # Weights within zstd are looked at, if any byte of them can be read.
    weights = read(os.path.join(demo, "consolidated.00.pth"))
    packed = place.archive("consolidated.00.pth.zst", seekable(weights, MIB))
    document = box.run("inspect", packed, "--tensors", "--json").document
    plain = box.run("inspect", os.path.join(demo, "consolidated.00.pth"),
                    "--tensors", "--json").document
    for key in ("num_tensors", "elements", "dtypes", "tensor_bytes"):
        equal(document["checkpoint"][key], plain[key], f"{key} in zstd")
    equal([(t["name"], t["shape"], t["offset"])
           for t in document["checkpoint"]["tensors"]],
          [(t["name"], t["shape"], t["offset"]) for t in plain["tensors"]],
          "tensors in zstd")
    document = box.run("inspect", place.archive("x.zst", zstd(weights)),
                       "--json").document
    equal(document["checkpoint"], None, "no table without a seek table")


def fetched(box, demo):
    """An archive is fetched, verified and served like a model, and unpacked."""
    parent, name = os.path.split(demo)
    archive = box.path("share", "model.tar.zst")
    os.makedirs(os.path.dirname(archive))
    data = subprocess.run(["tar", "-C", parent, "-c", name],
                          stdout=subprocess.PIPE, check=True).stdout
    write(archive, zstd(data))
    seeder = box.seed(archive)
    output = box.path("fetched")
    run = box.get(seeder.magnet, seeder, output, "--json")
    equal(run.result["path"], os.path.join(output, "model.tar.zst"), "path")
    box.run("unpack", run.result["path"], "--output", output)
    same_tree(os.path.join(output, name), demo)


def test(box):
    needs("zstd", "tar")
    demo = box.demo()
    unpacks(box, demo)
    bombs(box)
    broken(box)
    tables(box)
    places(box)
    kinds(box)
    without_sums(box, demo)
    members(box)
    interrupted(box)
    tells(box, demo)
    fetched(box, demo)


main(test)
