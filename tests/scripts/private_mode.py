# SPDX-License-Identifier: Apache-2.0
"""A21: with --private there is no DHT, LSD or PEX from the start, before the
metadata could say that the torrent is private. A test socket stands where the
DHT would be entered, a test peer reads the handshake, and the cable is
recorded; without the flag all three see something."""
import socket
import threading

import netns
from harness import check
from netns import WORLD

HASH = "5a" * 20
LSD_GROUP = "239.192.152.143"


class Peer:
    """Reads the handshake and the extension handshake of who calls."""

    def __init__(self, address):
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self.extensions = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            peer, _ = self._listener.accept()
            with peer:
                try:
                    self._talk(peer)
                except OSError:
                    continue

    def _talk(self, peer):
        read = peer.makefile("rb").read
        hello = read(68)
        if len(hello) < 68:
            return
        # The same features, the same torrent, another name.
        peer.sendall(hello[:48] + b"-TEST00-" + b"p" * 12)
        size = int.from_bytes(read(4), "big")
        message = read(size)
        if message[:2] == b"\x14\x00":
            self.extensions = message


def test(box):
    client = netns.Host(box, "client", "198.18.1.1")
    netns.bridge([client])

    def get(output, *extra):
        """What was seen: DHT datagrams, LSD packets, the test peer."""
        peer = Peer(WORLD)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry:
            entry.bind((WORLD, 0))
            entry.setblocking(False)
            recording = client.record()
            box.run("get", "magnet:?xt=urn:btih:" + HASH, "--output",
                    box.path(output), "--allow-local", "--encryption", "off",
                    "--dht-node", f"{WORLD}:{entry.getsockname()[1]}",
                    "--peer", f"{WORLD}:{peer.port}", "--timeout", "5s",
                    *extra, code=4, wrap=client.wrap)
            packets = recording.stop()
            try:
                dht = len(entry.recv(4096))
            except BlockingIOError:
                dht = 0
        lsd = [packet for packet in packets if packet.target == LSD_GROUP]
        check(peer.extensions is not None, "the test peer was not called")
        return dht, lsd, peer

    dht, lsd, peer = get("private", "--private")
    check(dht == 0, "the DHT was called")
    check(not lsd, "LSD was used")
    check(b"ut_pex" not in peer.extensions, "PEX is offered")

    dht, lsd, peer = get("open")
    check(dht > 0, "the test socket sees no DHT")
    check(lsd, "the recording sees no LSD")
    check(b"ut_pex" in peer.extensions, "the test peer sees no PEX")

    # --anonymous: neither the handshake nor the peer id names the program.
    _, _, peer = get("named", "--private")
    check(b"Lodestone" in peer.extensions, "the test peer sees no name")
    _, _, peer = get("anonymous", "--private", "--anonymous")
    check(b"Lodestone" not in peer.extensions, "the program is named")


netns.main(test)
