# SPDX-License-Identifier: Apache-2.0
"""With a proxy no packet leaves beside it, recorded on the wire of a machine
of its own; without one the same recording sees that there is much to leak.

World: a SOCKS5 proxy, a tracker, a seeder, a name server. Client: a cable to
it, a default route, IPv6. The magnet tempts in every way that there is: names
to look up, a udp tracker, peers by name, a web seed, the DHT with its
well-known names, LSD."""
import os
import socket
import struct
import urllib.parse

import netns
from counterparts import Tracker
from harness import (bare, check, contains, equal, same_tree, wait_until)
from netns import WORLD
from socks_relay import SocksRelay

TRACKER, SEEDER, NAMES, NODE = ("198.18.0.2", "198.18.0.3", "198.18.0.53",
                                "198.18.0.4")
CLIENT = "198.18.1.1"
PROXY_PORT = 1080
LSD_GROUPS = {"239.192.152.143", "ff15::efc0:988f"}


def is_housekeeping(packet):
    """What the kernel says by itself on a link: neighbours and groups of
    IPv6. Joining the LSD group is the program's doing."""
    if not packet.is_ip:
        return packet.ether_type == 0x0806  # ARP
    if packet.protocol == 2 and packet.source == WORLD:
        return True  # IGMP of the switch itself
    if packet.protocol == 58 and packet.payload[:1] in (b"\x85", b"\x87",
                                                        b"\x88"):
        return True
    group = socket.inet_pton(socket.AF_INET6, "ff15::efc0:988f")
    # A hop-by-hop header comes before a multicast listener report.
    return (packet.protocol == 0 and packet.target == "ff02::16" and
            group not in packet.payload)


def is_refusal(packet, way):
    """The kernel's word to the proxy that a datagram of its came too late."""
    quoted = packet.payload[8:]
    return (packet.protocol == 1 and packet.payload[0] == 3 and
            packet.target == way[0] and len(quoted) >= 22 and
            socket.inet_ntoa(quoted[12:16]) == way[0] and
            struct.unpack_from("!H", quoted, 20)[0] == way[1])


def leaks(packets, *ways):
    """Packets that go another way than those (address, port)."""
    return [packet for packet in packets
            if not is_housekeeping(packet) and
            not any(packet.between(*way) or is_refusal(packet, way)
                    for way in ways)]


def spread_udp(client, port_range):
    """Sends a DHT ping to UDP ports of the client, as a stranger would."""
    ping = b"d1:ad2:id20:" + b"x" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((NODE, 0))
        for port in port_range:
            stranger.sendto(ping, (client, port))


