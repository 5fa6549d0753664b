#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast one file gets to many hosts: a lab of shaped links.

    tests/bench/swarm_lab.py LODESTONE [--leechers 1,4,8,16] [--mib 256]
        [--mbit 100] [--rounds 1] [--http] [--magnet]

Host 0 seeds and runs opentracker; N hosts `get --raw --seed` at the
same moment. Time: from there until the last has every byte, with the start of
the processes and with the .torrent at hand (--magnet: its metadata comes from
the swarm). Beside it the lower bound of any protocol,
max(F/u_seed, F/d_min, N*F/sum of u), and with --http N downloads by curl from
one HTTP server on host 0 over the same links. Needs root.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../scripts"))
import hostile  # noqa: E402
import lab as lab_module  # noqa: E402
from harness import Skip  # noqa: E402

TRACKER_PORT = 6969


class Client:
    """A lodestone on a host; keeps when its events came."""

    def __init__(self, lab, host, top, binary, *args):
        home = os.path.join(top, f"home{host}")
        self.events = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [*lab.on(host), binary, *args, "--json"], text=True,
            stdout=subprocess.PIPE, cwd=top,
            env={"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8",
                 "XDG_DATA_HOME": os.path.join(home, "data")})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self.changed:
                self.events.append((time.monotonic(), event))
                self.changed.notify_all()
        with self.changed:
            self.events.append((time.monotonic(), {"type": "end"}))
            self.changed.notify_all()

    def wait(self, patience, **fields):
        """When the first event with those fields came."""
        deadline = time.monotonic() + patience
        seen = 0
        with self.changed:
            while True:
                for at, event in self.events[seen:]:
                    if all(event.get(k) == v for k, v in fields.items()):
                        return at, event
                    if event["type"] in ("end", "error"):
                        sys.exit(f"no {fields}: {event}")
                seen = len(self.events)
                if not self.changed.wait(deadline - time.monotonic()):
                    sys.exit(f"no {fields} within {patience:.0f} s")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def bound(size, leechers, mbit):
    rate = mbit * 1e6 / 8
    return max(size / rate, leechers * size / ((leechers + 1) * rate))


def swarm(lab, top, arguments, torrent, leechers, patience):
    binary = os.path.abspath(arguments.binary)
    announce = f"http://{lab.address(0)}:{TRACKER_PORT}/announce"
    tracker = subprocess.Popen(
        [*lab.on(0), "opentracker", "-i", lab.address(0), "-p",
         str(TRACKER_PORT), "-d", top, "-u", "nobody", "-w", "list"])
    common = ("--no-dht", "--no-lsd", "--allow-local", "--tracker", announce,
              "--port", "6881")
    seed = Client(lab, 0, top, binary, "seed", os.path.join(top, "payload"),
                  "--torrent", torrent, "--listen", lab.address(0), *common)
    _, plan = seed.wait(60, type="plan")
    seed.wait(60, type="listen")
    source = plan["magnet"] if arguments.magnet else torrent
    sent = [lab.uploaded(host) for host in range(leechers + 1)]
    started = time.monotonic()
    clients = [
        Client(lab, host, top, binary, "get", source, "--raw", "--seed",
               "--output", os.path.join(top, f"out{host}"), "--listen",
               lab.address(host), *common)
        for host in range(1, leechers + 1)]
    times = [client.wait(patience, type="stage", stage="download",
                         state="end")[0] - started for client in clients]
    sent = [lab.uploaded(host) - before for host, before in enumerate(sent)]
    for client in (*clients, seed):
        client.stop()
    tracker.terminate()
    tracker.wait()
    for host in range(1, leechers + 1):
        shutil.rmtree(os.path.join(top, f"out{host}"))
        shutil.rmtree(os.path.join(top, f"home{host}"),
                      ignore_errors=True)
    return times, sent


def http_downloads(lab, top, leechers, patience):
    server = subprocess.Popen(
        [*lab.on(0), sys.executable, "-m", "http.server", "8000", "--bind",
         lab.address(0), "--directory", os.path.join(top, "payload")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://{lab.address(0)}:8000/weights.bin"
    try:
        subprocess.run([*lab.on(1), "curl", "-sfI", "--retry", "20",
                        "--retry-connrefused", "--retry-delay", "1", url],
                       check=True, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        clients = [subprocess.Popen([*lab.on(host), "curl", "-sf", "-o",
                                     "/dev/null", url])
                   for host in range(1, leechers + 1)]
        for client in clients:
            if client.wait(patience) != 0:
                sys.exit("a download by HTTP failed")
        return time.monotonic() - started
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--leechers", default="1,4,8,16")
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--mbit", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--magnet", action="store_true")
    parser.add_argument("--piece-size")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    counts = [int(n) for n in arguments.leechers.split(",")]
    size = arguments.mib << 20
    lab = lab_module.Lab(max(counts) + 1, arguments.mbit)
    top = tempfile.mkdtemp(prefix="lodestone-lab-")
    try:
        os.mkdir(os.path.join(top, "payload"))
        with open(os.path.join(top, "payload/weights.bin"), "wb") as file:
            for _ in range(arguments.mib):
                file.write(os.urandom(1 << 20))
        torrent = os.path.join(top, "payload.torrent")
        piece = (["--piece-size", arguments.piece_size]
                 if arguments.piece_size else [])
        subprocess.run([binary, "publish", os.path.join(top, "payload"), "-o",
                        torrent, "--quiet", *piece], check=True,
                       stdout=subprocess.DEVNULL,
                       env={**os.environ, "HOME": top,
                            "XDG_DATA_HOME": os.path.join(top, "data")})
        with open(torrent, "rb") as file, \
                open(os.path.join(top, "list"), "w", encoding="ascii") as out:
            out.write(hostile.info_hash(file.read()) + "\n")
        os.chmod(top, 0o755)  # opentracker leaves root behind
        print(f"{arguments.mib} MiB, links of {arguments.mbit} Mbit/s, "
              f"{os.cpu_count()} processors, "
              f"{'magnet' if arguments.magnet else '.torrent'}", flush=True)
        for leechers in counts:
            least = bound(size, leechers, arguments.mbit)
            patience = 60 + least * (leechers + 4)
            last, seed_share = [], []
            for _ in range(arguments.rounds):
                times, sent = swarm(lab, top, arguments, torrent, leechers,
                                    patience)
                last.append(max(times))
                seed_share.append(sent[0] / size)
            total = statistics.median(last)
            print(f"{leechers:3} leechers: last after {total:6.1f} s, bound "
                  f"{least:5.1f} s, ratio {total / least:.2f}; the seed sent "
                  f"{statistics.median(seed_share):.2f} copies; first after "
                  f"{min(times):.1f} s", flush=True)
            if arguments.http:
                total = http_downloads(lab, top, leechers, patience * 2)
                print(f"    by HTTP: {total:6.1f} s, "
                      f"{total / least:.2f} x the bound", flush=True)
    finally:
        shutil.rmtree(top)


try:
    lab_module.enter()
except Skip as reason:
    sys.exit(str(reason))
main()
