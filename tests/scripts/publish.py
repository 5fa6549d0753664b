# SPDX-License-Identifier: Apache-2.0
"""The same files give the same torrent, everywhere and always."""
import hashlib
import os
import shutil

import hostile
from harness import (bare, check, contains, equal, flip_byte, main, read,
                     same_tree, write)


def torrent_of(box, path, name, *extra, env=None, wrap=()):
    output = box.path(name + ".torrent")
    run = box.run("publish", path, "--output", output, *extra, env=env,
                  wrap=wrap)
    equal(run.last_line, output, "last line")
    return read(output)


def by_hand(folder, piece_length):
    """Info dictionary of v1 as BEP 3 defines it: files in order of paths."""
    names = sorted(os.listdir(folder))
    data = b"".join(read(os.path.join(folder, name)) for name in names)
    pieces = b"".join(hashlib.sha1(data[at:at + piece_length]).digest()
                      for at in range(0, len(data), piece_length))
    return {b"name": os.path.basename(folder).encode(),
            b"piece length": piece_length, b"pieces": pieces,
            b"files": [{b"length": os.path.getsize(os.path.join(folder, name)),
                        b"path": [name.encode()]} for name in names]}


def pieces_root(data):
    """BEP 52: the root of a file's tree of 16 KiB leaves."""
    leaves = [hashlib.sha256(data[at:at + 16384]).digest()
              for at in range(0, len(data), 16384)]
    width = 1
    while width < len(leaves):
        width *= 2
    leaves += [bytes(32)] * (width - len(leaves))
    while len(leaves) > 1:
        leaves = [hashlib.sha256(leaves[i] + leaves[i + 1]).digest()
                  for i in range(0, len(leaves), 2)]
    return leaves[0]


def reproducible(box, origin):
    first = torrent_of(box, origin, "first")
    info = hostile.bdecode(first)[b"info"]
    expected = by_hand(origin, info[b"piece length"])
    equal({key: info.get(key) for key in expected}, expected,
          "info dictionary made by hand")
    check(b"creation date" not in hostile.bdecode(first), "a date was written")

    # Elsewhere, copied in another order, with other times, modes and tongue.
    twin = box.path("far", "away", "demo")
    os.makedirs(twin, mode=0o700)
    for index, name in enumerate(sorted(os.listdir(origin), reverse=True)):
        path = os.path.join(twin, name)
        shutil.copyfile(os.path.join(origin, name), path)
        os.chmod(path, 0o600)
        os.utime(path, (10 ** 9 * index, 10 ** 9 * index))
    env = dict(box.user("other"), LC_ALL="tr_TR.UTF-8", TZ="Asia/Kathmandu",
               LANG="de_DE")
    again = torrent_of(box, twin + "/", "again", "--threads", "1", env=env,
                       wrap=("sh", "-c", 'umask 077; exec "$@"', "sh"))
    equal(again, first, "torrent of the twin")
    from_inside = box.run("publish", "demo", "--output", "rel.torrent",
                          cwd=os.path.dirname(twin))
    equal(from_inside.last_line, "rel.torrent", "last line")
    equal(read(os.path.join(os.path.dirname(twin), "rel.torrent")), first,
          "torrent by a relative path")
    # Hidden files and downloads that are not done are left out.
    write(os.path.join(twin, ".DS_Store"), "x")
    write(os.path.join(twin, ".git", "config"), "x")
    equal(torrent_of(box, twin, "hidden"), first, "hidden files")
    # But one byte more or another name is another torrent.
    write(os.path.join(twin, "visible"), "x")
    check(torrent_of(box, twin, "more") != first, "a file more")
    os.remove(os.path.join(twin, "visible"))
    flip_byte(os.path.join(twin, "RELEASE"), 0)
    check(torrent_of(box, twin, "flipped") != first, "another byte")
    flip_byte(os.path.join(twin, "RELEASE"), 0)
    # Written again it stays; what differs is not replaced unasked.
    output = box.path("first.torrent")
    box.run("publish", origin, "--output", output)
    box.fails("publish", origin, "--output", output, "--comment", "new",
              code=5, id="E-EXISTS")
    equal(read(output), first, "the torrent in the way")
    box.run("publish", origin, "--output", output, "--comment", "new",
            "--overwrite")
    equal(hostile.bdecode(read(output))[b"comment"], b"new", "comment")
    equal(hostile.info_hash(read(output)), hostile.info_hash(first),
          "info-hash with a comment")
    return first