def udp_ports(process):
    """UDP ports that a process holds, by /proc."""
    inodes = set()
    for entry in os.scandir(f"/proc/{process.pid}/fd"):
        try:
            link = os.readlink(entry.path)
        except OSError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ports = set()
    for family in ("udp", "udp6", "tcp", "tcp6"):
        with open(f"/proc/{process.pid}/net/{family}",
                  encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                listening = family.startswith("udp") or fields[3] == "0A"
                if fields[9] in inodes and listening:
                    ports.add((family,
                               int(fields[1].rpartition(":")[2], 16)))
    return ports


def test(box):
    client = netns.Host(box, "client", CLIENT, resolver=NAMES, ipv6=True)
    netns.bridge([client], (WORLD, TRACKER, SEEDER, NAMES, NODE))
    names = netns.NameServer(NAMES, {"tracker.test": TRACKER,
                                     "peer.test": SEEDER,
                                     "seed.test": SEEDER})
    client.route_all()
    client.here("ip -6 address add fd00::2/64 dev client0 nodad")
    client.here("ip -6 route add default via fd00::1")
    resolv_conf = box.path("client", "resolv.conf")
    box.spawn([*netns.resolving(resolv_conf), "microsocks", "-i", WORLD, "-p",
               str(PROXY_PORT)])
    netns.wait_serving(WORLD, PROXY_PORT)

    origin = box.demo()
    published = box.run("publish", origin, "--output",
                        box.path("demo.torrent"), "--tracker",
                        f"http://{TRACKER}:6969/announce", "--json",
                        env=box.user("publisher"))
    magnet = bare(published.result["summary"]["magnet"])
    info_hash = magnet.rpartition(":")[2]
    Tracker(box, TRACKER, 6969, [info_hash])

    def serve():
        return box.seed(origin, "--torrent", box.path("demo.torrent"),
                        "--allow-local", listen=("--listen", SEEDER,
                                                 "--no-lsd", "--no-dht"))
    seeder = serve()
    tempting = magnet + "".join(
        f"&{key}={urllib.parse.quote(value, safe='')}" for key, value in (
            ("tr", "http://tracker.test:6969/announce"),
            ("tr", "udp://tracker.test:6969/announce"),
            ("tr", "https://tracker.test:6970/announce"),
            ("ws", "http://seed.test:8080/"),
            ("x.pe", "peer.test:6999")))

    def get(source, output, *extra, code=0, user=None):
        env = box.user(user or output)
        # Well-known trackers are one more temptation.
        del env["LODESTONE_NO_FALLBACK_TRACKERS"]
        return box.run("get", source, "--output", box.path(output), "--raw",
                       "--allow-local", "--json", *extra, env=env, code=code,
                       wrap=client.wrap)

    proxy = ("--proxy", f"socks5://{WORLD}:{PROXY_PORT}")

    # The whole fetch, by nothing but the proxy.
    recording = client.record()
    run = get(tempting, "proxied", *proxy)
    packets = recording.stop()
    same_tree(box.path("proxied", "demo"), origin)
    check(run.of_type("listen") == [], f"it listens\n{run}")
    # The payload is on the wire, so the recording works.
    total = sum(len(packet.frame) for packet in packets)
    check(total > run.result["summary"]["total_bytes"], f"{total} bytes seen")
    bad = leaks(packets, (WORLD, PROXY_PORT))
    check(not bad, f"{len(bad)} packets beside the proxy, first: "
          f"{[str(packet) for packet in bad[:5]]}")
    check("tracker.test" in names.asked, "the proxy was not left the name")

    hidden_while_running(box, client, get_args=(
        "get", magnet, "--output", box.path("waiting"), "--raw", *proxy,
        "--tracker", f"http://{TRACKER}:6970/announce", "--allow-local",
        "--json"))
    proxy_down(client, get, tempting)
    with_udp(box, client, get, magnet, origin, seeder)
    seeder = serve()

    # Last, since from here on others know the client's address: without a
    # proxy, the same recording sees all that could have leaked.
    recording = client.record()
    get(tempting, "direct")
    bad = leaks(recording.stop(), (WORLD, PROXY_PORT))
    same_tree(box.path("direct", "demo"), origin)
    check(any(packet.between(NAMES, 53) for packet in bad), "no look-up seen")
    check(any(packet.between(SEEDER, seeder.port) for packet in bad),
          "no peer seen")
    check(any(packet.between(TRACKER, 6969) and packet.protocol == 17
              for packet in bad), "no udp tracker seen")
    check(any(packet.target in LSD_GROUPS for packet in bad), "no LSD seen")


def hidden_while_running(box, client, get_args):
    """A stranger who calls at every port that is open gets no answer."""
    recording = client.record()
    waiting = box.start(*get_args, wrap=client.wrap)
    waiting.wait_event("progress", stage="metadata")
    ports = udp_ports(waiting)
    check(not any(family.startswith("tcp") for family, _ in ports),
          f"a TCP port is open: {ports}")
    spread_udp(CLIENT, [port for _, port in ports])
    wait_until(lambda: not ports or any(
        packet.source == NODE for packet in recording.packets()),
               "the datagrams have come")
    # Statistics come every two seconds: by then an answer would have been
    # sent.
    for _ in range(6):
        waiting.wait_event("progress")
    answers = [packet for packet in recording.packets()
               if packet.target == NODE and packet.protocol == 17]
    check(not answers, f"a stranger was answered: {answers}")
    waiting.stop()
    bad = [packet for packet in leaks(recording.stop(), (WORLD, PROXY_PORT))
           if NODE not in (packet.source, packet.target)]
    check(not bad, f"beside the proxy: {[str(packet) for packet in bad[:5]]}")


def proxy_down(client, get, magnet):
    """B10: nothing is sent but the call that is refused."""
    port = 1099
    recording = client.record()
    run = get(magnet, "down", "--proxy", f"socks5://{WORLD}:{port}", code=4)
    packets = recording.stop()
    equal(run.error["code"], "E-PROXY", "error")
    contains(run.error["hint"], "nothing was sent around it", "hint")
    check(any(packet.between(WORLD, port) for packet in packets),
          "the proxy was not called")
    bad = leaks(packets, (WORLD, port))
    check(not bad, f"beside the proxy: {[str(packet) for packet in bad[:5]]}")


def with_udp(box, client, get, magnet, origin, seeder):
    """A proxy that carries UDP carries udp trackers and the DHT, too."""
    port, relay_port, dht_port = 1081, 1082, 7000
    relay = SocksRelay(WORLD, port, relay_port, {"tracker.test": TRACKER})
    proxy = ("--proxy", f"socks5://{WORLD}:{port}")
    ways = ((WORLD, port), (WORLD, relay_port))

    recording = client.record()
    get(magnet + "&tr=udp%3A%2F%2Ftracker.test%3A6969%2Fannounce", "by-udp",
        *proxy, "--no-dht")
    bad = leaks(recording.stop(), *ways)
    same_tree(box.path("by-udp", "demo"), origin)
    check(not bad, f"beside the proxy: {[str(packet) for packet in bad[:5]]}")
    check((TRACKER, 6969) in relay.datagrams, "no datagram to the tracker")

    # By the DHT alone: a node that others enter at, and a seeder that it
    # hears of. Both know no tracker.
    seeder.stop()
    other = box.path("other")
    os.mkdir(other)
    with open(os.path.join(other, "README"), "w", encoding="ascii") as file:
        file.write("something else to serve\n")
    node = box.seed(other, env=box.user("node"), listen=(
        "--listen", NODE, "--no-lsd", "--allow-local", "--dht-node",
        f"{SEEDER}:{dht_port}"))
    announced = box.start(
        "seed", origin, "--listen", SEEDER, "--port", str(dht_port),
        "--no-lsd", "--allow-local", "--dht-node", f"{NODE}:{node.port}",
        "--json", env=box.user("dht-seeder"))
    announced.wait_event("listen")
    recording = client.record()
    get(magnet, "by-dht", *proxy, "--dht-node", f"{NODE}:{node.port}")
    bad = leaks(recording.stop(), *ways)
    same_tree(box.path("by-dht", "demo"), origin)
    check(not bad, f"beside the proxy: {[str(packet) for packet in bad[:5]]}")
    check((NODE, node.port) in relay.datagrams, "no datagram to the DHT")
    announced.stop()


netns.main(test, "microsocks", "opentracker")
