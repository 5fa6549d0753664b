# SPDX-License-Identifier: Apache-2.0
"""Whatever says what the files of a model should be: lists in every form, git
and Hugging Face, other folders, torrents, links; found by itself or named.
The digests come from Python's hashlib. D1, D2, D3, D4, C15, C16."""
import hashlib
import json
import os
import shutil

from harness import (LOCAL, bare, check, contains, equal, flip_byte, main,
                     read, tree, write)

WEIGHTS = "consolidated.00.pth"
ALGORITHMS = ("md5", "sha1", "sha256", "sha384", "sha512", "blake2b")


def digest(algorithm, data):
    return hashlib.new(algorithm, data).hexdigest()


def lines(folder, algorithm="sha256", form="{hex}  {name}\n", names=None):
    """A list of all files below a folder."""
    text = ""
    for name, data in sorted(tree(folder).items()):
        if names is None or name in names:
            text += form.format(hex=digest(algorithm, data), name=name,
                                HEX=digest(algorithm, data).upper())
    return text


def levels(run):
    return {event["path"]: event["level"] for event in run.of_type("file")}


def statuses(run):
    return {event["path"]: event["status"] for event in run.of_type("file")}


def overall(run):
    return run.result["summary"]["level"]


def stranger(box, name):
    """A copy of the demo model that no torrent is known of; without its own
    RELEASE, which would be one more list."""
    folder = box.demo(name, "model")
    os.remove(os.path.join(folder, "RELEASE"))
    return folder


def nothing(box):
    """With no list at all: unsigned, plainly said, and exit code 0."""
    folder = stranger(box, "nothing")
    run = box.run("verify", folder, "--level", "checksums")
    contains(run.stderr, "result: unsigned", "the last word")
    contains(run.stderr, "nothing says what these bytes should be", "why")
    check("verified" not in run.stderr, f"verified by nothing\n{run}")
    for name, data in tree(folder).items():
        contains(run.stderr, digest("sha256", data), f"sha256 of {name}")
    run = box.run("verify", folder, "--json")
    equal(set(levels(run).values()), {"unverified"}, "levels")
    equal(set(statuses(run).values()), {"ok"}, "nothing is extra to nothing")
    # One file by itself, too.
    run = box.run("verify", os.path.join(folder, "params.json"), "--level",
                  "checksums", "--json")
    equal(list(levels(run)), ["params.json"], "files")
    os.chmod(folder, 0o555)
    box.run("verify", folder)
    os.chmod(folder, 0o755)


def forms(box):
    """D1: every form of a list that is about."""
    folder = stranger(box, "forms")
    path = box.path("forms", "list.txt")
    for algorithm in ALGORITHMS:
        level = {"md5": "md5", "sha1": "sha1"}.get(algorithm, "sha256")
        # BLAKE2b looks like SHA-512: its name has to be said.
        where = (os.path.join(box.path("forms"), "B2SUMS")
                 if algorithm == "blake2b" else path)
        write(where, lines(folder, algorithm))
        run = box.run("verify", folder, "--against", where, "--level",
                      "checksums", "--json")
        equal(set(levels(run).values()), {level}, f"levels by {algorithm}")
        equal(overall(run), level, "overall")
        for event in run.of_type("file"):
            data = read(os.path.join(folder, event["path"]))
            equal(event["digests"][algorithm], digest(algorithm, data),
                  f"{algorithm} of {event['path']}")
            equal(event["sha256"], digest("sha256", data), "sha256, always")
            equal(event["source"], os.path.basename(where), "source")
        os.remove(where)
    plain = lines(folder)
    for text in (plain.replace("\n", "\r\n"), "\ufeff" + plain,
                 lines(folder, form="{HEX} *{name}\n"),
                 lines(folder, form="SHA256 ({name}) = {hex}\n"),
                 lines(folder, form="\\{hex}  {name}\n"),
                 lines(folder, form="{hex}  ./{name}\n"),
                 lines(folder, form="{hex}  model/{name}\n"),
                 "║ md5sum ║\n" + lines(folder, "md5", "║ {hex}  {name} ║\n")):
        write(path, text)
        run = box.run("verify", folder, "--against", path, "--level",
                      "checksums", "--json")
        check(overall(run) in ("sha256", "md5"), f"a form not read\n{run}")
    contains(box.run("verify", folder, "--against", write(
        path, lines(folder, form="{hex}  model/{name}\n")), "--level",
        "checksums").stderr, "taken as this folder", "how names are meant")

    # One file, by a list of many and by a bare digest.
    weights = os.path.join(folder, WEIGHTS)
    for text in (lines(folder), lines(folder, form="{hex}  any/where/{name}\n"),
                 digest("sha256", read(weights))):
        run = box.run("verify", weights, "--against", write(path, text),
                      "--level", "checksums", "--json")
        equal(levels(run), {WEIGHTS: "sha256"}, "level of one file")


