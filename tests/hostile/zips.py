# SPDX-License-Identifier: Apache-2.0
"""torch.save archives whose zip container breaks a rule (trust: zip)."""
import dataclasses
import functools
import struct
import zlib

from case import Case, around
import pickles

TOP = "consolidated"


@dataclasses.dataclass
class Member:
    """A stored member; every field that a record repeats may lie."""
    name: str
    data: bytes
    local_name: bytes = None
    central_name: bytes = None
    flags: int = 0
    local_flags: int = None
    method: int = 0
    local_method: int = None
    crc: int = None
    local_crc: int = None
    size: int = None           # uncompressed, central
    compressed: int = None     # central
    local_size: int = None
    local_extra: bytes = b""
    extra: bytes = b""
    comment: bytes = b""
    made_by: int = 0x031E
    external: int = 0x81A40000
    descriptor: bytes = b""
    gap: bytes = b""           # behind it
    offset: int = None         # central
    disk: int = 0


def build(members, prefix=b"", suffix=b"", comment=b"", count=None,
          directory_size=None, directory_offset=None, zip64=None,
          order=None, between=b""):
    out = bytearray(prefix)
    central = []
    for member in members:
        data = member.data
        crc = zlib.crc32(data) if member.crc is None else member.crc
        local_crc = crc if member.local_crc is None else member.local_crc
        name = member.name.encode()
        local = name if member.local_name is None else member.local_name
        named = name if member.central_name is None else member.central_name
        flags = member.flags
        offset = len(out)
        local_size = (len(data) if member.local_size is None
                      else member.local_size)
        out += struct.pack(
            "<IHHHIIIIHH", 0x04034B50, 20,
            flags if member.local_flags is None else member.local_flags,
            (member.method if member.local_method is None
             else member.local_method),
            0x00210000, local_crc, local_size, local_size, len(local),
            len(member.local_extra))
        out += local + member.local_extra + data + member.descriptor
        out += member.gap
        size = len(data) if member.size is None else member.size
        compressed = size if member.compressed is None else member.compressed
        central.append(struct.pack(
            "<IHHHHIIIIHHHHHII", 0x02014B50, member.made_by, 20, flags,
            member.method, 0x00210000, crc, compressed, size, len(named),
            len(member.extra), len(member.comment), member.disk, 0,
            member.external,
            offset if member.offset is None else member.offset) +
            named + member.extra + member.comment)
    if order is not None:
        central = [central[i] for i in order]
    start = len(out)
    for record in central:
        out += record
    length = len(out) - start
    out += between
    if zip64 is not None:
        out += zip64(start, length, len(central))
    out += struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0,
        len(central) if count is None else count,
        len(central) if count is None else count,
        length if directory_size is None else directory_size,
        start if directory_offset is None else directory_offset, len(comment))
    return bytes(out + comment + suffix)


def members(data_pkl=None, storages=None):
    """Of a good archive of the small model."""
    if data_pkl is None:
        data_pkl = pickles.state_dict()
    if storages is None:
        storages = pickles.storages()
    listed = [Member(f"{TOP}/data.pkl", data_pkl)]
    for key, storage in enumerate(storages):
        listed.append(Member(f"{TOP}/data/{key}", storage))
    listed.append(Member(f"{TOP}/version", b"3\n"))
    return listed


@functools.lru_cache(maxsize=4)
def good_archive():
    return build(members())


def archive(data_pkl=None, storages=None):
    if data_pkl is None and storages is None:
        return good_archive()
    return build(members(data_pkl, storages))


def changed(index, **changes):
    listed = members()
    listed[index] = dataclasses.replace(listed[index], **changes)
    return listed


def zip64_end(start, length, number, **lies):
    record = {"count": number, "size": length, "offset": start}
    record.update(lies)
    end = start + length
    return (struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0,
                        record["count"], record["count"], record["size"],
                        record["offset"]) +
            struct.pack("<IIQI", 0x07064B50, 0, record.get("at", end), 1))


def descriptor(data, crc=None, size=None):
    size = len(data) if size is None else size
    return struct.pack("<IIII", 0x08074B50,
                       zlib.crc32(data) if crc is None else crc, size, size)


