# SPDX-License-Identifier: Apache-2.0
"""Peers that lie (B1, B2, B3, B8, B12, A20): they are found out, and the result
is what the info-hash names or nothing."""
import os
import random

from harness import (check, contains, equal, main, read, same_tree, wait_until,
                     write)
from hostile import bdecode, bencode
from lying_peer import BLOCK_LIES, LyingPeer, Torrent

PIECE = 65536
MIB = 1 << 20


def model(box, name="demo", seed=7):
    """A payload and its Torrent, of one format each."""
    generator = random.Random(seed)
    origin = box.path(name + "-origin", "demo")
    write(os.path.join(origin, "params.json"), "{}")
    write(os.path.join(origin, "weights.bin"), generator.randbytes(3 * MIB))
    write(os.path.join(origin, "tail.bin"), generator.randbytes(5000))
    torrents = {}
    for kind in ("v1", "hybrid"):
        path = box.path(f"{name}-{kind}.torrent")
        box.run("publish", origin, "--piece-size", PIECE, "--format", kind,
                "--output", path, env=box.user("publisher"))
        torrents[kind] = Torrent(read(path), origin)
    box.run("publish", origin, "--piece-size", PIECE, "--format", "v1",
            "--output", box.path(name + "-seeded.torrent"),
            env=box.user("seeder"))
    return origin, torrents


class Fetch:
    """Downloads, each as a user of its own, by magnet unless told else."""

    def __init__(self, box, origin):
        self.box = box
        self.origin = origin
        self.count = 0

    def __call__(self, source, peers, *extra, code=0, output=None, env=None):
        self.count += 1
        output = output or self.box.path(f"out{self.count}")
        named = [flag for peer in peers for flag in ("--peer", peer.endpoint)]
        run = self.box.get(source, None, output, *named, "--raw", "--json",
                           "--no-fallback-trackers", "--encryption", "off",
                           *extra, code=code,
                           env=env or self.box.user(f"user{self.count}"))
        final = os.path.join(output, "demo")
        if code == 0:
            same_tree(final, self.origin)
        else:
            check(not os.path.lexists(final), f"a final name\n{run}")
        return run


def liar_and_seeder(box, fetch, torrent):
    """B1: the liar is banned, the rest comes from the other, waste is
    bounded."""
    seeder = box.seed(fetch.origin, "--up", "2MB")
    for lie in BLOCK_LIES:
        liar = LyingPeer(torrent, lie)
        run = fetch(torrent.magnet, [liar, seeder])
        summary = run.result["summary"]
        print(f"{lie}: {liar.blocks} blocks sent, {liar.lies} lies, "
              f"{summary['wasted_bytes']} bytes wasted")
        check(liar.lies > 0, f"B1 {lie}: the liar was not asked\n{run}")
        banned = [event for event in run.of_type("warning")
                  if event["code"] == "PEER_BANNED"]
        check(any(liar.endpoint in event["message"] for event in banned),
              f"B1 {lie}: not banned\n{run}")
        # The engine may ban an honest peer that had a part in bad pieces with
        # the liar; it is asked again then, and the run ends well.
        check(0 < summary["wasted_bytes"] <= 2 * len(torrent.payload),
              f"B1 {lie}: {summary['wasted_bytes']} bytes wasted")
        liar.close()
    # Lies about the protocol itself: whatever becomes of the peer, the result
    # does not suffer.
    for lie in ("stall", "cut", "oversize", "wrong-index", "wrong-length"):
        liar = LyingPeer(torrent, lie)
        fetch(torrent.magnet, [liar, seeder])
        check(liar.connections > 0, f"B1 {lie}: never connected")
        liar.close()
    seeder.stop()


def only_liars(box, fetch, torrent):
    """B2: it ends by itself, with 6; nothing is promoted, and the state is
    good for a later run with honest peers."""
    for lie in ("every-block", "some-pieces"):
        liars = [LyingPeer(torrent, lie, f"127.0.0.{host}")
                 for host in (2, 3)]
        output = box.path("liars-" + lie)
        env = box.user("liars-" + lie)
        run = fetch(torrent.magnet, liars, "--stall-timeout", "3s", code=6,
                    output=output, env=env)
        equal(run.error["code"], "E-SWARM-CORRUPT", "B2: error code")
        contains(run.error["message"], "failed their hash", "B2: the error")
        for liar in liars:
            liar.close()
        honest = LyingPeer(torrent, "honest")
        run = fetch(torrent.magnet, [honest], output=output, env=env)
        if lie == "some-pieces":
            # Whole pieces, or parts of one, as far as the liars came.
            summary = run.result["summary"]
            check(summary["downloaded_bytes"] < summary["total_bytes"],
                  f"B2: what was right is lost\n{run}")
        honest.close()


