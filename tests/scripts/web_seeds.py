# SPDX-License-Identifier: Apache-2.0
"""Web seeds, good and bad (B4, B5): the result is the same whatever they send,
and no request goes where the user did not allow it."""
import os
import random

from harness import (LOCAL, check, contains, equal, main, read, same_tree,
                     write)
from hostile import bdecode, bencode
from hostile_web import HostileWeb

PIECE = 65536
# More than is ever asked for at once.
BIG = 12_000_001


def model(box):
    """Files of shapes that matter, and their torrents."""
    generator = random.Random(7)
    origin = box.path("origin", "demo")
    write(os.path.join(origin, "params.json"), "{}")
    write(os.path.join(origin, "a name%20&?#.bin"),
          generator.randbytes(PIECE + 17))
    write(os.path.join(origin, "sub", "weights.bin"), generator.randbytes(BIG))
    write(os.path.join(origin, "tail.bin"), generator.randbytes(5000))
    torrents = {}
    for kind in ("v1", "hybrid", "v2"):
        torrents[kind] = box.path(kind + ".torrent")
        box.run("publish", origin, "--piece-size", PIECE, "--format", kind,
                "--output", torrents[kind], env=box.user("publisher"))
    return origin, torrents


class Fetch:
    """Downloads, each as a user of its own."""

    def __init__(self, box, origin):
        self.box = box
        self.origin = origin
        self.count = 0

    def __call__(self, torrent, *extra, code=0, seeder=None):
        self.count += 1
        output = self.box.path(f"out{self.count}")
        run = self.box.get(torrent, seeder, output, "--raw", "--json",
                           "--no-fallback-trackers", *extra, code=code,
                           env=self.box.user(f"user{self.count}"))
        final = os.path.join(output, "demo")
        if code == 0:
            same_tree(final, self.origin)
        else:
            check(not os.path.lexists(final), f"a final name\n{run}")
        return run


def warned(run, code):
    return [event["message"] for event in run.of_type("warning")
            if event["code"] == code]


def alone(fetch, web, torrents):
    """No peer at all."""
    total = sum(len(read(os.path.join(folder, name)))
                for folder, _, names in os.walk(fetch.origin)
                for name in names)
    for kind in ("v1", "hybrid", "v2"):
        run = fetch(torrents[kind], "--web-seed", web.url("good"))
        equal(run.result["summary"]["downloaded_bytes"], total,
              f"bytes fetched for {kind}")
        equal(run.result["summary"]["wasted_bytes"], 0, "bytes wasted")
    # Sent on to the same server, and told to come again later.
    fetch(torrents["v1"], "--web-seed", web.url("redirect-home"))
    run = fetch(torrents["v1"], "--web-seed", web.url("busy"))
    check(any("503" in text for text in warned(run, "WEB_SEED_FAILED")),
          f"the busy server is not named\n{run}")
    # Every answer breaks off: what whole pieces came are kept.
    run = fetch(torrents["v1"], "--web-seed", web.url("cut"))
    check(run.result["summary"]["downloaded_bytes"] < 3 * total,
          f"fetched again and again\n{run}")


# What each way earns: the warning, a part of its text, and how many requests
# are as many as it may cost.
BAD = (
    ("wrong", "WEB_SEED_BANNED", "wrong pieces", 8),
    ("missing", "WEB_SEED_FAILED", "404", 16),
    ("error", "WEB_SEED_FAILED", "500", 16),
    ("html", "WEB_SEED_BANNED", "range", 8),
    ("whole", "WEB_SEED_BANNED", "range", 12),
    ("infinite", "WEB_SEED_BANNED", "more than", 8),
    ("long-header", "WEB_SEED_BANNED", "headers", 8),
    ("other-range", "WEB_SEED_BANNED", "asked for bytes", 8),
    ("gzip", "WEB_SEED_BANNED", "coded body", 8),
    ("redirect-loopback", "WEB_SEED_BANNED", "sends us to", 8),
    ("redirect-lan", "WEB_SEED_BANNED", "sends us to", 8),
    ("redirect-cloud", "WEB_SEED_BANNED", "sends us to", 8),
    ("redirect-login", "WEB_SEED_BANNED", "user name or password", 8),
    ("redirect-file", "WEB_SEED_BANNED", "sends us to", 8),
    ("redirect-loop", "WEB_SEED_BANNED", "more than 5 times", 48),
)


