# SPDX-License-Identifier: Apache-2.0
"""Three hosts fetch a file from one seed at the same time, found through
a tracker, and feed each other: the seed need not send it thrice.

The links are shaped, so that nobody has it all before the others have begun.
"""
import os

import hostile
import lab as lab_module
from counterparts import Tracker
from harness import check, needs, read, same_tree, write

LEECHERS = 3
MIB = 24


def test(box):
    needs("opentracker")
    lab = lab_module.Lab(LEECHERS + 1, mbit=40)
    write(box.path("payload", "weights.bin"), os.urandom(MIB << 20))
    torrent = box.run("publish", box.path("payload"), "--output",
                      box.path("payload.torrent"), "--piece-size", "256KiB",
                      env=box.user("publisher")).last_line
    announce = Tracker(box, lab.address(0), 6969,
                       [hostile.info_hash(read(torrent))],
                       wrap=lab.on(0)).announce

    def session(host):
        return ("--no-dht", "--no-lsd", "--allow-local", "--tracker", announce,
                "--listen", lab.address(host))
    seeder = box.seed(box.path("payload"), "--torrent", torrent,
                      listen=session(0), wrap=lab.on(0))
    clients = [box.start("get", torrent, "--raw", "--seed", "--output",
                         box.path(f"out{host}"), "--port", "0", "--json",
                         *session(host), env=box.user(f"user{host}"),
                         wrap=lab.on(host))
               for host in range(1, LEECHERS + 1)]
    for client in clients:
        client.wait_event("stage", stage="download", state="end", ok=True)
    uploaded = seeder.stop()
    check((MIB << 20) <= uploaded < 2.5 * (MIB << 20),
          f"the seed sent {uploaded / (MIB << 20):.2f} copies to {LEECHERS}")
    for host, client in enumerate(clients, 1):
        client.stop()
        same_tree(box.path(f"out{host}", "payload"), box.path("payload"))


lab_module.main(test)
