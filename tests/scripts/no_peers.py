# SPDX-License-Identifier: Apache-2.0
"""What is said and done where nobody has it: B7 (zero peers), A8 (a link must
not make this machine send requests into itself), B11 (no IPv6, a port that is
taken)."""
import socket
import threading
import urllib.parse

import netns
from harness import bare, check, contains, equal, same_tree
from netns import WORLD

HASH = "magnet:?xt=urn:btih:" + "5a" * 20


def test(box):
    # A machine without IPv6, whose cable leads to nobody who answers.
    client = netns.Host(box, "client", "198.18.1.1")
    netns.bridge([client])
    client.route_all()
    zero_peers(box, client)
    link_into_this_machine(box)
    ports_and_families(box, client)


def zero_peers(box, client):
    run = box.fails("get", HASH, "--output", box.path("none"), "--timeout",
                    "4s", "--tracker", f"http://{WORLD}:6969/announce",
                    code=4, id="E-NO-PEERS",
                    says=(f"http://{WORLD}:6969/announce", "0 DHT nodes",
                          "0 peers reached", "only the link is known yet",
                          "firewall"), wrap=client.wrap)
    last = [event["swarm"] for event in run.of_type("progress")][-1]
    equal([tracker["url"] for tracker in last["trackers"]],
          [f"http://{WORLD}:6969/announce"], "trackers")
    check(last["trackers"][0]["failed"], f"trackers: {last}")
    contains(last["trackers"][0]["answer"], "refused", "answer")
    equal(last["dht_nodes"], 0, "DHT nodes")
    check(last["waited_s"] >= 3, f"waited: {last}")
    # People are told as well.
    plain = box.run("get", HASH, "--output", box.path("none"), "--timeout",
                    "3s", "--no-dht", "--progress", "bar", code=4,
                    wrap=client.wrap)
    contains(plain.stderr.replace("\r", "\n"),
             "no peers yet (", "progress")


def link_into_this_machine(box):
    """A8: every tracker, web seed and peer of the link is here; none hears."""
    heard = []

    def listen(listener):
        while True:
            peer, _ = listener.accept()
            heard.append(peer.getsockname())

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=listen, args=(listener,), daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    port, udp_port = listener.getsockname()[1], udp.getsockname()[1]
    traps = "".join(f"&{key}={urllib.parse.quote(value, safe='')}"
                    for key, value in (
        ("tr", f"http://127.0.0.1:{port}/admin?x"),
        ("tr", f"http://127.0.0.1:{port}/announce"),
        ("tr", f"http://localhost:{port}/announce"),
        ("tr", f"http://user:pass@127.0.0.1:{port}/announce"),
        ("tr", f"http://[::ffff:127.0.0.1]:{port}/announce"),
        ("tr", f"http://2130706433:{port}/announce"),
        ("tr", f"udp://127.0.0.1:{udp_port}/announce"),
        ("tr", "http://169.254.169.254/latest"),
        ("tr", "file:///etc/passwd"), ("tr", "ftp://127.0.0.1/announce"),
        ("ws", f"http://127.0.0.1:{port}/"),
        ("x.pe", f"127.0.0.1:{port}")))
    run = box.run("get", HASH + traps, "--output", box.path("trap"),
                  "--no-dht", "--no-lsd", "--timeout", "3s", "--json", code=4)
    dropped = [event for event in run.of_type("warning")
               if event["code"] == "ENDPOINT_DROPPED"]
    equal(len(dropped), 12, f"remarks\n{run}")
    equal(heard, [], "requests")
    udp.setblocking(False)
    try:
        check(False, f"a datagram came: {udp.recv(2048)}")
    except BlockingIOError:
        pass


def ports_and_families(box, client):
    origin = box.demo()
    magnet = bare(box.run("publish", origin, "--output",
                          box.path("demo.torrent"), "--json",
                          env=box.user("publisher")).result["summary"]
                  ["magnet"])
    seeder = box.seed(origin, listen=("--listen", WORLD, "--no-dht",
                                      "--no-lsd", "--allow-local"))
    # B11: no IPv6 here; it goes on without.
    box.run("get", magnet, "--output", box.path("fetched"), "--raw",
            "--peer", seeder.endpoint, "--no-dht", wrap=client.wrap)
    same_tree(box.path("fetched", "demo"), origin)
    # The port that the user fixed is the seeder's.
    box.fails("get", HASH, "--output", box.path("taken"), "--listen", WORLD,
              "--port", seeder.port, code=12, id="E-PORT")


netns.main(test)
