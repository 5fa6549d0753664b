# SPDX-License-Identifier: Apache-2.0
"""--offline-lan: two machines on one switch find each other by LSD alone, and
nothing is sent to anybody outside, though the link names outside trackers."""
import urllib.parse

import netns
from harness import bare, check, same_tree
from netns import WORLD

LSD_V4, LSD_V6 = "239.192.152.143", "ff15::efc0:988f"


def test(box):
    names = netns.NameServer
    server = netns.Host(box, "server", "198.18.1.1")
    client = netns.Host(box, "client", "198.18.1.2", resolver=WORLD)
    netns.bridge([server, client])
    client.route_all()
    names = names(WORLD, {"tracker.test": "192.0.2.1"})
    origin = box.demo()
    magnet = bare(box.run("publish", origin, "--output",
                          box.path("demo.torrent"), "--json",
                          env=box.user("publisher")).result["summary"]
                  ["magnet"])
    seeder = box.start("seed", origin, "--offline-lan", "--json",
                       env=box.user("seeder"), wrap=server.wrap)
    seeder.wait_event("listen")
    outside = "".join("&tr=" + urllib.parse.quote(url, safe="") for url in (
        "udp://tracker.test:6969/announce",
        "http://192.0.2.9:6969/announce"))

    env = box.user("client")
    del env["LODESTONE_NO_FALLBACK_TRACKERS"]
    recording = client.record()
    box.run("get", magnet + outside, "--output", box.path("fetched"), "--raw",
            "--offline-lan", env=env, wrap=client.wrap)
    packets = [packet for packet in recording.stop() if packet.is_ip]
    same_tree(box.path("fetched", "demo"), origin)
    check(any(packet.target in (LSD_V4, LSD_V6) for packet in packets),
          "no LSD seen")
    # IGMP goes to the group of all routers; IPv6 has no way out here.
    near = ("198.18.1.1", LSD_V4, "224.0.0.22")
    far = [str(packet) for packet in packets
           if packet.source == "198.18.1.2" and packet.target not in near]
    check(not far, f"outside: {far[:5]}")
    check(names.asked == [], f"names looked up: {names.asked}")


netns.main(test)
