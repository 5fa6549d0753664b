# SPDX-License-Identifier: Apache-2.0
"""The catalogue from the command line: names, links as published and what was
repaired in them, entries of a user's own."""
import os

from harness import LOCAL, check, contains, equal, main, read, write

NAMES = {"grok-1", "mistral-7b-v0.1", "mistral-small-3-instruct",
         "mixtral-8x22b-v0.1", "mixtral-8x7b-v0.1", "pixtral-12b-240910"}
HASH_8X7B = "5546272da9065eddeb6fcd7ffddeef5b75be79a7"


def shipped(box):
    run = box.run("catalog", "list", "--json")
    equal({entry["name"] for entry in run.document["entries"]}, NAMES, "names")
    lines = box.run("catalog", "list", "--plain").stdout.splitlines()
    fields = {line.split("\t")[0]: line.split("\t") for line in lines}
    equal(fields["mixtral-8x7b-v0.1"],
          ["mixtral-8x7b-v0.1", "93405585408", "Apache-2.0", "2023-12-08",
           HASH_8X7B], "plain line")
    check(all(name in box.run("catalog", "list").stdout for name in NAMES),
          "a name is not listed")
    contains(box.run("catalog", "check").stdout, "6 entries", "check")

    entry = box.run("catalog", "show", "Mixtral-8x7B", "--json").document["entry"]
    equal(entry["info_hash_v1"], HASH_8X7B, "hash")
    text = box.run("catalog", "show", "mixtral-8x7b-32kseqlen").stdout
    for part in ("Apache-2.0", "about 87.0 GiB", "repaired to",
                 "1faa9bc9b20fcfe81fcd4eb7166a79e6", "MixtralKit"):
        contains(text, part, "show")
    box.fails("catalog", "show", "mixtral-8x7", code=3, id="E-SOURCE",
              says="did you mean mixtral-8x7b-v0.1?")
    box.fails("catalog", "show", "llama", code=3, id="E-SOURCE")
    box.fails("catalog", code=2)
    box.fails("catalog", "frobnicate", code=2)


def links(box):
    """Every link as it was published, and repaired: the same torrent and
    trackers, and each repair printed."""
    document = box.run("catalog", "check", "--json").document
    for entry in document["entries"]:
        repaired = box.run("inspect", entry["magnet"], "--json").document
        equal(repaired["info_hash_v1"], entry["info_hash_v1"], "hash")
        equal(repaired["repairs"] + repaired["dropped"], [], entry["name"])
        equal(repaired["catalogue"], entry["name"], "known by its hash")
        for link in entry["published"]:
            run = box.run("inspect", link["magnet"], "--json")
            told = run.document
            equal(told["info_hash_v1"], entry["info_hash_v1"], link["magnet"])
            equal(told["trackers"], repaired["trackers"], link["magnet"])
            mangled = link["magnet"].count("%http://2F") + sum(
                link["magnet"].count("t.co/" + name)
                for name in ("OdtBUsbeV5", "2UepcMHjvL", "NsTRgy7h8S"))
            equal(len(told["repairs"]), mangled, "repairs")
            text = box.run("inspect", link["magnet"]).stdout
            equal(text.count("repaired to"), mangled, "repairs printed")
    # The host behind this link is lost, and the rest is used.
    lost = box.run("inspect", "magnet:?xt=urn:btih:" + "1" * 40 +
                   "&tr=https%3A%2F%https://t.co/HAadNvH1t0%3A443%2Fannounce")
    contains(lost.stdout, "t.co/HAadNvH1t0", "lost tracker")
    contains(lost.stdout, "dropped", "lost tracker")
    # What a client wrote out of a mangled link.
    again = box.run("inspect", "magnet:?xt=urn:btih:" + HASH_8X7B +
                    "&tr=udp%3a%2f-tp%3a%2f%2f2Ftracker.opentrackr.org%3a1337",
                    "--json").document
    equal(again["trackers"], [], "trackers of a re-export")
    contains(again["dropped"][0], "wrote out a mangled link again", "dropped")
    base32 = box.run("inspect", "KVDCOLNJAZPN323PZV773XXPLN2346NH", "--json")
    equal(base32.document["info_hash_v1"], HASH_8X7B, "base32")
    equal(base32.document["catalogue"], "mixtral-8x7b-v0.1", "base32")
    equal(box.run("inspect", HASH_8X7B, "--magnet").stdout.strip(),
          "magnet:?xt=urn:btih:" + HASH_8X7B, "--magnet")
    box.fails("inspect", "magnet:?xt=urn:btih:zz", code=2, id="E-MAGNET")
    # A8: what would be asked on this machine's behalf is told and not used.
    run = box.run("inspect", "magnet:?xt=urn:btih:" + HASH_8X7B +
                  "&tr=http://127.0.0.1:8080/admin?x&tr=file:///etc/passwd"
                  "&tr=http://169.254.169.254/", "--json")
    equal(run.document["trackers"], [], "trackers")
    equal(len(run.document["dropped"]), 3, "dropped")
    # A6: a name is text.
    run = box.run("inspect", "magnet:?xt=urn:btih:" + HASH_8X7B +
                  "&dn=..%2F%00%1b[2J%E2%80%AEx")
    contains(run.stdout, "../\\x00\\x1b[2J\\u{202e}x", "name")