def bad_lists(box):
    """D1: what is no list, or a hostile one. Named by hand: an error."""
    folder = stranger(box, "bad")
    before = tree(folder)
    path = box.path("bad", "list")
    hex_of = digest("sha256", b"")
    for text, id, says in (
            (f"{hex_of}  ../{WEIGHTS}\n", "E-PATH", "../"),
            (f"{hex_of}  /etc/passwd\n", "E-PATH", "/etc/passwd"),
            (f"{hex_of}  a/../../b\n", "E-PATH", "a/../../b"),
            (f"{hex_of}  C:\\b\n", "E-PATH", "C:"),
            (f"{hex_of}  a\n{hex_of[::-1]}  ./a\n", "E-SUMS", hex_of),
            ("hello\n", "E-SUMS", "line 1"),
            (b"\x00\x01\x02", "E-SUMS", "UTF-8"),
            ("<!DOCTYPE html>\n<title>404</title>", "E-HTML", "HTML page"),
            ('{"a": 1}', "E-AGAINST", "JSON"),
            ('{"v": 1, "verb": "verify", "report": 1}', "E-REPORT", "report"),
            ("d4:infod4:name1:aee", None, "")):
        write(path, text)
        code = 2 if id == "E-REPORT" else 8
        run = box.fails("verify", folder, "--against", path, code=code, id=id,
                        says=says)
        check(not run.of_type("file"), f"files were read first\n{run}")
    # It names none of the files: another folder's list.
    write(path, f"{hex_of}  other.bin\n")
    box.fails("verify", folder, "--against", path, code=3, id="E-LIST-NAMES",
              says=("other.bin", "model"))
    write(path, "# none yet\n")
    box.fails("verify", folder, "--against", path, code=3, id="E-LIST-NAMES",
              says="no digest")
    write(path, "")
    box.fails("verify", folder, "--against", path, code=8, id="E-EMPTY")
    box.fails("verify", folder, "--against", path + ".absent", code=3)
    # Found by itself it is a warning, and the rest is checked.
    inside = os.path.join(folder, "SHA256SUMS")
    for text in (f"{hex_of}  ../a\n", "<html>404</html>"):
        write(inside, text)
        run = box.run("verify", folder, "--level", "checksums", "--json")
        equal([w["code"] for w in run.of_type("warning")], ["SUMS_UNREADABLE"],
              "warnings")
        equal(overall(run), "unverified", "level by a list that says nothing")
    os.remove(inside)
    equal(tree(folder), before, "the folder")


def missing_and_extra(box):
    """D2: both are listed; absent is 6, extra only on demand."""
    folder = stranger(box, "extra")
    sums = write(os.path.join(folder, "SHA256SUMS"), lines(folder))
    write(os.path.join(folder, "notes.txt"), "mine")
    run = box.run("verify", folder, "--json")
    equal(statuses(run)["notes.txt"], "extra", "status of an extra file")
    equal(overall(run), "sha256", "the level of what is listed")
    equal(run.result["summary"]["extra_files"], 1, "the list is no extra file")
    text = box.run("verify", folder).stderr
    contains(text, "notes.txt  no source names it: unsigned", "extra file")
    contains(text, "verified: sha256 list or v2 root; 1 file that no source "
             "names", "last word")
    box.run("verify", folder, "--fail-on-extra", code=10)
    # A file that a model is read from and that no list names takes the level.
    write(os.path.join(folder, "tokenizer_config.json"), "{}")
    run = box.run("verify", folder, "--json")
    equal(overall(run), "unverified", "level with an uncovered configuration")
    os.remove(os.path.join(folder, "tokenizer_config.json"))

    os.rename(os.path.join(folder, "params.json"), box.path("params.json"))
    run = box.fails("verify", folder, "--level", "checksums", code=6,
                    id="E-MISMATCH", says=("params.json", "SHA256SUMS"))
    equal(statuses(run)["params.json"], "missing", "status of an absent file")
    equal(statuses(run)["notes.txt"], "extra", "and the extra one is listed")
    os.rename(box.path("params.json"), os.path.join(folder, "params.json"))

    # A list made one level up, beside the folder.
    os.remove(sums)
    write(box.path("extra", "SHA256SUMS"),
          lines(folder, form="{hex}  model/{name}\n") +
          "0" * 64 + "  another/file\n")
    run = box.run("verify", folder, "--json")
    equal(overall(run), "sha256", "level by a list beside the folder")
    equal({event["source"] for event in run.of_type("file")},
          {"../SHA256SUMS"}, "source")