def cases():
    evil = pickles.call("posix", "system", pickles.COMMAND)
    first = members()[0]
    storage = members()[1]
    last = len(members()) - 1

    def case(name, data, id="E-ZIP*", **more):
        return Case("zip/" + name, around(data), id, **more)

    yield case("encrypted-flag", build(changed(1, flags=1)), "E-ZIP-FLAGS")
    # Refused by Python's zipfile, read by torch (CVE-2025-1945).
    yield case("flag-bits-in-one-record",
               build(changed(0, flags=0, local_flags=1)), "E-ZIP-MISMATCH")
    for bit in (5, 6, 13, 15):
        yield case(f"flag-bit-{bit}", build(changed(0, flags=1 << bit)),
                   "E-ZIP-FLAGS")
    # The scanner reads one name, the loader another (CVE-2025-1944).
    yield case("local-name-differs", build(changed(
        0, local_name=f"{TOP}/data.pk1".encode())), "E-ZIP-MISMATCH")
    yield case("local-name-longer", build(changed(
        0, local_name=f"{TOP}/data.pkl2".encode())), "E-ZIP-MISMATCH")
    yield case("local-method-differs", build(changed(0, local_method=8)),
               "E-ZIP-MISMATCH")
    yield case("local-size-differs", build(changed(
        1, local_size=len(storage.data) - 2)), "E-ZIP-MISMATCH")
    yield case("local-crc-differs", build(changed(1, local_crc=1)),
               "E-ZIP-MISMATCH")
    # A broken CRC stops scanners only (CVE-2025-10156).
    yield case("crc-wrong-pickle", build(changed(0, crc=0x12345678)),
               "E-ZIP-CRC")
    yield case("crc-wrong-storage", build(changed(1, crc=0x12345678)),
               "E-CRC", convert=None)
    yield case("crc-wrong-and-evil-pickle", build(
        [dataclasses.replace(first, data=evil, crc=7)] + members()[1:]),
               "E-ZIP-CRC")
    yield case("deflated-pickle", build(changed(0, method=8)),
               "E-ZIP-COMPRESSED")
    yield case("deflated-storage", build(changed(1, method=8)),
               "E-ZIP-COMPRESSED")
    yield case("method-unknown", build(changed(1, method=99)),
               "E-ZIP-COMPRESSED")
    yield case("sizes-not-stored", build(changed(1, compressed=12)))
    yield case("size-beyond-file", build(changed(
        1, size=1 << 30, compressed=1 << 30)))
    yield case("size-saturated-without-zip64", build(changed(
        1, size=0xFFFFFFFF, compressed=0xFFFFFFFF)))
    yield case("zip64-field-lies", build(changed(
        1, size=0xFFFFFFFF, compressed=0xFFFFFFFF,
        extra=struct.pack("<HHQQ", 1, 16, 1 << 62, 1 << 62))))
    yield case("zip64-field-short", build(changed(
        1, size=0xFFFFFFFF, compressed=0xFFFFFFFF,
        extra=struct.pack("<HHQ", 1, 8, 2))))
    yield case("zip64-field-unasked", build(changed(
        1, extra=struct.pack("<HHQ", 1, 8, 2))))
    yield case("zip64-field-twice", build(changed(
        1, extra=struct.pack("<HHHH", 1, 0, 1, 0))))
    yield case("extra-field-cut", build(changed(
        1, extra=struct.pack("<HHB", 9, 77, 0))), "*")
    yield case("name-twice", build(members() + [members()[0]]),
               "E-ZIP-DUPLICATE")
    yield case("name-twice-other-pickle", build(
        members() + [dataclasses.replace(first, data=evil)]),
               "E-ZIP-DUPLICATE")
    yield case("name-twice-but-for-case", build(
        members() + [Member(f"{TOP}/DATA.PKL", evil)]), "E-ZIP-DUPLICATE")
    yield case("two-folders", build(members() + [Member("other/data.pkl",
                                                        evil)]),
               "E-ZIP-NAME")
    for name, path in (("climbs", f"{TOP}/../evil"), ("absolute", "/etc/x"),
                       ("drive", "C:\\x"), ("backslash", f"{TOP}\\evil"),
                       ("empty", ""), ("dot", f"{TOP}/./x"),
                       ("empty-part", f"{TOP}//x"), ("folder", f"{TOP}/x/"),
                       ("control", f"{TOP}/a\x1b[2Jb"),
                       ("no-folder", "data.pkl")):
        yield case(f"name-{name}", build(members() + [Member(path, b"x")]),
                   "E-ZIP-NAME")
    yield case("name-not-utf8", build(members() + [
        Member("x", b"x", local_name=b"consolidated/\xff",
               central_name=b"consolidated/\xff")]), "E-ZIP-NAME")
    yield case("name-nul", build(members() + [Member(f"{TOP}/a\0b", b"x")]),
               "E-ZIP-NAME")
    yield case("symlink", build(changed(last, external=0xA1FF0000)))
    yield case("device", build(changed(last, external=0x61FF0000)))
    yield case("folder-attribute", build(changed(last, external=0x41ED0000)))
    yield case("overlap", build(changed(2, offset=40)))
    yield case("two-records-one-member", build(
        members()[:-1] + [dataclasses.replace(
            members()[1], central_name=f"{TOP}/data/77".encode(), offset=0)]))
    yield case("offset-beyond-file", build(changed(2, offset=1 << 31)))
    yield case("gap-with-content", build(changed(1, gap=b"hidden")),
               "E-ZIP-GAP")
    yield case("gap-larger-than-padding", build(changed(1, gap=b"\0" * 100)),
               "E-ZIP-GAP")
    yield case("prefix", build(members(), prefix=b"MZ" + b"\0" * 30),
               "E-CONTENT")
    yield case("prefix-looks-like-zip", build(
        members(), prefix=b"PK\x03\x04" + b"\0" * 60))
    yield case("suffix", build(members(), suffix=b"garbage"),
               "E-ZIP-TRUNCATED")
    yield case("second-archive-behind", archive() + archive(evil))
    yield case("comment", build(members(), comment=b"hello"))
    yield case("comment-hides-end-record", build(
        members(), comment=build([first])[-22:]))
    yield case("member-comment", build(changed(1, comment=b"x")))
    yield case("count-too-large", build(members(), count=500))
    yield case("count-too-small", build(members(), count=2))
    yield case("count-zero", build(members(), count=0))
    yield case("no-members", build([]))
    yield case("ten-million-members", build(
        members(), count=0xFFFF,
        zip64=lambda s, l, n: zip64_end(s, l, n, count=10 ** 7)))
    yield case("members-65000-empty", build(members() + [
        Member(f"{TOP}/data/{i}", b"") for i in range(100, 65400)]), "*")
    for number, id in ((130_000, "*"), (140_000, "*")):
        yield case(f"members-{number}", build(
            members() + [Member(f"{TOP}/data/{i}", b"")
                         for i in range(100, number)],
            count=0xFFFF, zip64=zip64_end), id)
    yield case("directory-size-lies", build(members(), directory_size=46))
    yield case("directory-offset-lies", build(members(), directory_offset=0))
    yield case("bytes-behind-directory", build(members(), between=b"\0" * 8))
    yield case("second-volume", build(changed(1, disk=1)))
    yield case("zip64-end-disagrees", build(
        members(), zip64=lambda s, l, n: zip64_end(s, l, n, count=n - 1)))
    yield case("zip64-end-offset-2-63", build(
        members(), directory_offset=0xFFFFFFFF,
        zip64=lambda s, l, n: zip64_end(s, l, n, offset=1 << 63)))
    yield case("zip64-end-elsewhere", build(
        members(), zip64=lambda s, l, n: zip64_end(s, l, n, at=0)))
    yield case("zip64-end-missing", build(members(), count=0xFFFF))
    yield case("descriptor-missing", build(changed(1, flags=8)),
               "E-ZIP-MISMATCH")
    yield case("descriptor-lies", build(changed(
        1, flags=8, descriptor=descriptor(storage.data, size=1))),
               "E-ZIP-MISMATCH")
    yield case("descriptor-not-announced", build(changed(
        1, descriptor=descriptor(storage.data))), "E-ZIP-GAP")
    whole = archive()
    for cut in (4, 30, len(whole) // 2, len(whole) - 1):
        yield case(f"cut-at-{cut}", whole[:cut], "E-ZIP*")
    # What torch.save never writes.
    for name in ("evil.py", "code/__torch__.py", "constants.pkl", "data.pkl~",
                 "extra/libevil.so", ".data/other"):
        unsupported = name.startswith(("code/", "constants"))
        yield case(f"member-{name.replace('/', '-')}",
                   build(members() + [Member(f"{TOP}/{name}", b"x")]), "*",
                   code=9 if unsupported else 8)
    yield case("no-pickle", build(members()[1:]), "E-TORCH")
    yield case("pickle-in-subfolder", build(
        [Member(f"{TOP}/data/data.pkl", first.data)] + members()[1:]),
               "E-TORCH")
    yield case("version-11", build(changed(last, data=b"11\n")), "*", code=9)
    yield case("version-text", build(changed(last, data=b"evil\n")), "*",
               code=9)
    yield case("byteorder-big", build(
        members() + [Member(f"{TOP}/byteorder", b"big")]), "*", code=9)
    yield case("byteorder-huge", build(
        members() + [Member(f"{TOP}/byteorder", b"little" * 1000)]))
    # One archive in another, and as something else (E6).
    yield case("archive-in-archive", build(
        [dataclasses.replace(first, data=archive())] + members()[1:]),
               "E-PICKLE*")
