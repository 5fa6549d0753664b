# SPDX-License-Identifier: Apache-2.0
"""What was read before and did not change since is not read again, and what is
remembered decides nothing. Reading past the page cache. D13: a file that is
replaced while it is looked at."""
import errno
import hashlib
import os
import random
import shutil
import threading
import time

from harness import (check, contains, equal, flip_byte, main, read, wait_until,
                     write)

MIB = 1 << 20
SHIM = os.environ.get("FAULT_SHIM", "")


def files_of(run):
    return {event["path"]: event for event in run.of_type("file")}


def rest(folder):
    """Files that were written a moment ago are not remembered."""
    def rested():
        newest = max(max(status.st_ctime, status.st_mtime) for status in (
            os.stat(os.path.join(folder, name)) for name in os.listdir(folder)))
        return time.time() > newest + 2.1
    wait_until(rested, "files that have rested for two seconds")


def write_sums(folder, names):
    write(os.path.join(folder, "SHA256SUMS"), "".join(
        f"{hashlib.sha256(read(os.path.join(folder, name))).hexdigest()}"
        f"  {name}\n" for name in names))


def remembered(box, folder):
    verify = ("verify", folder, "--level", "checksums")
    size = sum(os.path.getsize(os.path.join(folder, name))
               for name in ("a.bin", "b.bin"))
    first = box.run(*verify, "--json")
    equal([event["cached"] for name, event in files_of(first).items()
           if name.endswith(".bin")], [False, False], f"read at first\n{first}")
    second = box.run(*verify, "--json")
    for name in ("a.bin", "b.bin"):
        event = files_of(second)[name]
        equal(event["cached"], True, f"{name} remembered\n{second}")
        equal(event["sha256"], files_of(first)[name]["sha256"], name)
        equal(event["level"], "sha256", f"level of {name}")
    summary = second.result["summary"]
    equal(summary["bytes_read"], 0, "bytes read")
    check(summary["bytes_not_read"] >= size, f"bytes not read\n{second}")
    plain = box.run(*verify)
    contains(plain.stderr, "remembered", "what people are told")
    contains(plain.stderr, "--rehash", "how to have it read all the same")
    again = box.run(*verify, "--rehash", "--json")
    equal(again.result["summary"]["bytes_not_read"], 0, "with --rehash")
    check(again.result["summary"]["bytes_read"] >= size, f"read\n{again}")


def not_believed(box, folder):
    """Neither a changed file nor a changed list is right because of it."""
    verify = ("verify", folder, "--level", "checksums", "--json")
    path = os.path.join(folder, "a.bin")
    status = os.stat(path)
    flip_byte(path, 12345)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    run = box.run(*verify, code=6)
    equal(files_of(run)["a.bin"]["status"], "mismatch", "a changed byte")
    equal(files_of(run)["a.bin"]["cached"], False, "read again")
    equal(files_of(run)["b.bin"]["cached"], True, "the other one")
    flip_byte(path, 12345)
    rest(folder)
    box.run(*verify)
    other = hashlib.sha256(b"other").hexdigest()
    write(os.path.join(folder, "SHA256SUMS"), f"{other}  b.bin\n")
    run = box.run(*verify, code=6)
    event = files_of(run)["b.bin"]
    equal((event["cached"], event["status"]), (True, "mismatch"),
          "compared with the list of today")
    write_sums(folder, ("a.bin", "b.bin"))


def of_a_torrent(box, origin):
    """Pieces are remembered by file; a changed one alone is read again."""
    copy = box.path("copy", "model")
    shutil.copytree(origin, copy)
    torrent = box.path("model.torrent")
    box.run("publish", origin, "--piece-size", "64KiB", "--format", "hybrid",
            "--output", torrent)
    rest(copy)
    verify = ("verify", copy, "--level", "checksums", "--against", torrent,
              "--json")
    box.run(*verify)
    run = box.run(*verify)
    equal(run.result["summary"]["bad_pieces"], 0, "bad pieces")
    equal(run.result["summary"]["bytes_read"], 0, "bytes read")
    flip_byte(os.path.join(copy, "b.bin"), 3 * 65536 + 5)
    run = box.run(*verify, code=6)
    equal(files_of(run)["a.bin"]["cached"], True, "a.bin")
    event = files_of(run)["b.bin"]
    equal((event["cached"], len(event["damage"])), (False, 1), f"b.bin\n{run}")
    check(event["damage"][0]["begin"] <= 3 * 65536 + 5 <
          event["damage"][0]["end"], f"where\n{event}")


def direct(box, folder):
    """--io direct says the same, also where the file system refuses."""
    verify = ("verify", folder, "--level", "checksums", "--rehash", "--io")
    cached = box.run(*verify, "cached", "--json")
    run = box.run(*verify, "direct", "--json")
    equal({name: event["sha256"] for name, event in files_of(run).items()},
          {name: event["sha256"] for name, event in files_of(cached).items()},
          "digests")
    if not SHIM:
        return
    env = dict(box.env, LD_PRELOAD=SHIM, FAULT_CALL="directread",
               FAULT_PATH="a.bin", FAULT_ERRNO=str(errno.EINVAL))
    run = box.run(*verify, "direct", "--json", env=env)
    codes = [event["code"] for event in run.of_type("warning")]
    check("IO_NOT_DIRECT" in codes, f"no warning: {codes}\n{run}")
    equal(files_of(run)["a.bin"]["sha256"],
          files_of(cached)["a.bin"]["sha256"], "digest all the same")


def replaced(box, folder):
    """D13: the path leads to another file by the time all is read."""
    path = os.path.join(folder, "a.bin")
    content = read(path)
    stop = threading.Event()

    def swap():
        number = 0
        while not stop.is_set():
            number += 1
            new = box.path(f"new-{number % 2}")
            write(new, content)
            os.rename(new, path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        run = box.run("verify", folder, "--level", "checksums", "--rehash",
                      "--json", code=6)
    finally:
        stop.set()
        thread.join()
    equal(files_of(run)["a.bin"]["status"], "mismatch", f"a.bin\n{run}")


def test(box):
    generator = random.Random(7)
    folder = box.path("model")
    write(os.path.join(folder, "a.bin"), generator.randbytes(2 * MIB + 17))
    write(os.path.join(folder, "b.bin"), generator.randbytes(MIB))
    write_sums(folder, ("a.bin", "b.bin"))
    rest(folder)
    remembered(box, folder)
    not_believed(box, folder)
    of_a_torrent(box, folder)
    direct(box, folder)
    replaced(box, folder)


main(test)