def dates(box, origin, first):
    env = dict(box.env, SOURCE_DATE_EPOCH="1700000000")
    dated = torrent_of(box, origin, "dated", env=env)
    equal(hostile.bdecode(dated)[b"creation date"], 1700000000, "date")
    equal(hostile.info_hash(dated), hostile.info_hash(first), "info-hash")
    equal(torrent_of(box, origin, "no-date", "--no-date", env=env), first,
          "torrent with --no-date")
    for wrong in ("yesterday", "-1", "1e9", ""):
        box.fails("publish", origin, "--output", box.path("x.torrent"), code=2,
                  says="SOURCE_DATE_EPOCH",
                  env=dict(box.env, SOURCE_DATE_EPOCH=wrong))
    check(not os.path.exists(box.path("x.torrent")), "written all the same")


def formats(box, origin):
    sizes = {name: os.path.getsize(os.path.join(origin, name))
             for name in os.listdir(origin)}
    for kind in ("v1", "v2", "hybrid"):
        data = torrent_of(box, origin, kind, "--format", kind, "--piece-size",
                          "256KiB")
        equal(torrent_of(box, origin, kind + "2", "--format", kind,
                         "--piece-size", "262144"), data, f"{kind} again")
        whole = hostile.bdecode(data)
        info = whole[b"info"]
        equal(info[b"piece length"], 262144, "piece length")
        equal(b"pieces" in info, kind != "v2", "v1 pieces")
        equal(info.get(b"meta version"), None if kind == "v1" else 2,
              "meta version")
        if kind != "v1":
            files = info[b"file tree"]
            equal({name.decode(): entry[b""][b"length"]
                   for name, entry in files.items()}, sizes, "file tree")
            for name in sizes:
                equal(files[name.encode()][b""][b"pieces root"],
                      pieces_root(read(os.path.join(origin, name))),
                      f"pieces root of {name}")
        run = box.run("publish", origin, "--format", kind, "--piece-size",
                      "256KiB", "--output", box.path(kind + ".torrent"),
                      "--json")
        summary = run.result["summary"]
        raw = hostile.bencode(info)
        equal(summary["info_hash_v1"],
              None if kind == "v2" else hashlib.sha1(raw).hexdigest(), "v1")
        equal(summary["info_hash_v2"],
              None if kind == "v1" else hashlib.sha256(raw).hexdigest(), "v2")
        for part in ([] if kind == "v2" else ["urn:btih:" +
                                              summary["info_hash_v1"]]) + (
                [] if kind == "v1" else ["urn:btmh:1220" +
                                         summary["info_hash_v2"]]):
            contains(summary["magnet"], part, "magnet")
        against = ("--against", box.path(kind + ".torrent"))
        box.run("verify", origin, *against)
        # Each format can be told from, fetched and found wrong.
        user = box.user(kind + "-user")
        seeder = box.seed(origin, "--torrent", box.path(kind + ".torrent"))
        box.get(bare(summary["magnet"]), seeder, box.path(kind + "-out"),
                "--raw", env=user)
        seeder.stop()
        copy = box.path(kind + "-out", "demo")
        same_tree(copy, origin)
        flip_byte(os.path.join(copy, "consolidated.00.pth"), 12345678)
        box.fails("verify", copy, code=6, id="E-MISMATCH",
                  says="consolidated.00.pth", env=user)
        box.fails("verify", copy, *against, code=6, id="E-MISMATCH",
                  env=box.user("nobody"))


def single_file(box, origin):
    path = os.path.join(origin, "consolidated.00.pth")
    data = torrent_of(box, path, "single")
    info = hostile.bdecode(data)[b"info"]
    equal(info[b"name"], b"consolidated.00.pth", "name")
    equal(info[b"length"], os.path.getsize(path), "length")
    check(b"files" not in info, "a list of files for one file")
    seeder = box.seed(path)
    equal(bare(seeder.magnet),
          "magnet:?xt=urn:btih:" + hostile.info_hash(data), "magnet")
    user = box.user("single-user")
    final = box.path("single-out", "consolidated.00.pth")
    run = box.get(bare(seeder.magnet), seeder, box.path("single-out"), "--raw",
                  env=user)
    equal(run.last_line, final, "last line")
    equal(read(final), read(path), "the file")
    seeder.stop()
    box.run("verify", final, env=user)
    flip_byte(final, 0)
    box.fails("verify", final, code=6, id="E-MISMATCH", env=user)
    # A torrent of a file says nothing about a folder.
    box.fails("verify", origin, "--against", box.path("single.torrent"),
              code=2)


