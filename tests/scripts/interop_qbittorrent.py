# SPDX-License-Identifier: Apache-2.0
"""qBittorrent fetches from Lodestone, and Lodestone from qBittorrent, v1 and
hybrid, found through a tracker.

In a network namespace of its own, with an address for each.
"""
import os

import hostile
import lab
from counterparts import QBittorrent, Tracker
from harness import check, needs, read, same_tree

# Of the range for benchmarks (RFC 2544), which no machine here has.
OURS, THEIRS, FETCHER = "198.18.0.1", "198.18.0.2", "198.18.0.3"
TRACKER_PORT = 6969


def test_format(box, kind, port):
    box = box.part(kind)
    origin = box.demo()
    torrent = box.run("publish", origin, "--format", kind, "--output",
                      box.path("demo.torrent"), "--tracker",
                      f"http://{OURS}:{port}/announce",
                      env=box.user("publisher")).last_line
    tracker = Tracker(box, OURS, port, [hostile.info_hash(read(torrent))])

    seeder = box.seed(origin, "--torrent", torrent, "--allow-local",
                      listen=("--listen", OURS, "--no-dht", "--no-lsd"))
    theirs = QBittorrent(box, "qbittorrent", THEIRS, 51413, 8080)
    theirs.add(torrent)
    theirs.wait_complete()
    same_tree(os.path.join(theirs.downloads, "demo"), origin)
    check(seeder.stop() > 0, "nothing came from us")

    # And back, with ours gone.
    magnet = "magnet:?xt=urn:btih:" + hostile.info_hash(read(torrent))
    box.run("get", magnet, "--output", box.path("fetched"), "--port", "0",
            "--tracker", tracker.announce, "--allow-local", "--listen",
            FETCHER, "--no-dht", "--no-lsd", env=box.user("fetcher"))
    same_tree(box.path("fetched", "demo"), origin)
    theirs.process.stop(code=None)


def test(box):
    needs("qbittorrent-nox", "opentracker")
    lab.loopback(OURS, THEIRS, FETCHER)
    for index, kind in enumerate(("v1", "hybrid")):
        test_format(box, kind, TRACKER_PORT + index)


lab.main(test)
