# SPDX-License-Identifier: Apache-2.0
"""B9: the cable is pulled in the middle of a download and put back: it goes
on. While it is out, progress says why nothing comes, and Ctrl-C ends it with
130 and all that was fetched kept."""
import os
import random
import signal

import netns
from harness import bare, check, equal, same_tree, write
from netns import WORLD

SIZE = 24 << 20


def test(box):
    client = netns.Host(box, "client", "198.18.1.1")
    netns.bridge([client])
    origin = box.path("origin", "model")
    write(os.path.join(origin, "weights.bin"),
          random.Random(9).randbytes(SIZE))
    magnet = bare(box.run("publish", origin, "--output",
                          box.path("model.torrent"), "--json",
                          env=box.user("publisher")).result["summary"]
                  ["magnet"])
    seeder = box.seed(origin, "--allow-local",
                      listen=("--listen", WORLD, "--no-dht", "--no-lsd"))

    def start():
        return box.start("get", magnet, "--output", box.path("fetched"),
                         "--raw", "--no-dht", "--no-lsd", "--down", "4MB",
                         "--peer", seeder.endpoint, "--json",
                         wrap=client.wrap)

    def until_bytes(process, wanted):
        while True:
            event = process.wait_event("progress", stage="download")
            if event["done_bytes"] >= wanted:
                return event["done_bytes"]

    def until_idle(process):
        while True:
            event = process.wait_event("progress", stage="download")
            if "swarm" in event and event["done_bytes"] > 0:
                return event

    process = start()
    until_bytes(process, SIZE // 4)
    netns.run("ip link set clientw down")
    idle = until_idle(process)
    check(idle["swarm"]["waited_s"] >= 10, f"idle: {idle}")
    process.send(signal.SIGINT)
    run = process.end(code=130)
    check(run.error["code"] == "E-INTERRUPTED", f"{run}")

    netns.run("ip link set clientw up")
    process = start()
    plan = process.wait_event("plan")
    check(plan["resume_bytes"] >= SIZE // 4, f"what was here is lost: {plan}")
    until_bytes(process, SIZE // 2)
    netns.run("ip link set clientw down")
    until_idle(process)
    netns.run("ip link set clientw up")
    process.end(code=0, patience=120)
    same_tree(box.path("fetched", "model"), origin)
    equal(os.listdir(box.path("fetched")), ["model"], "folder")


netns.main(test)
