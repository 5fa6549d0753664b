# SPDX-License-Identifier: Apache-2.0
"""A second start has DHT nodes at once: the first one is shown a way in, the
second finds the seeder with no way in but what the first one kept."""
import os
import stat

import netns
from harness import bare, check, read, same_tree, write

SEEDER, NODE, CLIENT, THIRD = ("198.18.0.3", "198.18.0.4", "198.18.0.5",
                               "198.18.0.6")
DHT_PORT = 7000


def test(box):
    netns.bridge([], (SEEDER, NODE, CLIENT, THIRD))
    origin = box.demo()
    magnet = bare(box.run("publish", origin, "--output",
                          box.path("demo.torrent"), "--json",
                          env=box.user("publisher")).result["summary"]
                  ["magnet"])
    write(box.path("other", "README"), "something else to serve\n")
    node = box.seed(box.path("other"), env=box.user("node"), listen=(
        "--listen", NODE, "--no-lsd", "--allow-local", "--dht-node",
        f"{SEEDER}:{DHT_PORT}"))
    # The way in is for starting only, the library keeps it out of its tables:
    # the seeder is announced to, and remembered from, another node.
    write(box.path("third", "README"), "something else again\n")
    box.seed(box.path("third"), env=box.user("third-user"), listen=(
        "--listen", THIRD, "--no-lsd", "--allow-local", "--dht-node",
        f"{NODE}:{node.port}"))
    seeder = box.start(
        "seed", origin, "--listen", SEEDER, "--port", DHT_PORT, "--no-lsd",
        "--allow-local", "--dht-node", f"{NODE}:{node.port}", "--json",
        env=box.user("seeder"))
    seeder.wait_event("listen")

    def get(output, *extra):
        run = box.run("get", magnet, "--output", box.path(output), "--raw",
                      "--listen", CLIENT, "--no-lsd", "--allow-local",
                      "--timeout", "90s", "--json", *extra, patience=120)
        same_tree(box.path(output, "demo"), origin)
        return run

    way_in = ("--dht-node", f"{NODE}:{node.port}")
    get("first", *way_in)
    state = os.path.join(box.env["XDG_STATE_HOME"], "lodestone", "dht.dat")
    check(os.path.getsize(state) <= 64 << 10, "the state is large")
    check(stat.S_IMODE(os.stat(state).st_mode) == 0o600, "others may read it")

    # The well-known nodes have names, and nothing here resolves names.
    # So that it gets there at all says that it knew nodes.
    get("second")

    # A file that is broken is said, and replaced.
    write(state, "broken")
    third = get("third", *way_in)
    check(any(event["code"] == "DHT_STATE_IGNORED"
              for event in third.of_type("warning")), f"not said\n{third}")
    check(read(state) != b"broken", "the broken state is still there")


netns.main(test)
