# SPDX-License-Identifier: Apache-2.0
"""A BitTorrent peer (BEP 3, 9, 10) that has everything and lies in one chosen
way. It waits for connections on an address of its own, so that a ban of it is
no ban of others."""
import hashlib
import os
import socket
import struct
import threading

from harness import receive
from hostile import bdecode, bdecode_prefix, bencode

BLOCK = 16384


class Torrent:
    """A .torrent file and its payload as one string of bytes, pads included."""

    def __init__(self, torrent_bytes, folder):
        self.info = bdecode(torrent_bytes)[b"info"]
        # Canonical on both sides, so that this is the text it came from.
        self.info_bytes = bencode(self.info)
        self.info_hash = hashlib.sha1(self.info_bytes).digest()
        self.magnet = "magnet:?xt=urn:btih:" + self.info_hash.hex()
        self.name = self.info[b"name"].decode()
        parts = []
        for file in self.info[b"files"]:
            if b"p" in file.get(b"attr", b""):
                parts.append(bytes(file[b"length"]))
                continue
            path = os.path.join(folder, *(part.decode()
                                          for part in file[b"path"]))
            with open(path, "rb") as source:
                parts.append(source.read())
        self.payload = b"".join(parts)
        self.piece_length = self.info[b"piece length"]
        self.num_pieces = len(self.info[b"pieces"]) // 20


def send(peer, kind, body=b""):
    peer.sendall(struct.pack(">IB", 1 + len(body), kind) + body)


def wrong(block):
    return bytes(byte ^ 0x55 for byte in block[:64]) + block[64:]


# Each lie gets index, begin and the true block; what it returns is sent.
BLOCK_LIES = {
    "every-block": lambda index, begin, block: wrong(block),
    "one-block-per-piece":
        lambda index, begin, block: block if begin else wrong(block),
    "some-pieces":
        lambda index, begin, block: block if index % 3 else wrong(block),
}
METADATA_LIES = ("metadata-size", "metadata-junk", "metadata-never",
                 "metadata-huge")
LIES = (*BLOCK_LIES, "stall", "cut", "oversize", "wrong-index",
        "wrong-length", "bad-extended", "v2-upgrade", "honest",
        *METADATA_LIES)

_EXTENDED_JUNK = (
    b"", b"d", b"i-", b"l" * 10000, b"99999999999999999999:x",
    b"d1:md11:ut_metadatai-1eee", b"d1:md11:ut_metadatai99999999999eee",
    b"d13:metadata_sizei-5ee", b"d1:ml11:ut_metadatai3eee",
    b"d6:yourip1:x1:v1000:" + b"\x1b[31m" * 200 + b"e",
    b"d4:reqqi-1e6:uploadi0ee", b"d1:pi99999ee",
)
_METADATA_JUNK = (
    b"d8:msg_typei1e5:piecei-1ee", b"d8:msg_typei1e5:piecei2147483647e"
    b"10:total_sizei-1eexx", b"d8:msg_typei77e5:piecei0ee",
    b"d8:msg_type1:xe", b"d5:piecei0ee", b"junk",
)


class LyingPeer:
    def __init__(self, torrent, lie, address="127.0.0.2"):
        assert lie in LIES, lie
        self.torrent = torrent
        self.lie = lie
        self.connections = 0
        self.requests = 0
        self.blocks = 0  # sent
        self.lies = 0    # of those, wrong ones
        self.metadata_requests = 0
        self.metadata_parts = set()  # asked for
        self._socket = socket.socket()
        self._socket.bind((address, 0))
        self._socket.listen(16)
        self.endpoint = "%s:%d" % self._socket.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # Closing alone leaves the thread that waits in accept() one more peer.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,),
                             daemon=True).start()

    def _serve(self, peer):
        try:
            with peer:
                self._talk(peer)
        except (OSError, EOFError, ValueError, IndexError, struct.error):
            pass  # it had enough of us

    def _talk(self, peer):
        hello = receive(peer, 68)
        if hello[1:20] != b"BitTorrent protocol":
            return
        reserved = bytearray(8)
        reserved[5] = 0x10  # BEP 10
        if self.lie == "v2-upgrade":
            reserved[7] |= 0x10  # BEP 52
        peer.sendall(b"\x13BitTorrent protocol" + bytes(reserved) +
                     self.torrent.info_hash + b"-XX0001-" + os.urandom(12))
        size = len(self.torrent.info_bytes)
        if self.lie == "metadata-size":
            size -= 7
        elif self.lie == "metadata-huge":
            size = 30_000_000
        send(peer, 20, b"\0" + bencode(
            {"m": {"ut_metadata": 3}, "metadata_size": size, "reqq": 500}))
        if self.lie == "oversize":
            peer.sendall(struct.pack(">IB", 0x7fffffff, 7) + bytes(1 << 20))
        elif self.lie == "bad-extended":
            for junk in _EXTENDED_JUNK:
                send(peer, 20, b"\0" + junk)
            for junk in _METADATA_JUNK:
                send(peer, 20, b"\2" + junk)
        bits = bytearray(b"\xff" * ((self.torrent.num_pieces + 7) // 8))
        if self.torrent.num_pieces % 8:
            bits[-1] = 0xff << 8 - self.torrent.num_pieces % 8 & 0xff
        send(peer, 5, bytes(bits))
        send(peer, 1)
        metadata_id = 0
        while True:
            length, = struct.unpack(">I", receive(peer, 4))
            message = receive(peer, length)
            if not message:
                continue
            if message[0] == 20 and message[1] == 0:
                theirs = bdecode_prefix(message, 2)[0]
                metadata_id = theirs.get(b"m", {}).get(b"ut_metadata", 0)
            elif message[0] == 20 and message[1] == 3:
                self._metadata(peer, metadata_id, bdecode_prefix(message, 2)[0])
            elif message[0] == 6:
                self._block(peer, *struct.unpack(">III", message[1:13]))

    def _metadata(self, peer, metadata_id, asked):
        if asked.get(b"msg_type") != 0 or not metadata_id:
            return
        self.metadata_requests += 1
        self.metadata_parts.add(asked[b"piece"])
        if self.lie == "metadata-never":
            return
        index = asked[b"piece"]
        info = self.torrent.info_bytes
        if self.lie in ("metadata-junk", "metadata-size"):
            info = os.urandom(len(info) - 7 * (self.lie == "metadata-size"))
        elif self.lie == "metadata-huge":
            info = bytes(30_000_000)
        part = info[index * BLOCK:(index + 1) * BLOCK]
        send(peer, 20, bytes([metadata_id]) + bencode(
            {"msg_type": 1, "piece": index, "total_size": len(info)}) + part)

    def _block(self, peer, index, begin, length):
        self.requests += 1
        if self.lie == "stall":
            return
        start = index * self.torrent.piece_length + begin
        true = self.torrent.payload[start:start + length]
        block = BLOCK_LIES.get(self.lie, lambda i, b, data: data)(
            index, begin, true)
        if self.lie == "cut":
            peer.sendall(struct.pack(">IBII", 9 + len(block), 7, index, begin)
                         + block[:len(block) // 2])
            raise EOFError
        if self.lie == "wrong-index":
            index = 0xfffffff0
        elif self.lie == "wrong-length":
            block += bytes(7)
        self.blocks += 1
        self.lies += block != true or self.lie == "wrong-index"
        send(peer, 7, struct.pack(">II", index, begin) + block)