def what_is_written(box, origin):
    data = torrent_of(box, origin, "rich", "--tracker",
                      "udp://tracker.example.org:6969/announce", "--tracker",
                      "https://tracker.example.org/announce", "--web-seed",
                      "https://example.org/models/", "--private", "--comment",
                      "weights")
    whole = hostile.bdecode(data)
    trackers = [url for tier in whole[b"announce-list"] for url in tier]
    equal(sorted(trackers), [b"https://tracker.example.org/announce",
                             b"udp://tracker.example.org:6969/announce"],
          "trackers")
    equal(whole[b"info"][b"private"], 1, "private")
    contains(str(whole[b"url-list"]), "https://example.org/models/",
             "web seeds")
    os.symlink("RELEASE", os.path.join(origin, "link"))
    box.fails("publish", origin, "--output", box.path("link.torrent"), code=2,
              says="link")
    os.remove(os.path.join(origin, "link"))
    os.makedirs(box.path("void"))
    box.fails("publish", box.path("void"), code=2)


def advice(box, origin):
    """What publishing warns about, and the code for a phone."""
    pinned = "https://huggingface.co/o/m/resolve/" + "0a" * 20 + "/"
    for url, warned in ((pinned, False),
                        ("https://huggingface.co/o/m/resolve/main/", True),
                        ("https://huggingface.co/o/m/resolve/v1.0/", True),
                        ("https://huggingface.co/o/m/", True),
                        ("https://cdn.example.org/resolve/main/", False)):
        run = box.run("publish", origin, "--output", box.path("w.torrent"),
                      "--overwrite", "--web-seed", url, "--json")
        codes = [event["code"] for event in run.of_type("warning")]
        equal(codes, ["WEB_SEED"] if warned else [], url)
    run = box.run("publish", origin, "--output", box.path("p.torrent"),
                  "--private", "--format", "v2", "--json")
    equal(sorted(event["code"] for event in run.of_type("warning")),
          ["PRIVATE", "V2_ONLY"], "warnings")
    run = box.run("publish", origin, "--output", box.path("qr.torrent"), "--qr")
    lines = run.stdout.splitlines()
    check(lines[-2].startswith("magnet:?"), "no magnet after the code")
    code = lines[:-2]
    check(len(code) > 12 and len({len(line) for line in code}) == 1,
          f"no square code\n{run}")
    check(set("".join(code)) <= set(" \u2580\u2584\u2588"), "other signs")
    long = [part for i in range(20) for part in
            ("--tracker", f"udp://tracker{i}.example.org:6969/announce")]
    run = box.run("publish", origin, "--output", box.path("qr2.torrent"),
                  "--qr", *long)
    contains(run.stderr, "too long for a code", "a long magnet")
    check(run.stdout.splitlines()[-2].count("&tr=") == 20, "the whole magnet")
    equal(run.stdout.splitlines()[0][0], "\u2588", "a code all the same")
    # Shards are published as hybrid, one giant file as v1.
    shards = box.path("shards")
    for i in range(2):
        write(os.path.join(shards, f"model-0000{i}-of-00002.safetensors"),
              bytes(20000 + i))
    info = hostile.bdecode(torrent_of(box, shards, "shards"))[b"info"]
    check(b"pieces" in info and info[b"meta version"] == 2, "not a hybrid")
    # An entry for the catalogue: again the same, never over another file.
    entry = box.path("entry.toml")
    args = ("publish", origin, "--output", box.path("e.torrent"),
            "--catalog-entry", entry)
    box.fails(*args, code=2, says="--license")
    env = dict(box.env, SOURCE_DATE_EPOCH="1700000000")
    for _ in range(2):
        box.run(*args, "--license", "Apache-2.0", env=env)
    box.fails(*args, "--license", "MIT", code=5, id="E-EXISTS", env=env)
    box.run("catalog", "check", entry)


def test(box):
    origin = box.demo()
    first = reproducible(box, origin)
    dates(box, origin, first)
    formats(box, origin)
    single_file(box, origin)
    what_is_written(box, origin)
    advice(box, origin)


main(test)
