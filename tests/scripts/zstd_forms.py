# SPDX-License-Identifier: Apache-2.0
"""The forms of zstd data: frames by the zstd command, and the table that makes
them seekable by hand."""
import struct
import subprocess


def zstd(data, *flags):
    return subprocess.run(["zstd", "-q", "-c", *flags], input=data,
                          stdout=subprocess.PIPE, check=True).stdout


def skippable(data, variant=0):
    return struct.pack("<II", 0x184D2A50 + variant, len(data)) + data


def seekable(data, frame_bytes, count=None, flags=0):
    """Frames and their table; of a zstd frame the last four bytes are the low
    half of the XXH64 of what it holds."""
    frames, entries = [], b""
    for at in range(0, len(data), frame_bytes):
        part = data[at:at + frame_bytes]
        frame = zstd(part)
        frames.append(frame)
        entries += struct.pack("<II", len(frame), len(part)) + frame[-4:]
    count = len(frames) if count is None else count
    footer = struct.pack("<IBI", count, 0x80 | flags, 0x8F92EAB1)
    return b"".join(frames) + skippable(entries + footer, 0xE)
