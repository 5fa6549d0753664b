# SPDX-License-Identifier: Apache-2.0
"""One wrong byte anywhere is found, and said where it is."""
import os
import random
import re
import shutil

import hostile
from harness import (LOCAL, bare, check, contains, equal, flip_byte, main, read,
                     same_tree, write)

WEIGHTS = "consolidated.00.pth"
SEED = 20240131


def files_of(run, status=None):
    return {event["path"]: event for event in run.of_type("file")
            if status is None or event["status"] == status}


def check_flip(box, copy, name, offset, tensors, verify):
    path = os.path.join(copy, name)
    flip_byte(path, offset)
    run = box.run(*verify, "--json", code=6)
    bad = files_of(run, "mismatch")
    check(name in bad, f"byte {offset} of {name}: it is not found wrong\n{run}")
    event = bad[name]
    hit = [damage for damage in event["damage"]
           if damage["begin"] <= offset < damage["end"]]
    equal(len(hit), 1, f"damaged ranges that hold byte {offset}\n{event}")
    check(hit[0]["piece"] in event["bad_pieces"], f"piece not listed\n{event}")
    equal(len(event["bad_pieces"]), 1, f"bad pieces\n{event}")
    # A v1 piece may hold the end of one file and the next one: which of them
    # is wrong cannot be known, unless a sum of its own proves a file right.
    for other in bad:
        equal(bad[other]["bad_pieces"], event["bad_pieces"],
              f"{other} is found wrong, too\n{run}")
    check(any(other in run.error["message"] for other in bad),
          f"no file is named\n{run}")
    expected = [tensor for tensor, (begin, end) in tensors.items()
                if begin <= offset < end] if name == WEIGHTS else []
    for tensor in expected:
        check(tensor in hit[0]["tensors"], f"{tensor} not named\n{event}")

    plain = box.run(*verify, code=6)
    contains(plain.error_lines[0], "error[E-MISMATCH]", "error line")
    check(any(other in plain.error_lines[0] for other in bad),
          f"no file is named\n{plain}")
    match = re.search(r"^FAIL  " + re.escape(name) + r" .*\n +piece (\d+): bytes (\d+) to (\d+)(.*)$",
                      plain.stderr, re.MULTILINE)
    check(match is not None, f"no piece and byte range\n{plain}")
    piece, begin, last = (int(group) for group in match.groups()[:3])
    equal(piece, hit[0]["piece"], "piece printed")
    check(begin <= offset <= last, f"{offset} outside the range\n{plain}")
    if expected:
        contains(match.group(4), "tensor ", "tensors printed")
    flip_byte(path, offset)
    return expected


