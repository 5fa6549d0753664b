# SPDX-License-Identifier: Apache-2.0
"""Hosts of a lab: network namespaces joined by a bridge, each with a link of a
given rate in both directions. All inside namespaces of this process, so that
nothing is seen outside and nothing stays."""
import os
import subprocess
import sys

import harness
from harness import Skip, needs, needs_root

INSIDE = "LODESTONE_LAB_NAMESPACE"


def enter():
    """Runs this script again where network and mounts are its own."""
    if os.environ.get(INSIDE):
        return
    needs_root()
    needs("unshare", "ip", "tc")
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c",
         "mkdir -p /run/netns && mount -t tmpfs lab /run/netns && "
         "ip netns add probe && ip link add name bridge0 type bridge && "
         "ip link add name veth0 type veth peer name veth1 && "
         "tc qdisc add dev veth0 root tbf rate 1mbit burst 32k latency 50ms"],
        stderr=subprocess.PIPE)
    if probe.returncode != 0:
        raise Skip("no network namespaces with shaped links here")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, "-B",
                          *sys.argv])


def main(test):
    """`harness.main` in there."""
    try:
        enter()
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(harness.SKIPPED)
    harness.main(test)


def loopback(*addresses):
    """Brings the loopback link up, with more addresses."""
    _ip("link", "set", "lo", "up")
    for address in addresses:
        _ip("address", "add", f"{address}/32", "dev", "lo")


def _ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True)


class Lab:
    """`Lab(9, 100)`: nine hosts with links of 100 Mbit/s; None: unshaped."""

    def __init__(self, hosts, mbit=None):
        subprocess.run(["mkdir", "-p", "/run/netns"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "lab", "/run/netns"],
                       check=True)
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "name", "bridge0", "type", "bridge")
        _ip("link", "set", "bridge0", "up")
        # From here every host can be reached.
        _ip("address", "add", "198.18.0.254/24", "dev", "bridge0")
        self.hosts = hosts
        self.mbit = mbit
        for host in range(hosts):
            self._add(host)

    def _add(self, host):
        name, outer = f"host{host}", f"link{host}"
        _ip("netns", "add", name)
        _ip("link", "add", "name", outer, "type", "veth", "peer", "name", "eth0",
            "netns", name)
        _ip("link", "set", outer, "master", "bridge0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev",
            "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        if self.mbit is None:
            return
        # What leaves the host is its upload; what the bridge sends to it, its
        # download.
        shape = ["root", "tbf", "rate", f"{self.mbit}mbit", "burst", "64k",
                 "latency", "30ms"]
        subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", "eth0",
                        *shape], check=True)
        subprocess.run(["tc", "qdisc", "add", "dev", outer, *shape],
                       check=True)

    def address(self, host):
        # Of the range for benchmarks (RFC 2544).
        return f"198.18.0.{host + 1}"

    def on(self, host):
        """What to put before a command so that it runs on that host."""
        return ("ip", "netns", "exec", f"host{host}")

    def uploaded(self, host):
        """Bytes that left the host, all headers included."""
        command = [*self.on(host), "cat",
                   "/sys/class/net/eth0/statistics/tx_bytes"]
        return int(subprocess.run(command, check=True,
                                  stdout=subprocess.PIPE).stdout)
