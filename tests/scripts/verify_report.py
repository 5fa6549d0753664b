# SPDX-License-Identifier: Apache-2.0
"""Reports of a check: a page and a document that can be archived, whole and
escaped, written over former reports and over nothing else; --summary."""
import html.parser
import json
import os
import shutil
import subprocess

from harness import (CHECK_EVENTS, DOCUMENT_SCHEMA, check, contains, equal,
                     flip_byte, main, read, tree, write)

WEIGHTS = "consolidated.00.pth"


class Page(html.parser.HTMLParser):
    """Whether the tags close, and what a reader sees."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.tags = []
        self.text = ""
        self.feed(text)
        self.close()
        equal(self.open, [], "tags left open")

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "the tag that ends")

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def page_of(path):
    text = read(path).decode("utf-8")
    page = Page(text)
    for tag, attrs in page.tags:
        check(tag not in ("script", "link", "img", "iframe", "object", "base"),
              f"<{tag}> in the page")
        for name in attrs:
            check(not name.startswith("on") and name not in ("src", "href"),
                  f"{name} in <{tag}>")
    check("url(" not in text and "@import" not in text, "a resource in CSS")
    check("prefers-color-scheme:dark" in text and "@media print" in text,
          "dark and print")
    return page


def document_of(path):
    data = read(path)
    document = json.loads(data)
    line = json.dumps(document).encode() + b"\n"
    checked = subprocess.run([CHECK_EVENTS, "--document", DOCUMENT_SCHEMA],
                             input=line, stdout=subprocess.PIPE)
    equal(checked.returncode, 0, f"check_events: {checked.stdout.decode()}")
    return document


def good(box, folder, torrent):
    page, document = box.path("report.html"), box.path("report.json")
    run = box.run("verify", folder, "--against", torrent, "--report", page,
                  "--report", document)
    contains(run.stderr, "report: ", "where the report is")
    seen = page_of(page)
    found = document_of(document)
    equal(found["result"], "ok", "result")
    check(found["level"]["verified"], "verified")
    equal(found["command"], run.argv, "command")
    check(found["started"] <= found["finished"], "times")
    names = sorted(tree(folder))
    equal(sorted(f["path"] for f in found["files"]), names, "files")
    for part in ("Verified", folder, "Lodestone", found["started"],
                 "What this proves and what not", found["level"]["text"],
                 found["torrent"]["info_hash_v1"]):
        contains(seen.text, part, "the page")
    for entry in found["files"]:
        equal(len(entry["sha256"]), 64, "sha256, always")
        for part in (entry["path"], entry["sha256"]):
            contains(seen.text, part, "the page")
    ids = {one["id"] for one in found["checks"]}
    check({"structure.tensors", "numeric.tensors"} <= ids, f"checks: {ids}")
    # The same as a document on standard output, and nothing else there.
    # Read again: how old files must be to be remembered is a matter of time.
    run = box.run("verify", folder, "--against", torrent, "--json", "--summary",
                  "--rehash")
    check(run.document is not None, f"no document\n{run}")
    for key in ("path", "level", "torrent", "totals", "files", "sources"):
        equal(run.document[key], found[key], key)
    box.run("verify", folder + "-absent", "--json", "--summary", code=3)
    run = box.run("verify", folder, "--against", torrent, "--summary")
    check(WEIGHTS not in run.stderr, f"a line on a file that is right\n{run}")


def damaged(box, folder, torrent):
    page, document = box.path("report.html"), box.path("report.json")
    flip_byte(os.path.join(folder, WEIGHTS), 4_000_000)
    # Former reports are replaced.
    run = box.run("verify", folder, "--against", torrent, "--report", page,
                  "--report", document, code=6)
    found = document_of(document)
    seen = page_of(page)
    equal(found["exit_code"], 6, "exit code")
    equal(found["level"]["name"], "unverified", "level")
    bad = [entry for entry in found["files"] if entry["path"] == WEIGHTS][0]
    equal(bad["status"], "mismatch", "status")
    damage = bad["damage"][0]
    check(damage["begin"] <= 4_000_000 < damage["end"], f"range {damage}")
    check(damage["tensors"], "no tensor is named")
    for part in ("Not what it should be", found["error"]["message"],
                 f"{damage['begin']} to {damage['end'] - 1}",
                 damage["tensors"][0]):
        contains(seen.text, part, "the page")
    contains(run.error_lines[0], found["error"]["code"], "the error")
    flip_byte(os.path.join(folder, WEIGHTS), 4_000_000)


def hostile_names(box, folder):
    """Names that would be markup, or turn the line around."""
    copy = box.path("names", "<script>alert(1)</script>")
    shutil.copytree(folder, copy)
    names = ("<img src=x onerror=alert(1)>.txt", "\"'&amp;.txt",
             "a\u202egnp.txt", "b\x1b[2J.txt")
    for name in names:
        write(os.path.join(copy, name), name)
    page = box.path("names.html")
    box.run("verify", copy, "--level", "checksums", "--report", page)
    text = read(page).decode()
    seen = page_of(page)
    check("\x1b" not in text and "\u202e" not in text, "raw control characters")
    for name in names[:2]:
        contains(seen.text, name, "the page")
    contains(seen.text, "a\\u{202e}gnp.txt", "a mark of direction")
    contains(seen.text, "<script>alert(1)</script>", "the folder's name")


def in_the_way(box, folder):
    mine = write(box.path("mine.html"), "<!DOCTYPE html>mine")
    data = write(box.path("mine.json"), '{"v": 1}')
    link = box.path("link.html")
    os.symlink(box.path("nowhere"), link)
    for path in (mine, data, link):
        run = box.fails("verify", folder, "--report", path, code=5,
                        id="E-EXISTS", says="is no report")
        check(not run.of_type("file"), f"files were read first\n{run}")
    equal(read(mine), b"<!DOCTYPE html>mine", "what was in the way")
    equal(os.readlink(link), box.path("nowhere"), "the link")
    box.fails("verify", folder, "--report", box.path("report.txt"), code=2,
              id="E-USAGE", says=".html")
    box.fails("verify", folder, "--report", box.path("no", "a.html"), code=3,
              says="no folder")
    # A report says what was found, not what should be there.
    report = box.path("later.json")
    box.run("verify", folder, "--report", report)
    box.fails("verify", folder, "--against", report, code=2, id="E-REPORT")


def test(box):
    folder = box.demo()
    torrent = box.run("publish", folder, "--output", box.path("demo.torrent"),
                      env=box.user("publisher")).last_line
    good(box, folder, torrent)
    damaged(box, folder, torrent)
    hostile_names(box, folder)
    in_the_way(box, folder)


main(test)