def offsets_of(name, size, tensors, generator):
    offsets = {0, size // 2, size - 1, generator.randrange(size)}
    if name == WEIGHTS:
        # One tensor of each kind: in an expert, a router, a norm.
        for part in ("experts", "gate", "attention_norm", "tok_embeddings"):
            names = sorted(tensor for tensor in tensors if part in tensor)
            if names:
                begin, end = tensors[generator.choice(names)]
                offsets.add(generator.randrange(begin, end))
    return sorted(offsets)


def flip_everywhere(box, copy, verify, generator):
    tensors = hostile.tensor_ranges(os.path.join(copy, WEIGHTS))
    named = set()
    for name in sorted(os.listdir(copy)):
        size = os.path.getsize(os.path.join(copy, name))
        for offset in offsets_of(name, size, tensors, generator):
            named.update(check_flip(box, copy, name, offset, tensors, verify))
    check(len(named) >= 4, f"tensors named: {sorted(named)}")
    run = box.run(*verify)
    contains(run.stderr, "verified: ", "the restored copy")


def two_files(box, copy, verify):
    """All wrong files are told, not the first alone."""
    for name in ("params.json", WEIGHTS):
        flip_byte(os.path.join(copy, name), 100)
    run = box.run(*verify, "--json", code=6)
    bad = files_of(run, "mismatch")
    check({WEIGHTS, "params.json"} <= set(bad), f"wrong files: {list(bad)}")
    equal(run.result["summary"]["bad_pieces"], 2, "bad pieces")
    for name in ("params.json", WEIGHTS):
        flip_byte(os.path.join(copy, name), 100)


def sizes_and_places(box, copy, origin, verify):
    weights = os.path.join(copy, WEIGHTS)
    size = os.path.getsize(weights)
    for cut in (1, size // 2, size):
        with open(weights, "r+b") as file:
            file.truncate(size - cut)
        run = box.fails(*verify, code=6, id="E-MISMATCH",
                        says=(f'"{WEIGHTS}": ', str(size)))
        bad = files_of(run, "mismatch")
        check(WEIGHTS in bad, f"truncated file not named\n{run}")
        contains(bad[WEIGHTS]["detail"], str(size), "the size expected")
        shutil.copyfile(os.path.join(origin, WEIGHTS), weights)
    with open(weights, "ab") as file:
        file.write(b"\0")
    box.fails(*verify, code=6, id="E-MISMATCH", says=WEIGHTS)
    shutil.copyfile(os.path.join(origin, WEIGHTS), weights)

    for name in sorted(os.listdir(origin)):
        os.remove(os.path.join(copy, name))
        run = box.fails(*verify, code=6, id="E-MISMATCH",
                        says=(f'"{name}": ', "not here"))
        equal(list(files_of(run, "missing")), [name], "missing files")
        # A link in place of the file is no file.
        os.symlink(os.path.join(origin, "RELEASE"), os.path.join(copy, name))
        if name != "RELEASE":
            box.run(*verify, code=6)
        os.remove(os.path.join(copy, name))
        shutil.copyfile(os.path.join(origin, name), os.path.join(copy, name))

    extra = write(os.path.join(copy, "more", "notes.txt"), "mine")
    run = box.run(*verify, "--json")
    equal(list(files_of(run, "extra")), ["more/notes.txt"], "extra files")
    run = box.run(*verify, "--fail-on-extra", code=10)
    contains(run.stderr, "notes.txt", "the report before exit 10")
    run = box.run(*verify, "--fail-on-extra", "--json", code=10)
    equal(run.result["exit_name"], "findings", "exit_name")
    # What is wrong weighs more than what is too much.
    flip_byte(weights, 4711)
    box.run(*verify, "--fail-on-extra", code=6)
    flip_byte(weights, 4711)
    shutil.rmtree(os.path.dirname(extra))
    box.run(*verify, "--fail-on-extra")


def test(box):
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    origin = box.demo()
    torrent = box.run("publish", origin, "--output", box.path("demo.torrent"),
                      env=box.user("publisher")).last_line
    seeder = box.seed(origin)
    box.get(seeder.magnet, seeder, box.path("models"), "--raw")
    seeder.stop()
    copy = box.path("models", "demo")

    # The torrent is found by itself: fetched to this place.
    verify = ("verify", copy)
    flip_everywhere(box, copy, verify, generator)
    two_files(box, copy, verify)
    sizes_and_places(box, copy, origin, verify)
    same_tree(copy, origin)

    # The same files elsewhere under another name: found by names and sizes.
    elsewhere = box.path("elsewhere", "renamed")
    shutil.copytree(copy, elsewhere)
    flip_everywhere(box, elsewhere, ("verify", elsewhere + "/"), generator)

    # A user who knows nothing of it is told what to check against.
    stranger = box.user("stranger")
    flip_byte(os.path.join(copy, "LICENSE.WordNet"), 7)
    run = box.fails("verify", copy, "--against", torrent, code=6,
                    id="E-MISMATCH", says="LICENSE.WordNet", env=stranger)
    check("LICENSE.WordNet" in files_of(run, "mismatch"), f"not found\n{run}")
    for against in (seeder.magnet, bare(seeder.magnet).rpartition(":")[2]):
        # Not known there, and nobody to ask for its metadata.
        box.fails("verify", copy, "--against", against, "--metadata-timeout",
                  "1s", "--port", "0", *LOCAL, code=4, env=stranger)
        box.fails("verify", copy, "--against", against, code=6,
                  id="E-MISMATCH", says="LICENSE.WordNet")
    # Without it the model is whole, but nothing proves it is the one meant.
    run = box.run("verify", copy, env=stranger)
    contains(run.stderr, "result: ", "the last word")
    check("verified: " not in run.stderr, f"verified against nothing\n{run}")


main(test)