def md5_only(box):
    """D3: never called verified."""
    folder = stranger(box, "md5")
    write(os.path.join(folder, "checklist.chk"), lines(folder, "md5"))
    run = box.run("verify", folder)
    contains(run.stderr, "result: md5 only (accidental corruption)", "level")
    check("verified" not in run.stderr, f"verified by md5\n{run}")
    run = box.run("verify", folder, "--require", "sha256", "--json", code=10)
    check(run.of_type("file"), f"no report before exit 10\n{run}")
    check(any("sha256" in text for text in run.result["summary"]["findings"]),
          f"no finding\n{run}")
    run = box.run("verify", folder, "--require", "sha256", code=10)
    contains(run.stderr, "FAIL  --require sha256", "the gate")
    box.run("verify", folder, "--require-v2", code=10)
    box.fails("verify", folder, "--require", "signed", code=7, id="E-UNSIGNED",
              says="md5 only")
    write(os.path.join(folder, "SHA256SUMS"),
          lines(folder, names=set(tree(folder)) - {"checklist.chk"}))
    box.run("verify", folder, "--require", "sha256")


def flipped(box):
    """D4: one byte; a list alone names the file, a torrent the piece."""
    folder = stranger(box, "flipped")
    weights = os.path.join(folder, WEIGHTS)
    sums = write(box.path("flipped", "list"), lines(folder))
    flip_byte(weights, 4_000_000)
    run = box.fails("verify", folder, "--against", sums, code=6,
                    id="E-MISMATCH",
                    says=(WEIGHTS, digest("sha256", read(weights)), "list"))
    equal([name for name, status in statuses(run).items()
           if status == "mismatch"], [WEIGHTS], "wrong files")
    run = box.run("verify", folder, "--against", sums, "--json", code=6)
    contains(" ".join(run.result["next"]), "--repair", "the way to mend it")


def contradictions(box):
    """A list and a torrent that say different things: nobody is believed."""
    folder = stranger(box, "odd")
    torrent = box.run("publish", folder, "--output", box.path("odd.torrent"),
                      env=box.user("odd-publisher")).last_line
    sums = os.path.join(folder, "SHA256SUMS")
    write(sums, lines(folder).replace(
        digest("sha256", read(os.path.join(folder, WEIGHTS))), "0" * 64))
    run = box.fails("verify", folder, "--against", torrent, code=6,
                    id="E-CONTRADICTION", says=(WEIGHTS, "SHA256SUMS"))
    # Nothing is fetched: no peer is asked, so none is missed.
    run = box.run("verify", folder, "--against", torrent, "--repair", "--port",
                  "0", *LOCAL, code=6)
    contains(run.stderr, "nothing was fetched", "repair by a contradiction")
    # Bytes changed and a list made to fit them: the torrent is not overruled.
    flip_byte(os.path.join(folder, WEIGHTS), 4_000_000)
    os.remove(sums)
    write(sums, lines(folder))
    box.fails("verify", folder, "--against", torrent, code=6,
              id="E-CONTRADICTION", says=WEIGHTS)


def pointers(box):
    """C16: a clone without its LFS files speaks for the files, and a pointer
    in place of weights is named."""
    folder = stranger(box, "lfs")
    clone = box.path("lfs", "clone")
    data = read(os.path.join(folder, WEIGHTS))
    pointer = ("version https://git-lfs.github.com/spec/v1\n"
               f"oid sha256:{digest('sha256', data)}\nsize {len(data)}\n")
    shutil.copytree(folder, clone)
    write(os.path.join(clone, WEIGHTS), pointer)
    write(os.path.join(clone, ".git", "config"), "not of the model")
    run = box.run("verify", folder, "--against", clone, "--json")
    equal(overall(run), "sha256", "level by a clone")
    equal({event["source"] for event in run.of_type("file")}, {clone}, "source")
    run = box.run("verify", folder, "--against", os.path.join(clone, WEIGHTS),
                  "--level", "checksums", "--json")
    equal(levels(run)[WEIGHTS], "sha256", "level by one pointer")
    write(os.path.join(clone, WEIGHTS),
          pointer.replace(f"size {len(data)}", f"size {len(data) + 1}"))
    box.fails("verify", folder, "--against", clone, code=6, id="E-MISMATCH",
              says=(WEIGHTS, str(len(data) + 1)))
    write(os.path.join(clone, WEIGHTS), pointer.replace("oid", "oit"))
    box.fails("verify", folder, "--against", clone, code=8, id="E-LFS-POINTER")

    write(os.path.join(clone, WEIGHTS), pointer)
    for level in ("checksums", "numeric"):
        box.fails("verify", clone, "--level", level, code=8,
                  id="E-LFS-POINTER", says=(WEIGHTS, "git lfs pull"))
    # C15: a page in place of weights.
    write(os.path.join(clone, WEIGHTS), "<!DOCTYPE html><title>Sorry</title>")
    box.fails("verify", clone, "--level", "checksums", code=8, id="E-HTML",
              says=(WEIGHTS, "HTML page"))
    # A list that says what should be there makes it wrong bytes, explained.
    sums = write(box.path("lfs", "list"), lines(folder))
    box.fails("verify", clone, "--against", sums, "--level", "checksums",
              code=6, id="E-MISMATCH", says=(WEIGHTS, "an HTML page"))


