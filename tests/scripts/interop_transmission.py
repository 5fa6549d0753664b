# SPDX-License-Identifier: Apache-2.0
"""Transmission fetches from Lodestone, and Lodestone from Transmission, v1 and
hybrid.

Transmission takes no peers on loopback, so this runs in a network namespace
of its own, where the loopback link has two more addresses.
"""
import os
import subprocess

import hostile
import lab
from counterparts import Tracker, Transmission, same_payload
from harness import check, equal, needs, read, same_tree, write

# Of the range for benchmarks (RFC 2544), which no machine here has.
OURS, THEIRS = "198.18.0.1", "198.18.0.2"
# Transmission remembers an address that was a seed and hangs up on it while it
# seeds itself: who fetches from it comes from another.
FETCHER = "198.18.0.3"
TRACKER_PORT = 6969
PEER_PORT = 51413


def reads_hybrid(box, torrent):
    """Transmission 3 refuses an empty name in a dictionary, which the file
    tree of every hybrid and v2 torrent has. That must be what it refuses."""
    def accepts(path):
        return subprocess.run(["transmission-show", path],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    if accepts(torrent):
        return True

    def named(tree):
        return {name or b"x": named(value)
                if isinstance(value, dict) else value
                for name, value in tree.items()}
    metainfo = hostile.bdecode(read(torrent))
    metainfo[b"info"][b"file tree"] = named(metainfo[b"info"][b"file tree"])
    path = write(box.path("named.torrent"), hostile.bencode(metainfo))
    check(accepts(path), "transmission refuses it for another reason")
    print("this Transmission cannot read hybrid torrents")
    return False


def test_format(box, kind, port):
    box = box.part(kind)
    origin = box.demo()
    announce = f"http://{OURS}:{port}/announce"
    torrent = box.run("publish", origin, "--format", kind, "--output",
                      box.path("demo.torrent"), "--tracker", announce,
                      env=box.user("publisher")).last_line
    if kind == "hybrid" and not reads_hybrid(box, torrent):
        return
    info_hash = hostile.info_hash(read(torrent))
    tracker = Tracker(box, OURS, port, [info_hash])
    equal(tracker.announce, announce, "announce URL")

    # From us to them.
    ours = ("--listen", OURS, "--no-dht", "--no-lsd")
    seeder = box.seed(origin, "--torrent", torrent, "--allow-local",
                      listen=ours)
    theirs = Transmission(box, "transmission", THEIRS, PEER_PORT, 9091, ())
    theirs.add(torrent)
    theirs.wait_complete()
    fetched = os.path.join(theirs.downloads, "demo")
    same_payload(fetched, origin)
    check(seeder.stop() > 0, "nothing came from us")

    # And back, with ours gone, from a bare magnet. Transmission unchokes in
    # rounds of ten seconds and more, so this takes its time.
    magnet = "magnet:?xt=urn:btih:" + info_hash
    box.run("get", magnet, "--output", box.path("fetched"), "--port", "0",
            "--peer", f"{THEIRS}:{PEER_PORT}", "--listen", FETCHER,
            "--no-dht", "--no-lsd", env=box.user("fetcher"), patience=200)
    same_tree(box.path("fetched", "demo"), origin)
    theirs.process.stop(code=None)


def test(box):
    needs("transmission-daemon", "transmission-show", "opentracker")
    lab.loopback(OURS, THEIRS, FETCHER)
    for index, kind in enumerate(("v1", "hybrid")):
        test_format(box, kind, TRACKER_PORT + index)


lab.main(test)