def bad_ones(fetch, web, torrent, seeder):
    """B4, B5: beside a source that is good; the seeder is slow enough for the
    web seed to be asked."""
    for way, code, text, most in BAD:
        run = fetch(torrent, "--web-seed", web.url(way), seeder=seeder)
        said = warned(run, code)
        check(any(text in message and f"/{way}/" in message
                  for message in said), f"B4 {way}: {code} with {text!r}\n{run}")
        check(0 < web.requests[way] <= most,
              f"B4 {way}: {web.requests[way]} requests")
        # What a server can make us take before the connection is cut: what was
        # asked for, and what the kernel holds.
        check(web.sent[way] <= 48 << 20, f"B4 {way}: {web.sent[way]} bytes")
    equal(sum(web.elsewhere.requests.values()), 0,
          "B5: requests to the server of the redirects")
    equal(web.credentials, [], "B5: logins sent")
    # With leave, the same redirect is followed.
    fetch(torrent, "--web-seed", web.url("redirect-loopback"), "--allow-local")
    check(web.elsewhere.requests["good"] > 0, "the redirect was not followed")


def only_bad(fetch, web, torrent):
    """Nothing good to be had: the code says why, and nothing is promoted."""
    patience = ("--stall-timeout", "3s")
    run = fetch(torrent, "--web-seed", web.url("wrong"), *patience, code=6)
    equal(run.error["code"], "E-SWARM-CORRUPT", "error code")
    for way in ("missing", "drip", "redirect-lan"):
        run = fetch(torrent, "--web-seed", web.url(way), *patience, code=4)
        contains(run.error["message"], "no", "the error")


def from_torrent(box, fetch, web, torrent):
    """A stranger's torrent names a local server: it is not asked (A8, B5); a
    user who says so may ask it."""
    whole = bdecode(read(torrent))
    whole[b"url-list"] = [web.elsewhere.url("good").encode()]
    hostile = write(box.path("hostile.torrent"), bencode(whole))
    web.elsewhere.requests.clear()
    fetch(hostile, "--stall-timeout", "2s", code=4)
    equal(sum(web.elsewhere.requests.values()), 0, "A8: requests")
    fetch(hostile, "--allow-local")
    check(web.elsewhere.requests["good"] > 0, "the web seed was not used")


def again(box, web, torrent, origin):
    """A web seed that failed in one run is tried again in the next, from our
    own record."""
    whole = bdecode(read(torrent))
    whole[b"url-list"] = [web.url("missing").encode()]
    named = write(box.path("named.torrent"), bencode(whole))
    output = box.path("again")
    env = box.user("again-user")
    arguments = ("get", named, "--output", output, "--port", "0", *LOCAL,
                 "--raw", "--json", "--allow-local", "--no-fallback-trackers",
                 "--stall-timeout", "2s")
    for _ in range(2):
        web.requests.clear()
        box.run(*arguments, code=4, env=env)
        check(web.requests["missing"] > 0, "not asked in a later run")
    box.run(*arguments, "--web-seed", web.url("good"), env=env)
    same_tree(os.path.join(output, "demo"), origin)


def test(box):
    origin, torrents = model(box)
    root = os.path.dirname(origin)
    elsewhere = HostileWeb(root)
    web = HostileWeb(root, elsewhere)
    box.at_end(web.close)
    box.at_end(elsewhere.close)
    fetch = Fetch(box, origin)
    alone(fetch, web, torrents)
    # By name of the torrent it was published as last: the user's own store.
    box.run("publish", origin, "--piece-size", PIECE, "--format", "v1",
            "--output", box.path("seeded.torrent"), env=box.user("seeder"))
    seeder = box.seed(origin, "--up", "6MB")
    bad_ones(fetch, web, torrents["v1"], seeder)
    seeder.stop()
    only_bad(fetch, web, torrents["v1"])
    from_torrent(box, fetch, web, torrents["v1"])
    again(box, web, torrents["v1"], origin)


main(test)
