# SPDX-License-Identifier: Apache-2.0
"""A seeder of several peers tells each how many requests to keep waiting (BEP
10, "reqq"), and tells again when it knows how fast they take them; what it said
of its extensions stays as it was."""
import os
import socket
import struct
import threading

from harness import check, equal, main, read, receive, wait_until
from hostile import bdecode, bencode
from lying_peer import BLOCK, Torrent, send

UNCHOKE, INTERESTED, REQUEST, PIECE, EXTENDED = 1, 2, 6, 7, 20
AT_FIRST, LEAST, MOST = 32, 8, 2000


class Asker:
    """A peer that has nothing and always keeps some requests waiting."""

    def __init__(self, torrent, address, endpoint):
        host, _, port = endpoint.rpartition(":")
        self.handshakes = []
        self.blocks = 0
        self._torrent = torrent
        self._socket = socket.create_connection(
            (host, int(port)), timeout=60, source_address=(address, 0))
        threading.Thread(target=self._talk, daemon=True).start()

    def close(self):
        self._socket.close()

    def _ask(self, number):
        piece = number % (self._torrent.num_pieces - 1)
        send(self._socket, REQUEST, struct.pack("!III", piece, 0, BLOCK))

    def _talk(self):
        try:
            self._socket.sendall(
                b"\x13BitTorrent protocol" + bytes((0, 0, 0, 0, 0, 0x10, 0, 0))
                + self._torrent.info_hash + os.urandom(20))
            receive(self._socket, 68)
            send(self._socket, EXTENDED, b"\0" + bencode({"m": {}}))
            send(self._socket, INTERESTED)
            while True:
                length, = struct.unpack("!I", receive(self._socket, 4))
                message = receive(self._socket, length)
                kind = message[0] if message else None
                if kind == EXTENDED and message[1] == 0:
                    self.handshakes.append(bdecode(message[2:]))
                elif kind == UNCHOKE:
                    for number in range(4):
                        self._ask(number)
                elif kind == PIECE:
                    self.blocks += 1
                    self._ask(3 + self.blocks)
        except (OSError, EOFError):
            pass  # closed by the test, which looks at what came before


def test(box):
    origin = box.demo()
    published = box.path("demo.torrent")
    box.run("publish", origin, "--format", "v1", "--output", published,
            env=box.user("publisher"))
    torrent = Torrent(read(published), origin)
    # So little that even on a busy machine, where an answer seems to come from
    # far away, each peer's share asks for less than what it was told at first.
    seeder = box.seed(origin, "--torrent", published, "--up", "400KB")
    askers = [Asker(torrent, f"127.0.0.{2 + i}", seeder.endpoint)
              for i in range(4)]
    try:
        # The first seconds are faster: the limit lets go what it saved up.
        wait_until(lambda: all(asker.handshakes and
                               asker.handshakes[-1][b"reqq"] < AT_FIRST
                               for asker in askers), "each is told less")
        for asker in askers:
            first, *later = asker.handshakes
            equal(first[b"reqq"], AT_FIRST, "requests at first")
            for again in later:
                check(LEAST <= again[b"reqq"] <= MOST, f"told {again}")
                # What is left out would be taken as gone: libtorrent asks
                # nobody for metadata who last told no size of it.
                equal({**again, b"reqq": AT_FIRST}, first, "all the rest")
            check(b"ut_metadata" in first[b"m"], f"extensions {first}")
            equal(first[b"metadata_size"], len(torrent.info_bytes), "metadata")
    finally:
        for asker in askers:
            asker.close()
    # Alone, whoever is left may ask for as much as it likes.
    alone = Asker(torrent, "127.0.0.9", seeder.endpoint)
    wait_until(lambda: alone.handshakes and
               alone.handshakes[-1][b"reqq"] == MOST, "no limit alone")
    alone.close()


main(test)
