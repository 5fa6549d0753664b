# SPDX-License-Identifier: Apache-2.0
"""A SOCKS5 proxy (RFC 1928) without login that also relays UDP, in threads of
the test. CONNECT and UDP ASSOCIATE; IPv4 addresses and names."""
import select
import socket
import struct
import threading

from harness import receive


def _address(kind, read, names):
    """Host and port behind an address type; names by the given table."""
    if kind == 1:
        host = socket.inet_ntoa(read(4))
    elif kind == 3:
        name = read(read(1)[0]).decode()
        host = names.get(name, name)
        socket.inet_aton(host)  # no look-up of others
    else:
        raise ValueError("address type")
    return host, struct.unpack("!H", read(2))[0]


class SocksRelay:
    """Listens at (address, port); datagrams pass through (address, udp_port),
    from one client at a time."""

    def __init__(self, address, port, udp_port, names):
        self._names = names
        self._reply = (b"\5\0\0\1" + socket.inet_aton(address) +
                       struct.pack("!H", udp_port))
        self.connects = []
        self.datagrams = []
        self._client = None
        listener = socket.create_server((address, port))
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inner.bind((address, udp_port))
        self._outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outer.bind((address, 0))
        for target in (self._inward, self._outward):
            threading.Thread(target=target, daemon=True).start()
        threading.Thread(target=self._accept, args=(listener,),
                         daemon=True).start()

    def _accept(self, listener):
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=self._serve, args=(peer,),
                             daemon=True).start()

    def _serve(self, peer):
        with peer:
            try:
                self._talk(peer)
            except (OSError, EOFError, ValueError):
                pass

    def _talk(self, peer):
        methods = receive(peer, 2)[1]
        receive(peer, methods)
        peer.sendall(b"\5\0")
        _, command, _, kind = receive(peer, 4)
        target = _address(kind, lambda n: receive(peer, n), self._names)
        if command == 3:
            peer.sendall(self._reply)
            peer.recv(1)  # it lasts as long as this connection
            return
        self.connects.append(target)
        with socket.create_connection(target, timeout=10) as far:
            far.settimeout(None)
            peer.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            while True:
                ready, _, _ = select.select([peer, far], [], [])
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    (far if side is peer else peer).sendall(data)

    def _inward(self):
        while True:
            data, self._client = self._inner.recvfrom(65536)
            rest = memoryview(data)[4:]

            def read(count):
                nonlocal rest
                part, rest = bytes(rest[:count]), rest[count:]
                return part
            try:
                target = _address(data[3], read, self._names)
                self.datagrams.append(target)
                self._outer.sendto(rest, target)
            except (OSError, ValueError, IndexError):
                continue

    def _outward(self):
        while True:
            try:
                data, source = self._outer.recvfrom(65536)
            except OSError:
                continue  # an ICMP error for a datagram before
            if self._client is not None:
                self._inner.sendto(
                    b"\0\0\0\1" + socket.inet_aton(source[0]) +
                    struct.pack("!H", source[1]) + data, self._client)