def hybrid_of_two_minds(box, fetch, torrents):
    """B3: the v1 digests are of the payload, the v2 ones of other bytes."""
    other, other_torrents = model(box, "other", seed=8)
    info = dict(torrents["hybrid"].info)
    info[b"file tree"] = other_torrents["hybrid"].info[b"file tree"]
    whole = {"info": info, "piece layers":
             bdecode(read(box.path("other-hybrid.torrent")))
             [b"piece layers"]}
    path = write(box.path("two-minds.torrent"), bencode(whole))
    torrent = Torrent(read(path), fetch.origin)
    honest = LyingPeer(torrent, "honest")
    run = fetch(path, [honest], "--stall-timeout", "5s", code=6)
    equal(run.error["code"], "E-HYBRID", f"B3: error code\n{run}")
    check(honest.blocks > 0, "B3: no block was sent")
    honest.close()


def malformed(box, fetch, torrent):
    """B8: extension messages that are none, and the v2 bit on a v1 magnet. A
    libtorrent before 2.0.14 may crash on the latter; then the next run goes
    on."""
    seeder = box.seed(fetch.origin)
    liar = LyingPeer(torrent, "bad-extended")
    fetch(torrent.magnet, [liar, seeder])
    check(liar.connections > 0, "B8: never connected")
    liar.close()

    liar = LyingPeer(torrent, "v2-upgrade")
    output = box.path("upgrade")
    env = box.user("upgrade-user")
    arguments = ("get", torrent.magnet, "--output", output, "--peer",
                 liar.endpoint, "--port", "0", "--listen", "127.0.0.1",
                 "--no-dht", "--no-lsd", "--no-fallback-trackers",
                 "--encryption", "off", "--raw", "--json")
    process = box.start(*arguments, env=env)
    code = wait_until(lambda: None if process.running() else
                      [process._popen.returncode], "B8: it ends")[0]
    print(f"v2-upgrade: the first run ended with {code}")
    check(liar.connections > 0, "B8: never connected")
    liar.close()
    if code != 0:
        check(not os.path.lexists(os.path.join(output, "demo")),
              "B8: a final name")
    fetch(torrent.magnet, [seeder], output=output, env=env)
    seeder.stop()


def same_name(box, fetch, torrent):
    """B12: a peer with another torrent of the same name and layout."""
    other, other_torrents = model(box, "twin", seed=9)
    twin = other_torrents["v1"]
    equal(twin.name, torrent.name, "B12: the names")
    # It claims to have the torrent that is asked for, and serves its own.
    twin.info_hash = torrent.info_hash
    liar = LyingPeer(twin, "honest")
    seeder = box.seed(fetch.origin, "--up", "2MB")
    run = fetch(torrent.magnet, [liar, seeder])
    check(liar.connections > 0, "B12: never connected")
    # As the only peer, not even the metadata is believed.
    lone = LyingPeer(twin, "honest")
    run = fetch(torrent.magnet, [lone], "--metadata-timeout", "3s", code=4)
    equal(run.error["code"], "E-NO-METADATA", f"B12: error code\n{run}")
    check(lone.metadata_requests > 0, "B12: its metadata was never asked for")
    seeder.stop()
    lone.close()
    liar.close()


def metadata(box, fetch, torrent):
    """A20: with an honest peer beside it the metadata comes all the same;
    alone the liar is waited for until the time is over."""
    seeder = box.seed(fetch.origin)
    for lie in ("metadata-size", "metadata-junk", "metadata-never",
                "metadata-huge"):
        liar = LyingPeer(torrent, lie)
        run = fetch(torrent.magnet, [liar], "--metadata-timeout", "3s",
                    code=4)
        equal(run.error["code"], "E-NO-METADATA", f"A20 {lie}: {run}")
        check(liar.connections > 0, f"A20 {lie}: never connected")
        if lie == "metadata-huge":
            # More than is ever taken: it never gets beyond the first part.
            check(liar.metadata_parts <= {0},
                  f"A20: parts {sorted(liar.metadata_parts)[:9]} asked for")
        fetch(torrent.magnet, [liar, seeder])
        liar.close()
    seeder.stop()


def test(box):
    origin, torrents = model(box)
    fetch = Fetch(box, origin)
    liar_and_seeder(box, fetch, torrents["v1"])
    only_liars(box, fetch, torrents["v1"])
    hybrid_of_two_minds(box, fetch, torrents)
    malformed(box, fetch, torrents["v1"])
    same_name(box, fetch, torrents["v1"])
    metadata(box, fetch, torrents["v1"])


main(test)
