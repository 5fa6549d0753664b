# SPDX-License-Identifier: Apache-2.0
"""Networks of a test's own. The script runs in a network namespace (the
"world"); a Host is another one, joined to it by a cable (a veth pair) whose
every packet can be recorded. Nothing reaches the machine's real network."""
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading

import harness
from harness import Skip, check, needs, needs_root, wait_until

_INSIDE = "LODESTONE_SCRIPT_NAMESPACE"
# Of the range for benchmarks (RFC 2544), which no machine here has.
WORLD = "198.18.0.1"
_CLONE_NEWNET = 0x40000000


def enter_world(*programs):
    """Runs this script again where the network is its own."""
    if os.environ.get(_INSIDE):
        run("ip link set lo up")
        return
    needs_root()
    needs("unshare", "nsenter", "ip", *programs)
    probe = subprocess.run(["unshare", "--net", "ip", "link", "add", "va",
                            "type", "veth", "peer", "name", "vb"],
                           stderr=subprocess.PIPE)
    if probe.returncode != 0:
        raise Skip("no network namespaces here")
    os.environ[_INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])


def main(test, *programs):
    try:
        enter_world(*programs)
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(harness.SKIPPED)
    harness.main(test)


def run(command, wrap=()):
    done = subprocess.run([*wrap, *command.split()], stderr=subprocess.PIPE)
    check(done.returncode == 0, f"{command}: {done.stderr.decode()}")


def _bytes(address):
    return socket.inet_aton(address)


