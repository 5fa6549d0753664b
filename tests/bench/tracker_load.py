#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Announces a second: `lodestone tracker` beside opentracker, in turn.

    tests/bench/tracker_load.py LODESTONE [--peers 5000] [--seconds 3]
        [--rounds 5]

Each announce is a connection of its own, as clients make them. Peers are
ports of loopback, in one swarm; a few workers announce for them in turn, with
numwant 50. The load comes from this machine, too: figures are a comparison.
opentracker needs root, and its list of info-hashes.
"""
import argparse
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HASH = "aa" * 20
WORKERS = 2


def request(port):
    query = ("%" + "%".join(HASH[i:i + 2] for i in range(0, 40, 2)))
    return (f"GET /announce?info_hash={query}&peer_id=-XX0000-abcdefghijkl"
            f"&port={port}&uploaded=0&downloaded=0&left={port % 3}&compact=1"
            "&numwant=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ).encode()


def announce(address, data):
    with socket.create_connection(address, 10) as peer:
        peer.sendall(data)
        answer = b""
        while part := peer.recv(65536):
            answer += part
    if b"5:peers" not in answer:
        raise RuntimeError(f"no peers in {answer[:200]!r}")


def worker(address, ports, seconds, counted):
    requests = [request(port) for port in ports]
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        announce(address, requests[count % len(requests)])
        count += 1
    counted.put(count)


def rate(address, peers, seconds):
    for port in range(1024, 1024 + peers):
        announce(address, request(port))
    counted = multiprocessing.Queue()
    workers = [multiprocessing.Process(
        target=worker, args=(address, range(1024 + i, 1024 + peers, WORKERS),
                             seconds, counted)) for i in range(WORKERS)]
    started = time.monotonic()
    for process in workers:
        process.start()
    total = sum(counted.get(timeout=seconds + 60) for _ in workers)
    elapsed = time.monotonic() - started
    for process in workers:
        process.join()
    return total / elapsed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measured(command, port, cwd, peers, seconds):
    """Announces a second of a tracker that is started for it."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        address = ("127.0.0.1", port)
        deadline = time.monotonic() + 10
        while True:
            try:
                announce(address, request(1023))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
        return rate(address, peers, seconds)
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--peers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("opentracker wants root, to leave it behind")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        with open(os.path.join(top, "list"), "w", encoding="ascii") as file:
            file.write(HASH + "\n")
        for _ in range(arguments.rounds):
            port = free_port()
            ours.append(measured(
                [os.path.abspath(arguments.binary), "tracker", "--port",
                 str(port)], port, top, arguments.peers, arguments.seconds))
            port = free_port()
            theirs.append(measured(
                ["opentracker", "-i", "127.0.0.1", "-p", str(port), "-P",
                 str(port), "-d", top, "-u", "nobody", "-w", "list"],
                port, top, arguments.peers, arguments.seconds))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{arguments.peers} peers, {WORKERS} workers, {arguments.rounds} "
          f"alternating rounds, medians")
    print(f"lodestone tracker {a:.0f} announces/s   opentracker {b:.0f}   "
          f"ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