def hub(box):
    """What the Hugging Face client notes of its downloads, and the index."""
    folder = stranger(box, "hub")
    records = os.path.join(folder, ".cache", "huggingface", "download")
    commit = "0123456789abcdef" * 2 + "01234567"
    plain = tree(folder)
    for name, data in plain.items():
        etag = digest("sha256", data)
        if name == "params.json":
            # Not kept in LFS: the id of its git blob.
            etag = digest("sha1", b"blob %d\0" % len(data) + data)
        write(os.path.join(records, name + ".metadata"),
              f"{commit}\n{etag}\n1700000000.5\n")
    run = box.run("verify", folder, "--json")
    found = levels(run)
    equal(found.pop("params.json"), "sha1", "level by a git blob")
    equal(set(found.values()), {"sha256"}, "levels by records")
    check(not any(name.startswith(".cache") for name in statuses(run)),
          f"the client's own files\n{run}")
    flip_byte(os.path.join(folder, "params.json"), 3)
    box.fails("verify", folder, "--level", "checksums", code=6,
              id="E-MISMATCH", says="params.json")
    flip_byte(os.path.join(folder, "params.json"), 3)
    # A file that was taken away since is not missed; one by itself is found.
    os.remove(os.path.join(folder, "LICENSE.WordNet"))
    box.run("verify", folder)
    run = box.run("verify", os.path.join(folder, WEIGHTS), "--json")
    equal(levels(run), {WEIGHTS: "sha256"}, "level of one file")

    parts = box.path("hub", "parts")
    index = {"metadata": {"total_size": 0},
             "weight_map": {"a": "model-00001-of-00002.safetensors",
                            "b": "model-00002-of-00002.safetensors"}}
    write(os.path.join(parts, "model-00001-of-00002.safetensors"), b"x")
    write(os.path.join(parts, "model.safetensors.index.json"),
          json.dumps(index))
    box.fails("verify", parts, "--level", "checksums", code=8,
              id="E-MISSING-PART", says="model-00002-of-00002.safetensors")


def links(box):
    """A magnet that nobody here knows: its metadata comes from the swarm."""
    origin = box.demo("links", "demo")
    seeder = box.seed(origin, env=box.user("links-seeder"))
    copy = box.path("links", "copy")
    shutil.copytree(origin, copy)
    env = box.user("links-user")
    network = ("--peer", seeder.endpoint, "--port", "0", *LOCAL)
    run = box.run("verify", copy, "--against", bare(seeder.magnet), "--json",
                  *network, env=env)
    check(overall(run) in ("pieces-v1", "pieces-v2"), f"level\n{run}")
    equal({event["source"] for event in run.of_type("file")
           if event["level"] == overall(run)}, {"the torrent"}, "source")
    # Mended by the link alone, one piece of it.
    flip_byte(os.path.join(copy, WEIGHTS), 4_000_000)
    other = box.user("links-other")
    run = box.run("verify", copy, "--against", bare(seeder.magnet), "--repair",
                  "--json", *network, env=other)
    equal(run.result["summary"]["repaired_pieces"], 1, "pieces")
    equal(tree(copy), tree(origin), "the mended copy")
    seeder.stop()
    # Known from now on: no peer is needed. Nobody knows another one.
    box.run("verify", copy, "--against", bare(seeder.magnet), env=env)
    box.fails("verify", copy, "--against", "magnet:?xt=urn:btih:" + "1" * 40,
              "--metadata-timeout", "1s", "--port", "0", *LOCAL, code=4,
              env=env)
    torrent = box.run("publish", origin, "--output", box.path("a.torrent"),
                      env=box.user("links-publisher")).last_line
    box.fails("verify", copy, "--against", torrent, "--against", torrent,
              code=2, id="E-AGAINST", says="two torrents", env=env)


def test(box):
    nothing(box)
    forms(box)
    bad_lists(box)
    missing_and_extra(box)
    md5_only(box)
    flipped(box)
    contradictions(box)
    pointers(box)
    hub(box)
    links(box)


main(test)
