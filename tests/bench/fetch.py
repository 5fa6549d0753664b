#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One seeder, one leecher, loopback: Lodestone against other clients, in turn.

    tests/bench/fetch.py LODESTONE_BINARY [--lt-fetch BINARY] [--mib 4096]
                         [--rounds 5] [--only lodestone,aria2,...] [--utp]

The seeder is `lodestone seed`; the torrent is v1, four files of random bytes.
Each client runs once a round, the order turns by one from round to round, and
what it wrote is compared with the payload and deleted. A line per client:
medians of whole-process wall seconds and processor seconds, the highest peak
memory, and the ratios of the medians to Lodestone's. Transmission and
libtorrent (the simplest client on it, tests/bench/lt_fetch.cc) have their
default settings, but for uTP, which costs them most of their speed here and
is left on with --utp only. Needs root: it runs in a
network namespace of its own, whose address other clients do not refuse as
they refuse 127.0.0.1. Works in a temporary folder that it removes.
"""
import argparse
import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ADDRESS = "198.18.0.1"  # of the range for benchmarks (RFC 2544)
TRACKER_PORT = "6969"
NUM_FILES = 4
_INSIDE = "LODESTONE_BENCH_NAMESPACE"


class Measured:
    def __init__(self):
        self.seconds = []
        self.cpu = []
        self.peak_mib = 0

    def add(self, seconds, usage):
        self.seconds.append(seconds)
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.peak_mib = max(self.peak_mib, usage.ru_maxrss / 1024)


def quiet(command, **options):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **options)


def ended(process):
    """Waits for it; its exit code and what it used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


