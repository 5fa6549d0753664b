# SPDX-License-Identifier: Apache-2.0
"""A disk that is or becomes full costs nothing but time (F1); an output that
is there already survives a conversion that fails (F16); what cannot be written
to can still be read (F8)."""
import os
import shutil
import subprocess
import sys

import harness
from harness import (LOCAL, Skip, bare, check, contains, equal, main, needs,
                     needs_root, same_tree, tree)

MIB = 1 << 20
INSIDE = "LODESTONE_SCRIPT_NAMESPACE"


def enter_namespace():
    """Runs this script again where mounts are its own and end with it."""
    if os.environ.get(INSIDE):
        return
    needs_root()
    needs("unshare", "mount")
    probe = subprocess.run(["unshare", "--mount", "true"],
                           stderr=subprocess.PIPE)
    if probe.returncode != 0:
        raise Skip("no mount namespaces here")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private",
                          sys.executable, "-B", *sys.argv])


def small_disk(box, name, size):
    folder = box.path(name)
    os.makedirs(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                           "tmpfs", folder], stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Skip(f"no tmpfs: {done.stderr.decode().strip()}")
    box.at_end(lambda: subprocess.run(["umount", "-l", folder], check=True))
    return folder


def free_bytes(folder):
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize


def fill(path):
    """Takes all that is free."""
    with open(path, "wb", buffering=0) as file:
        block = b"\0" * 65536
        try:
            while True:
                if file.write(block) < len(block):
                    break
        except OSError:
            pass


def too_small(box, seeder):
    disk = small_disk(box, "small", 8 * MIB)
    free = free_bytes(disk)
    run = box.fails("get", bare(seeder.magnet), "--output", disk, "--peer",
                    seeder.endpoint, "--port", "0", *LOCAL, code=5,
                    id="E-DISK-FULL", says=("bytes needed", "free"),
                    env=box.user("small-user"))
    needed = int(run.error["message"].split(" bytes needed")[0].split()[-1])
    plan = run.of_type("plan")[-1]
    check(needed >= plan["total_bytes"], f"{needed} bytes are not enough")
    check(needed <= plan["total_bytes"] * 1.2, f"{needed} bytes asked for")
    check(free - free_bytes(disk) < MIB, "payload came all the same")
    check(not any(name.endswith(".pth") for name in tree(disk)),
          "a payload file was made")


def vanishes(box, origin):
    """Space that was there when the download began."""
    disk = small_disk(box, "shrinks", 40 * MIB)
    seeder = box.seed(origin, "--up", "4MB")
    env = box.user("shrinks-user")
    arguments = ("get", bare(seeder.magnet), "--output", disk, "--peer",
                 seeder.endpoint, "--port", "0", *LOCAL, "--json")
    process = box.start(*arguments, env=env)
    process.wait_event("plan")
    while process.wait_event("progress")["done_bytes"] == 0:
        pass
    fill(os.path.join(disk, "filler"))
    run = process.end(5)
    error = run.error
    equal(error["code"], "E-DISK-FULL", f"error code\n{run}")
    contains(error["message"], "bytes", "the error")
    contains(error["hint"], "free some space", "the hint")
    check(not os.path.exists(os.path.join(disk, "demo")), "a final name")
    had = max(event["done_bytes"] for event in run.of_type("progress"))
    # Still full: at once, with the number of bytes.
    box.run(*arguments, code=5, env=env)
    os.remove(os.path.join(disk, "filler"))
    run = box.run(*arguments, env=env)
    resumed = run.of_type("plan")[-1]["resume_bytes"]
    # What was reported as done had passed its hash; of that, blocks still on
    # their way to the disk are lost with it: at most what arrived within the
    # half second between two reports.
    check(resumed > 0 and resumed >= had - 4 * MIB,
          f"{resumed} bytes resumed of {had}")
    same_tree(os.path.join(disk, "demo"), origin)
    equal(sorted(os.listdir(disk)), ["demo"], "what is left")
    seeder.stop()


def convert(box, origin):
    disk = small_disk(box, "output", 4 * MIB)
    output = os.path.join(disk, "model.gguf")
    for _ in range(2):
        box.fails("convert", origin, output, code=5)
        equal(os.listdir(disk), [], "what convert left")
    # An older output survives the attempt to replace it.
    harness.write(output, "older")
    box.fails("convert", origin, output, "--overwrite", code=5)
    equal(tree(disk), {"model.gguf": b"older"}, "the older output")


def publish(box, origin):
    disk = small_disk(box, "torrents", 1 * MIB)
    fill(os.path.join(disk, "filler"))
    box.fails("publish", origin, "--output", os.path.join(disk, "x.torrent"),
              code=5)
    equal(os.listdir(disk), ["filler"], "what publish left")


def read_only(box, origin, seeder):
    """What only reads needs no writable disk; the others say so at once."""
    disk = small_disk(box, "ro", 64 * MIB)
    copy = os.path.join(disk, "demo")
    shutil.copytree(origin, copy)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    box.run("verify", copy)
    box.run("chat", copy, "-p", "What is an ocean?")
    for args in (("get", seeder.magnet, "--output", disk, "--peer",
                  seeder.endpoint, "--port", "0", *LOCAL),
                 ("convert", copy, os.path.join(disk, "x.gguf")),
                 ("publish", copy)):
        box.fails(*args, code=5, env=box.user("ro-user"))
    again = box.seed(copy, env=box.user("ro-seeder"))
    box.get(again.magnet, again, box.path("from-ro"), "--raw",
            env=box.user("from-ro-user"))
    same_tree(box.path("from-ro", "demo"), origin)
    again.stop()
    # A home where nothing can be stored costs a warning, no download.
    env = dict(box.user("poor"))
    env["XDG_DATA_HOME"] = os.path.join(disk, "data")
    run = box.get(seeder.magnet, seeder, box.path("poor-out"), "--raw", env=env)
    contains(run.stderr, "warning", "the torrent could not be stored")
    same_tree(box.path("poor-out", "demo"), origin)


def test(box):
    origin = box.demo()
    seeder = box.seed(origin)
    too_small(box, seeder)
    vanishes(box, origin)
    convert(box, origin)
    publish(box, origin)
    read_only(box, origin, seeder)


try:
    enter_namespace()
except Skip as reason:
    print(f"skipped: {reason}")
    sys.exit(harness.SKIPPED)
main(test)
