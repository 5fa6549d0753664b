#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to mend one byte of a large file, in bytes that are fetched.

    tests/bench/repair.py LODESTONE_BINARY [--gib 16] [--piece 16MiB]
                          [--folder DIR]

A file of that size is published and seeded; in a copy one byte in the middle
is wrong. `verify --repair` mends it three times: from a peer through a relay
that counts all bytes in both directions (protocol, extensions and resent
blocks included), from a web seed that counts what it sends, and with the byte
right, from nobody. The copy is compared with the original at the end.

The file has 4 KiB of its own at the head of each MiB and holes between, so
that it needs no room; pieces differ from each other. Works in a temporary
folder that it removes.
"""
import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "scripts"))
from hostile_web import HostileWeb  # noqa: E402

MIB = 1 << 20


def make_file(path, size):
    with open(path, "wb") as file:
        for number in range(size // MIB):
            file.seek(number * MIB)
            file.write(hashlib.shake_256(b"%d" % number).digest(4096))
        file.truncate(size)


class Relay:
    """Carries connections to a peer and counts the bytes each way."""

    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.down = self.up = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(self.target)
            for source, sink, name in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._carry, daemon=True,
                                 args=(source, sink, name)).start()

    def _carry(self, source, sink, name):
        try:
            while part := source.recv(1 << 16):
                setattr(self, name, getattr(self, name) + len(part))
                sink.sendall(part)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def user(folder, name):
    env = dict(os.environ, LODESTONE_NO_FALLBACK_TRACKERS="1")
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
                     "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        env[variable] = os.path.join(folder, name, variable)
        os.makedirs(env[variable])
    return env


def events(argv, env, codes=(0,)):
    started = time.monotonic()
    run = subprocess.run([*argv, "--json"], env=env, stdout=subprocess.PIPE,
                         check=False)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode not in codes:
        raise SystemExit(f"{argv}: exit code {run.returncode}: {lines[-1:]}")
    return lines, time.monotonic() - started


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("lodestone")
    parser.add_argument("--gib", type=float, default=16)
    parser.add_argument("--piece", default="16MiB")
    parser.add_argument("--folder", help="where to work")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="lodestone-repair-", dir=args.folder)
    seeder = None
    try:
        origin = os.path.join(folder, "origin", "model.bin")
        os.makedirs(os.path.dirname(origin))
        size = int(args.gib * 1024) * MIB
        make_file(origin, size)
        publisher = user(folder, "publisher")
        torrent = os.path.join(folder, "model.torrent")
        lines, took = events([args.lodestone, "publish", origin, "--format",
                              "v1", "--piece-size", args.piece, "--output",
                              torrent], publisher)
        piece = lines[-1]["summary"]["piece_length"]
        print(f"published {size} bytes in pieces of {piece}: {took:.1f} s")
        seeder = subprocess.Popen(
            [args.lodestone, "seed", origin, "--port", "0", "--listen",
             "127.0.0.1", "--allow-local", "--no-dht", "--no-lsd", "--json"],
            env=publisher, stdout=subprocess.PIPE)
        endpoint = None
        for line in seeder.stdout:
            event = json.loads(line)
            if event["type"] == "listen":
                endpoint = event["endpoint"]
                break
        threading.Thread(target=seeder.stdout.read, daemon=True).start()
        relay = Relay(endpoint)

        copy = os.path.join(folder, "copy", "model.bin")
        os.makedirs(os.path.dirname(copy))
        subprocess.run(["cp", "--sparse=always", origin, copy], check=True)
        owner = user(folder, "owner")
        base = [args.lodestone, "verify", copy, "--against", torrent,
                "--level", "pieces", "--repair", "--port", "0", "--listen",
                "127.0.0.1", "--allow-local", "--no-dht", "--no-lsd",
                "--no-utp"]
        web = HostileWeb(os.path.dirname(origin))
        for name, source, place in (
                ("peer", ["--peer", relay.endpoint], size // 2),
                ("web seed", ["--web-seed", web.url("good")], size // 2),
                ("nobody", [], None)):
            if place is not None:
                flip(copy, place)
            lines, took = events(base + source, owner)
            summary = lines[-1]["summary"]
            wire = {"peer": relay.down, "web seed": web.sent["good"]}
            print(f"from {name}: {summary.get('repaired_pieces', 0)} pieces "
                  f"mended, {summary.get('downloaded_bytes', 0)} bytes fetched"
                  + (f", {wire[name]} bytes on the wire towards us"
                     if name in wire else "")
                  + (f", {relay.up} from us" if name == "peer" else "")
                  + f": {took:.1f} s")
            expected = piece if place is not None else 0
            if summary.get("downloaded_bytes", 0) != expected:
                raise SystemExit(f"expected {expected} bytes")
        subprocess.run(["cmp", origin, copy], check=True)
        print("the copy is the original, byte for byte")
    finally:
        if seeder is not None:
            seeder.terminate()
            seeder.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