class Host:
    """A machine at the end of a cable. `wrap` goes before a command that is
    to run there."""

    def __init__(self, box, name, address, resolver=None, ipv6=False):
        self.name = name
        self.address = address
        self.device = name + "0"
        self._holder = box.spawn(["unshare", "--net", "sh", "-c",
                                  "echo ready; exec sleep 100000"])
        check(self._holder.line() == "ready\n", "no namespace")
        self._path = f"/proc/{self._holder.pid}/ns/net"
        run(f"ip link add {name}w type veth peer name {self.device} netns "
            f"{self._holder.pid}")
        self.wrap = ["nsenter", "--net=" + self._path]
        self.here("ip link set lo up")
        if not ipv6:
            self._sysctl("disable_ipv6", 1)
        self._sysctl("router_solicitations", 0)
        self.here(f"ip address add {address}/16 dev {self.device}")
        run(f"ip link set {name}w up")
        self.here(f"ip link set {self.device} up")
        # A cable takes a moment: who listens before has no such interface.
        wait_until(self._is_up, f"{self.device} is up")
        if resolver is not None:
            # A file system of its own only where it asks for names.
            path = harness.write(box.path(name, "resolv.conf"),
                                 f"nameserver {resolver}\n"
                                 "options timeout:1 attempts:1\n")
            self.wrap = [*self.wrap, *resolving(path)]

    def here(self, command):
        run(command, self.wrap)

    def _is_up(self):
        shown = subprocess.run([*self.wrap, "ip", "-o", "link", "show", "dev",
                                self.device], stdout=subprocess.PIPE, text=True,
                               check=True)
        return "state UP" in shown.stdout

    def _sysctl(self, name, value):
        subprocess.run(
            [*self.wrap, "sh", "-c",
             f"echo {value} > /proc/sys/net/ipv6/conf/{self.device}/{name}"],
            check=True)

    def inside(self, action):
        """Calls `action` in this thread with the host's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(self._path, os.O_RDONLY)
        try:
            check(libc.setns(there, _CLONE_NEWNET) == 0, "setns")
            return action()
        finally:
            check(libc.setns(back, _CLONE_NEWNET) == 0, "setns back")
            os.close(back)
            os.close(there)

    def record(self):
        return Recording(self)

    def route_all(self, gateway=WORLD):
        self.here(f"ip route add default via {gateway}")


def resolving(resolv_conf):
    """A command line prefix: names are asked for as that file says."""
    return ["unshare", "--mount", "sh", "-c",
            f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"', "sh"]


def bridge(hosts, addresses=(WORLD,)):
    """Puts the world's ends of the cables on one switch, where the world has
    those addresses."""
    # A plain switch: one that snoops drops multicast until it has heard who
    # wants it, and nobody asks here.
    run("ip link add br0 type bridge mcast_snooping 0")
    for address in addresses:
        run(f"ip address add {address}/16 dev br0")
    for host in hosts:
        run(f"ip link set {host.name}w master br0")
    run("ip link set br0 up")


class Packet:
    """What matters of one Ethernet frame."""

    def __init__(self, frame):
        self.frame = frame
        (self.ether_type,) = struct.unpack_from("!H", frame, 12)
        self.source = self.target = self.protocol = None
        self.source_port = self.target_port = None
        self.payload = b""
        body = frame[14:]
        if self.ether_type == 0x0800 and len(body) >= 20:
            self.protocol = body[9]
            self.source = socket.inet_ntoa(body[12:16])
            self.target = socket.inet_ntoa(body[16:20])
            self._transport(body[(body[0] & 15) * 4:])
        elif self.ether_type == 0x86dd and len(body) >= 40:
            self.protocol = body[6]
            self.source = socket.inet_ntop(socket.AF_INET6, body[8:24])
            self.target = socket.inet_ntop(socket.AF_INET6, body[24:40])
            self._transport(body[40:])

    def _transport(self, segment):
        self.payload = segment
        if self.protocol in (6, 17) and len(segment) >= 4:
            self.source_port, self.target_port = struct.unpack_from(
                "!HH", segment)

    @property
    def is_ip(self):
        return self.source is not None

    def between(self, address, port):
        """To or from that port of that address."""
        return ((self.source, self.source_port) == (address, port) or
                (self.target, self.target_port) == (address, port))

    def __str__(self):
        if not self.is_ip:
            return f"ether type {self.ether_type:#06x}"
        return (f"{self.source}:{self.source_port} > "
                f"{self.target}:{self.target_port} protocol {self.protocol}")


class Recording:
    """Every frame on a host's device, both ways, from now on."""

    def __init__(self, host):
        self._socket = host.inside(self._open)
        self._socket.bind((host.device, 3))
        self._socket.settimeout(0.1)
        self._frames = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @staticmethod
    def _open():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                             socket.htons(3))  # all protocols
        # SO_RCVBUFFORCE: beyond what is allowed to others.
        made.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)
        return made

    def _read(self):
        while True:
            try:
                self._frames.append(self._socket.recv(65536))
            except socket.timeout:
                if self._done.is_set():
                    return

    def packets(self):
        """So far."""
        return [Packet(frame) for frame in list(self._frames)]

    def stop(self):
        """Ends it, when what is on the wire has been read; none was lost."""
        self._done.set()
        self._thread.join(harness.PATIENCE)
        # PACKET_STATISTICS: seen, dropped.
        _, dropped = struct.unpack(
            "II", self._socket.getsockopt(263, 6, 8))
        self._socket.close()
        check(dropped == 0, f"{dropped} packets were not recorded")
        return self.packets()


class NameServer:
    """Answers every question for an IPv4 address of a known name; remembers
    the names asked for."""

    def __init__(self, address, names):
        self._names = names
        self.asked = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, peer = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = ".".join(labels).lower()
        kind = struct.unpack_from("!H", query, at + 1)[0]
        self.asked.append(name)
        address = self._names.get(name)
        answers = b""
        if address is not None and kind == 1:
            answers = (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + _bytes(address))
        # 3: no such name.
        flags = 0x8180 if address is not None else 0x8183
        return (query[:2] +
                struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0) +
                query[12:at + 5] + answers)


def wait_serving(address, port):
    def connects():
        try:
            socket.create_connection((address, port), timeout=5).close()
            return True
        except OSError:
            return False
    wait_until(connects, f"{address}:{port} takes connections")