class Bench:
    def __init__(self, binary, lt_fetch, utp, top):
        self.utp = utp
        self.binary = binary
        self.lt_fetch = lt_fetch
        self.top = top
        self.payload = os.path.join(top, "payload")
        self.torrent = os.path.join(top, "payload.torrent")
        self.env = {"PATH": os.environ["PATH"], "HOME": top,
                    "LC_ALL": "C.UTF-8", "LODESTONE_NO_FALLBACK_TRACKERS": "1"}
        self.processes = []

    def make_payload(self, mib):
        os.mkdir(self.payload)
        for index in range(NUM_FILES):
            path = os.path.join(self.payload, f"weights.{index}")
            with open(path, "wb", buffering=0) as file:
                for _ in range(mib // NUM_FILES):
                    file.write(os.urandom(1 << 20))

    def start_seeder(self):
        announce = f"http://{ADDRESS}:{TRACKER_PORT}/announce"
        subprocess.run([self.binary, "publish", self.payload, "-o",
                        self.torrent, "--format", "v1", "--tracker", announce,
                        "--quiet"],
                       check=True, env=self.env, stdout=subprocess.DEVNULL)
        self._until_listening(["tracker", "--listen", ADDRESS, "--port",
                               TRACKER_PORT, "--json"])
        self.peer = self._until_listening(
            ["seed", self.payload, "--torrent", self.torrent, "--listen",
             ADDRESS, "--port", "0", "--no-dht", "--no-lsd", "--allow-local",
             "--json"])

    def _until_listening(self, arguments):
        process = subprocess.Popen([self.binary, *arguments], env=self.env,
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] != "listen":
                continue
            # Or its reports would fill the pipe and it would wait.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return event["endpoint"]
        raise SystemExit(f"lodestone {arguments[0]} did not start")

    def close(self):
        for process in self.processes:
            process.terminate()
            process.wait()

    def run(self, client, measured):
        out = tempfile.mkdtemp(dir=self.top)
        try:
            start = time.monotonic()
            usage, folder = getattr(self, client)(out)
            measured.add(time.monotonic() - start, usage)
            names = sorted(os.listdir(self.payload))
            _, mismatch, errors = filecmp.cmpfiles(
                self.payload, folder, names, shallow=False)
            if mismatch or errors:
                raise SystemExit(f"{client}: not what was published")
        finally:
            shutil.rmtree(out)

    def _to_end(self, command, env=None):
        code, usage = ended(quiet(command, env=env))
        if code != 0:
            raise SystemExit(f"{command[0]}: exit code {code}")
        return usage

    def lodestone(self, out):
        usage = self._to_end(
            [self.binary, "get", self.torrent, "--output", out, "--raw",
             "--peer", self.peer, "--listen", ADDRESS, "--no-dht", "--no-lsd"],
            env={**self.env, "XDG_DATA_HOME": out + "/data"})
        return usage, os.path.join(out, "payload")

    def aria2(self, out):
        usage = self._to_end(
            ["aria2c", "--no-conf", "--dir", out, "--seed-time=0",
             "--enable-dht=false", "--bt-enable-lpd=false",
             "--file-allocation=none", "--quiet", self.torrent], env=self.env)
        return usage, os.path.join(out, "payload")

    def libtorrent(self, out):
        address, port = self.peer.rsplit(":", 1)
        usage = self._to_end(
            [self.lt_fetch, self.torrent, out, address, port,
             *([] if self.utp else ["--tcp"])])
        return usage, os.path.join(out, "payload")

    def transmission(self, out):
        config = os.path.join(out, "config")
        os.mkdir(config)
        done = os.path.join(out, "done.sh")
        pipe = os.path.join(out, "done")
        os.mkfifo(pipe)
        with open(done, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\necho done > {pipe}\n")
        os.chmod(done, 0o755)
        settings = {
            "bind-address-ipv4": ADDRESS, "port-forwarding-enabled": False,
            "dht-enabled": False, "lpd-enabled": False, "rpc-enabled": False,
            "utp-enabled": self.utp,
            "download-dir": out, "watch-dir": config,
            "watch-dir-enabled": True, "script-torrent-done-enabled": True,
            "script-torrent-done-filename": done,
        }
        with open(os.path.join(config, "settings.json"), "w",
                  encoding="ascii") as file:
            json.dump(settings, file)
        shutil.copy(self.torrent, config)
        process = quiet(["transmission-daemon", "--foreground", "--config-dir",
                         config], env=self.env)
        with open(pipe, encoding="ascii") as file:
            file.read()
        # Its good-byes to trackers are not what is measured.
        process.kill()
        _, usage = ended(process)
        return usage, os.path.join(out, "payload")


def enter_namespace():
    if os.environ.get(_INSIDE):
        subprocess.run(["ip", "address", "add", ADDRESS + "/32", "dev", "lo"],
                       check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ[_INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])


def report(results):
    ours = results["lodestone"]
    print(f"{'client':<14} {'seconds':>8} {'cpu s':>7} {'peak MiB':>9} "
          f"{'seconds/ours':>13} {'cpu/ours':>9}")
    for client, measured in results.items():
        seconds = statistics.median(measured.seconds)
        cpu = statistics.median(measured.cpu)
        print(f"{client:<14} {seconds:8.2f} {cpu:7.2f} "
              f"{measured.peak_mib:9.0f} "
              f"{seconds / statistics.median(ours.seconds):13.2f} "
              f"{cpu / statistics.median(ours.cpu):9.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--lt-fetch")
    parser.add_argument("--utp", action="store_true")
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only",
                        default="lodestone,aria2,transmission,libtorrent")
    arguments = parser.parse_args()
    enter_namespace()
    clients = arguments.only.split(",")
    if arguments.lt_fetch is None and "libtorrent" in clients:
        clients.remove("libtorrent")
    top = tempfile.mkdtemp(prefix="lodestone-bench-")
    lt_fetch = arguments.lt_fetch and os.path.abspath(arguments.lt_fetch)
    bench = Bench(os.path.abspath(arguments.binary), lt_fetch, arguments.utp, top)
    results = {client: Measured() for client in clients}
    try:
        bench.make_payload(arguments.mib)
        bench.start_seeder()
        print(f"{arguments.mib} MiB in {NUM_FILES} files, {os.cpu_count()} "
              f"processors, {arguments.rounds} rounds in turn", flush=True)
        for index in range(arguments.rounds):
            turn = index % len(clients)
            for client in clients[turn:] + clients[:turn]:
                bench.run(client, results[client])
                print(f"  {client} {results[client].seconds[-1]:.2f} s, "
                      f"{results[client].cpu[-1]:.2f} cpu s", flush=True)
        report(results)
    finally:
        bench.close()
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
