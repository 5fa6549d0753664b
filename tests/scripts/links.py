# SPDX-License-Identifier: Apache-2.0
"""Links in model folders (rule 8 of places, F10): verify reads through them and
says so; repair never writes through one; get refuses one in its way."""
import os
import shutil

from harness import check, contains, equal, flip_byte, main, read


def snapshot(box, demo):
    """As the cache of Hugging Face has it: names that lead to blobs."""
    folder = box.path("hub", "snapshots", "main")
    blobs = box.path("hub", "blobs")
    os.makedirs(folder)
    os.makedirs(blobs)
    for number, name in enumerate(sorted(os.listdir(demo))):
        shutil.copyfile(os.path.join(demo, name),
                        os.path.join(blobs, str(number)))
        os.symlink(f"../../blobs/{number}", os.path.join(folder, name))
    return folder


def test(box):
    demo = box.demo()
    torrent = box.path("demo.torrent")
    box.run("publish", demo, "--output", torrent)
    folder = snapshot(box, demo)
    for more in ((), ("--against", torrent)):
        run = box.run("verify", folder, *more, "--json")
        warnings = [w for w in run.of_type("warning") if w["code"] == "LINKS"]
        equal(len(warnings), 1, f"warnings of links\n{run}")
        contains(warnings[0]["message"], "../../blobs/0", "where a link leads")
    # What it leads to is what counts.
    weights = os.path.join(folder, "consolidated.00.pth")
    flip_byte(os.path.realpath(weights), 100_000)
    damaged = read(weights)
    box.run("verify", folder, "--against", torrent, code=6)
    # Rule 8: a repair refuses to write through it, and leaves it as it is.
    seeder = box.seed(demo)
    run = box.run("verify", folder, "--against", torrent, "--repair", "--peer",
                  seeder.endpoint, "--listen", "127.0.0.1", "--no-dht",
                  "--no-lsd", "--stall-timeout", "20s", code=None)
    check(run.code != 0, f"F10: a repair through a link\n{run}")
    equal(read(os.path.realpath(weights)), damaged,
          "F10: bytes behind the link after the repair")
    check(os.path.islink(weights), "F10: the link is gone")
    # Broken links and links to folders are said, and not followed.
    other = box.path("other")
    shutil.copytree(demo, other)
    os.symlink("nowhere", os.path.join(other, "broken"))
    os.symlink("/", os.path.join(other, "root"))
    run = box.run("verify", other, "--json")
    equal(sorted(w["code"] for w in run.of_type("warning")
                 if w["code"] == "NOT_A_FILE"), ["NOT_A_FILE"] * 2,
          "links that lead to no file")
    # Rule 8: get makes its folders private, and goes through no link that
    # lies where they are to be.
    output = box.path("output")
    target = box.path("target")
    os.makedirs(output)
    os.makedirs(target)
    os.symlink(target, os.path.join(output, "demo"))
    run = box.run("get", seeder.magnet, "--output", output, "--peer",
                  seeder.endpoint, "--listen", "127.0.0.1", "--no-dht",
                  "--no-lsd", "--port", "0", "--no-fallback-trackers",
                  code=None)
    check(run.code == 5, f"F9, F10: a link in the final place\n{run}")
    equal(os.listdir(target), [], "what was written through a link")


main(test)
