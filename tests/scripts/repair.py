# SPDX-License-Identifier: Apache-2.0
"""A damaged copy is made right by fetching what is wrong and nothing else:
verify --repair, get over a folder, and kills on the way. D4, F4, F7, F9."""
import os
import random
import shutil
import signal

from harness import (LOCAL, Failure, bare, check, contains, equal, flip_byte,
                     main, read, same_tree, tree, write)
from hostile_web import HostileWeb

MIB = 1 << 20


def wrong_bytes(folder, origin):
    """How many bytes differ from the published ones, missing ones too."""
    count = 0
    for name, good in tree(origin).items():
        path = os.path.join(folder, name)
        have = read(path) if os.path.exists(path) else b""
        count += abs(len(good) - len(have))
        count += sum(a != b for a, b in zip(good, have))
    return count


def one_byte(box, origin, seeder, final, env):
    """D4: one flipped bit in a large file is found, named, and costs one
    piece."""
    weights = os.path.join(final, "consolidated.00.pth")
    flip_byte(weights, os.path.getsize(weights) // 2)
    inode = os.stat(weights).st_ino
    run = box.run("verify", final, "--json", code=6, env=env)
    contains(" ".join(run.result["next"]) + run.error["hint"], "--repair",
             "the way to mend it")
    contains(run.error["message"], "consolidated.00.pth", "D4: the file")
    contains(run.error["message"], "piece ", "D4: the piece")
    run = box.run("verify", final, "--repair", "--peer", seeder.endpoint,
                  "--port", "0", *LOCAL, "--json", env=env)
    summary = run.result["summary"]
    piece = run.of_type("plan")[-1]["piece_length"]
    check(0 < summary["downloaded_bytes"] <= piece,
          f"{summary['downloaded_bytes']} bytes for a piece of {piece}")
    equal(summary["repaired_pieces"], 1, "repaired pieces")
    equal(os.stat(weights).st_ino, inode, "mended in place")
    same_tree(final, origin)
    # Nothing is wrong any more: no peer is asked.
    run = box.run("verify", final, "--repair", "--port", "0", *LOCAL, env=env)
    contains(run.stderr, "nothing to repair", "the second time")


def from_web_seed(box, origin, final, env):
    """No peer at all: the piece comes from a web server."""
    web = HostileWeb(os.path.dirname(origin))
    box.at_end(web.close)
    weights = os.path.join(final, "consolidated.00.pth")
    flip_byte(weights, os.path.getsize(weights) // 3)
    run = box.run("verify", final, "--repair", "--web-seed", web.url("good"),
                  "--port", "0", *LOCAL, "--json", env=env)
    piece = run.of_type("plan")[-1]["piece_length"]
    equal(run.result["summary"]["repaired_pieces"], 1, "repaired pieces")
    equal(run.result["summary"]["downloaded_bytes"], piece, "fetched bytes")
    equal(web.sent["good"], piece, "bytes that the server sent")
    same_tree(final, origin)


def no_torrent(box, origin):
    copy = box.path("stranger")
    shutil.copytree(origin, copy)
    flip_byte(os.path.join(copy, "RELEASE"), 30)
    before = tree(copy)
    os.remove(os.path.join(copy, "tokenizer.model"))
    before.pop("tokenizer.model")
    box.fails("verify", copy, "--repair", "--port", "0", *LOCAL, code=3,
              id="E-NO-TORRENT", says="--against",
              env=box.user("stranger-user"))
    equal(tree(copy), before, "a copy that nobody knows")


def get_over(box, origin, seeder):
    """F9, F7: get takes over what another client left, extra files stay."""
    output = box.path("over")
    final = os.path.join(output, "demo")
    shutil.copytree(origin, final)
    weights = os.path.join(final, "consolidated.00.pth")
    size = os.path.getsize(weights)
    # As a client leaves it that was stopped: full size, a hole in it.
    with open(weights, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\0" * (2 * MIB))
    os.remove(os.path.join(final, "tokenizer.model"))
    write(os.path.join(final, "RELEASE"),
          read(os.path.join(final, "RELEASE")) + b"too much")
    write(os.path.join(final, "demo.aria2"), "control file")
    write(os.path.join(final, "sub", "mine.txt"), "mine")
    run = box.run("get", bare(seeder.magnet), "--output", output, "--peer",
                  seeder.endpoint, "--port", "0", *LOCAL, "--json",
                  env=box.user("over-user"))
    piece = run.of_type("plan")[-1]["piece_length"]
    missing = 2 * MIB + len(read(os.path.join(origin, "tokenizer.model")))
    fetched = run.result["summary"]["downloaded_bytes"]
    check(fetched <= missing + 6 * piece, f"{fetched} fetched of {missing}")
    equal(read(os.path.join(final, "sub", "mine.txt")), b"mine", "extra file")
    equal(read(os.path.join(final, "demo.aria2")), b"control file", "extra")
    os.remove(os.path.join(final, "demo.aria2"))
    shutil.rmtree(os.path.join(final, "sub"))
    same_tree(final, origin)
    equal(os.listdir(output), ["demo"], "nothing left beside it")


def overwrite(box, origin, seeder):
    """F9: what has nothing in common is left alone, unless asked for."""
    output = box.path("foreign")
    final = os.path.join(output, "demo")
    write(os.path.join(final, "params.json"), "mine")
    write(os.path.join(final, "notes.txt"), "mine")
    base = ("get", bare(seeder.magnet), "--output", output, "--peer",
            seeder.endpoint, "--port", "0", *LOCAL)
    before = tree(final)
    box.fails(*base, code=5, id="E-EXISTS", says="--overwrite",
              env=box.user("foreign-user"))
    equal(tree(final), before, "the foreign folder")
    box.run(*base, "--overwrite", env=box.user("foreign-user"))
    equal(read(os.path.join(final, "notes.txt")), b"mine", "a foreign file")
    os.remove(os.path.join(final, "notes.txt"))
    same_tree(final, origin)


def adopt(box, origin, seeder):
    """A folder that was moved away is used and stays as it is."""
    old = box.path("moved", "other-name")
    shutil.copytree(origin, old)
    flip_byte(os.path.join(old, "consolidated.00.pth"), 1000)
    before = tree(old)
    run = box.run("get", bare(seeder.magnet), "--output", box.path("adopted"),
                  "--adopt", old, "--peer", seeder.endpoint, "--port", "0",
                  *LOCAL, "--json", env=box.user("adopt-user"))
    piece = run.of_type("plan")[-1]["piece_length"]
    fetched = run.result["summary"]["downloaded_bytes"]
    check(fetched <= piece, f"{fetched} fetched for one wrong byte")
    same_tree(box.path("adopted", "demo"), origin)
    equal(tree(old), before, "the old copy")


def kills(box, origin, seeder, final, env):
    """Killed anywhere, a repair leaves nothing worse, and the next one ends."""
    weights = os.path.join(final, "consolidated.00.pth")
    size = os.path.getsize(weights)
    for part in range(8):
        flip_byte(weights, (2 * part + 1) * size // 16)
    os.remove(os.path.join(final, "tokenizer.model"))
    worst = wrong_bytes(final, origin)
    for stage in ("recheck", "download", "repair", "repair"):
        process = box.start("verify", final, "--repair", "--peer",
                            seeder.endpoint, "--port", "0", *LOCAL, "--down",
                            "4MB", "--json", env=env)
        while True:
            event = process.event()
            if event is None or (event["type"] in ("stage", "progress") and
                                 event["stage"] == stage):
                break
        process.kill()
        now = wrong_bytes(final, origin)
        check(now <= worst, f"{now} wrong bytes after a kill, {worst} before")
        worst = now
    run = box.run("verify", final, "--repair", "--peer", seeder.endpoint,
                  "--port", "0", *LOCAL, "--json", env=env)
    equal(run.result["summary"]["level"], "pieces-v1", f"level\n{run}")
    same_tree(final, origin)
    equal(sorted(os.listdir(os.path.dirname(final))), ["demo"],
          "what is left beside the copy")


def damage(final, places):
    weights = os.path.join(final, "consolidated.00.pth")
    size = os.path.getsize(weights)
    for part in range(places):
        flip_byte(weights, (2 * part + 1) * size // (2 * places))


def killed_at_each_step(box, origin, seeder, final, env):
    """F4: killed at the nth write into the copy, at each sync and each rename:
    a byte is the old one or the right one, and the next run ends well."""
    base = ("verify", final, "--repair", "--peer", seeder.endpoint, "--port",
            "0", *LOCAL)
    for call in ("write", "sync", "rename"):
        nth = killed = 0
        while True:
            # All writes of a small repair; then ever fewer of them.
            nth += 1 + nth // 4
            damage(final, 4)
            write(os.path.join(final, "RELEASE"), "not what was published")
            worst = wrong_bytes(final, origin)
            shim = dict(env, LD_PRELOAD=os.environ["FAULT_SHIM"],
                        FAULT_CALL=call, FAULT_NTH=str(nth), FAULT_ERRNO="0",
                        FAULT_PATH=final + "/")
            run = box.start(*base, env=shim).end()
            now = wrong_bytes(final, origin)
            check(now <= worst, f"{call} {nth}: {now} wrong bytes, {worst} "
                  f"before")
            if run.code == 0:
                break
            equal(run.code, -signal.SIGKILL, f"killed\n{run}")
            killed += 1
            box.run(*base, env=env)
            same_tree(final, origin)
        same_tree(final, origin)
        check(killed > 0, f"nothing was killed at {call}")


def killed_at_random(box, origin, seeder, final, env):
    """F4: twelve moments of a run that nobody chose."""
    moments = random.Random(4)
    base = ("verify", final, "--repair", "--peer", seeder.endpoint, "--port",
            "0", *LOCAL, "--down", "8MB")
    damage(final, 6)
    whole = box.run(*base, env=env)
    for _ in range(12):
        damage(final, 6)
        worst = wrong_bytes(final, origin)
        process = box.start(*base, env=env)
        try:
            process.end(patience=moments.uniform(0, 1.1 * whole.seconds))
        except Failure:
            process.kill()
        now = wrong_bytes(final, origin)
        check(now <= worst, f"{now} wrong bytes after a kill, {worst} before")
        run = box.run(*base, env=env)
        same_tree(final, origin)
        equal(sorted(os.listdir(os.path.dirname(final))), ["demo"],
              f"what is left beside the copy\n{run}")


def test(box):
    origin = box.demo()
    seeder = box.seed(origin)
    env = box.user("owner")
    final = os.path.join(box.path("models"), "demo")
    box.get(bare(seeder.magnet), seeder, box.path("models"), "--raw", env=env)
    one_byte(box, origin, seeder, final, env)
    from_web_seed(box, origin, final, env)
    no_torrent(box, origin)
    get_over(box, origin, seeder)
    overwrite(box, origin, seeder)
    adopt(box, origin, seeder)
    kills(box, origin, seeder, final, env)
    killed_at_each_step(box, origin, seeder, final, env)
    killed_at_random(box, origin, seeder, final, env)
    seeder.stop()


main(test)
