# SPDX-License-Identifier: Apache-2.0
"""Transmission fetches from Lodestone, and Lodestone from Transmission.

Transmission takes no peers on loopback, so this runs in a network namespace
of its own, where the loopback link has two more addresses.
"""
import os
import subprocess
import sys

import harness
import hostile
from counterparts import Tracker, Transmission
from harness import (Skip, check, equal, main, needs, needs_root, read,
                     same_tree)

INSIDE = "LODESTONE_SCRIPT_NAMESPACE"
# Of the range for benchmarks (RFC 2544), which no machine here has.
OURS, THEIRS = "198.18.0.1", "198.18.0.2"
# Transmission remembers an address that was a seed and hangs up on it while it
# seeds itself: who fetches from it comes from another.
FETCHER = "198.18.0.3"
TRACKER_PORT = 6969
PEER_PORT = 51413


def enter_namespace():
    """Runs this script again where the network is its own."""
    if os.environ.get(INSIDE):
        return
    needs_root()
    needs("unshare", "ip", "transmission-daemon", "opentracker")
    probe = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo",
                            "up"], stderr=subprocess.PIPE)
    if probe.returncode != 0:
        raise Skip("no network namespaces here")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])


def bring_up():
    for command in ("ip link set lo up",
                    f"ip address add {OURS}/32 dev lo",
                    f"ip address add {THEIRS}/32 dev lo",
                    f"ip address add {FETCHER}/32 dev lo"):
        subprocess.run(command.split(), check=True)


def test(box):
    bring_up()
    origin = box.demo()
    announce = f"http://{OURS}:{TRACKER_PORT}/announce"
    torrent = box.run("publish", origin, "--output", box.path("demo.torrent"),
                      "--tracker", announce,
                      env=box.user("publisher")).last_line
    info_hash = hostile.info_hash(read(torrent))
    tracker = Tracker(box, OURS, TRACKER_PORT, [info_hash])
    equal(tracker.announce, announce, "announce URL")

    # From us to them.
    ours = ("--listen", OURS, "--no-dht", "--no-lsd")
    seeder = box.seed(origin, "--torrent", torrent, "--allow-local",
                      listen=ours)
    theirs = Transmission(box, "transmission", THEIRS, PEER_PORT, 9091, ())
    theirs.add(torrent)
    theirs.wait_complete()
    fetched = os.path.join(theirs.downloads, "demo")
    same_tree(fetched, origin)
    check(seeder.stop() > 0, "nothing came from us")

    # And back, with ours gone, from a bare magnet. Transmission unchokes in
    # rounds of ten seconds and more, so this takes its time.
    magnet = "magnet:?xt=urn:btih:" + info_hash
    box.run("get", magnet, "--output", box.path("fetched"), "--port", "0",
            "--peer", f"{THEIRS}:{PEER_PORT}", "--listen", FETCHER,
            "--no-dht", "--no-lsd", env=box.user("fetcher"), patience=200)
    same_tree(box.path("fetched", "demo"), origin)


try:
    enter_namespace()
except Skip as reason:
    print(f"skipped: {reason}")
    sys.exit(harness.SKIPPED)
main(test)