def own_entries(box):
    demo = box.demo()
    entry = box.path("demo.toml")
    box.run("publish", demo, "--output", box.path("demo.torrent"),
            "--catalog-entry", entry, "--license", "Apache-2.0",
                  "--publisher", "Nobody", "--tracker",
                  "udp://tracker.example.org:6969/announce",
                  env=dict(box.env, SOURCE_DATE_EPOCH="1700000000"))
    checked = box.run("catalog", "check", entry, "--json").document["entry"]
    equal(checked["released"], "2023-11-14", "released")
    equal({file["path"]: file["bytes"] for file in checked["files"]},
          {name: os.path.getsize(os.path.join(demo, name))
           for name in os.listdir(demo)}, "files")
    check(checked["size_is_estimate"] is False, "an estimate")
    added = box.run("catalog", "add", entry).stdout.strip()
    check(added.startswith(box.env["XDG_CONFIG_HOME"]), added)
    equal(read(added), read(entry), "the entry added")
    equal(box.run("catalog", "add", entry).stdout.strip(), added, "added again")
    equal(box.run("catalog", "show", "DEMO", "--json").document["entry"]
          ["origin"], added, "origin")
    # Nobody is asked without a terminal, and a name alone is not enough.
    run = box.run("get", "demo", "--output", box.path("no"), *LOCAL, code=2)
    contains(run.error_lines[0], "error[E-CONFIRM]", "no consent")
    contains(run.error_lines[0], "give --yes", "no consent")
    check(not os.path.exists(box.path("no")), "something was made")

    seeder = box.seed(demo)
    # Fetched by its name; the sums of the entry are one more list.
    out = box.path("out")
    run = box.get("demo", seeder, out, "--yes")
    contains(run.stderr, "licence Apache-2.0", "facts")
    contains(run.stderr, "made with the torrent by its publisher (certain)",
             "provenance")
    box.run("get", "demo", "--output", out, "--json", *LOCAL)

    # An entry that says something else of the torrent: refused before a byte.
    text = read(added).decode()
    def with_entry(old, new):
        check(old in text, f"no {old!r}")
        write(added, text.replace(old, new, 1))
    total = sum(os.path.getsize(os.path.join(demo, name))
                for name in os.listdir(demo))
    other = box.user("other")
    other["XDG_CONFIG_HOME"] = box.env["XDG_CONFIG_HOME"]
    with_entry(f"bytes = {total}", f"bytes = {total + 1}")
    run = box.get("demo", seeder, box.path("size"), "--json", code=6, env=other)
    equal(run.error["code"], "E-CATALOG-MISMATCH", "code")
    contains(run.error["message"], f"{total + 1} expected", "message")
    equal([name for _, _, names in os.walk(box.path("size")) for name in names
           if name.endswith((".pth", ".model"))], [], "payload was written")
    # A sum that the bytes do not have: found after the download.
    digest = next(s["digest"] for s in checked["sums"]
                  if s["file"] == "params.json")
    with_entry(digest, "0" * 64)
    run = box.get("demo", seeder, box.path("sum"), "--json", code=6, env=other)
    equal(run.error["code"], "E-CONTRADICTION", "code")
    contains(run.error["message"], "params.json", "message")
    check(not os.path.exists(box.path("sum", "demo")), "a final name")
    # The same digest as a hint only.
    with_entry(digest + '"\nfile = "params.json"\npublisher = "Nobody"\n'
               'where = "made with the torrent"\ncertainty = "certain"',
               "0" * 64 + '"\npublisher = "Nobody"\nwhere = "x"\n'
               'certainty = "unconfirmed"')
    run = box.get("demo", seeder, box.path("hint"), "--json", env=other)
    hints = [event for event in run.of_type("check")
             if event["id"] == "catalogue.sum"]
    equal([event["status"] for event in hints], ["warn"], "the hint's status")

    # No entry takes the place of another; a broken one hides no other.
    thief = text.replace('name = "demo"', 'name = "grok-1"', 1)
    write(box.path("thief.toml"), thief)
    box.fails("catalog", "add", box.path("thief.toml"), code=2,
              id="E-CATALOG", says="grok-1")
    write(os.path.join(os.path.dirname(added), "thief.toml"), thief)
    write(os.path.join(os.path.dirname(added), "zzz.toml"), "name = ")
    run = box.run("catalog", "show", "grok-1", "--json")
    equal(run.document["entry"]["publisher"], "xAI", "publisher")
    equal(len(run.document["warnings"]), 2, "warnings")
    box.fails("catalog", "check", code=8, id="E-CATALOG", says="thief.toml")
    box.fails("catalog", "check", box.path("no-such.toml"), code=3)
    link = ("magnet:?xt=urn:btih:" + "2" * 40 + "&dn=Link-Model&tr=udp%3A%2F"
            "%http://2Ftracker.example.org%3A6969")
    box.fails("catalog", "add", link, code=2, id="E-CATALOG", says="--license")
    more = ("--license", "MIT", "--size", "2GB")
    entry = box.run("catalog", "add", link, *more, "--json").document["entry"]
    equal((entry["name"], entry["size_bytes"], entry["size_is_estimate"]),
          ("link-model", 2 * 10 ** 9, True), "entry of a link")
    equal(len(entry["published"][0]["repairs"]), 1, "repairs")
    box.fails("catalog", "add", "magnet:?xt=urn:btih:" + HASH_8X7B, *more,
              "--name", "mine", code=2, id="E-CATALOG",
              says="mixtral-8x7b-v0.1")
    seeder.stop()


def test(box):
    shipped(box)
    links(box)
    own_entries(box)


main(test)
