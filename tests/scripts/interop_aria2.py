# SPDX-License-Identifier: Apache-2.0
"""aria2 fetches from Lodestone, and Lodestone from aria2."""
import os
import shutil

import hostile
from counterparts import Tracker, aria2
from harness import (LOCAL, bare, check, equal, free_port, main, needs, read,
                     same_tree, wait_until)


def aria2_fetches(box, origin, torrent, tracker):
    seeder = box.seed(origin, "--torrent", torrent, "--tracker",
                      tracker.announce, "--allow-local")
    folder = box.path("aria2-from-us")
    client = aria2(box, "--dir", folder, "--seed-time=0",
                   f"--listen-port={free_port()}", torrent)
    client.end(0)
    same_tree(os.path.join(folder, "demo"), origin)
    check(seeder.stop() >= os.path.getsize(
        os.path.join(origin, "consolidated.00.pth")), "not from us")


def aria2_serves(box, origin, torrent, tracker):
    folder = box.path("aria2-origin")
    shutil.copytree(origin, os.path.join(folder, "demo"))
    port = free_port()
    aria2(box, "--dir", folder, "--seed-ratio=0.0", "--check-integrity=true",
          f"--listen-port={port}", torrent)
    magnet = "magnet:?xt=urn:btih:" + hostile.info_hash(read(torrent))

    # By its address alone; it listens once it has checked its files.
    def listens():
        import socket
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, "aria2 listens")
    run = box.run("get", magnet, "--output", box.path("by-peer"), "--peer",
                  f"127.0.0.1:{port}", "--port", "0", *LOCAL,
                  env=box.user("by-peer-user"))
    same_tree(box.path("by-peer", "demo"), origin)
    equal(run.last_line, box.path("by-peer", "demo"), "last line")

    # By the tracker, first named on the command line, then in the link.
    box.run("get", magnet, "--output", box.path("by-tracker"), "--tracker",
            tracker.announce, "--allow-local", "--port", "0", *LOCAL,
            env=box.user("by-tracker-user"))
    same_tree(box.path("by-tracker", "demo"), origin)
    box.run("get", magnet + "&tr=" + tracker.announce.replace("/", "%2F"),
            "--output", box.path("by-link"), "--allow-local", "--port", "0",
            *LOCAL, env=box.user("by-link-user"))
    same_tree(box.path("by-link", "demo"), origin)
    # A link does not send us to a tracker in our own network unasked.
    run = box.run("get", magnet + "&tr=" + tracker.announce, "--output",
                  box.path("not-local"), "--port", "0", "--timeout", "1s",
                  *LOCAL, code=4, env=box.user("not-local-user"))
    check("warning" in run.stderr and "127.0.0.1" in run.stderr,
          f"dropped without a word\n{run}")


def test(box):
    needs("aria2c", "opentracker")
    origin = box.demo()
    port = free_port()
    torrent = box.run("publish", origin, "--output", box.path("demo.torrent"),
                      "--tracker", f"http://127.0.0.1:{port}/announce",
                      env=box.user("publisher")).last_line
    tracker = Tracker(box, "127.0.0.1", port,
                      [hostile.info_hash(read(torrent))])
    aria2_fetches(box, origin, torrent, tracker)
    aria2_serves(box, origin, torrent, tracker)


main(test)
