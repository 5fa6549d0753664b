#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near the digests of whole files come to what the processors can do, and
to what people check files with, on this machine.

    tests/bench/digests.py LODESTONE_BINARY [--lt-recheck BINARY] [--gib 8]
                           [--rounds 5] [--only sha256,all,single]
                           [--data FOLDER]

sha256   `verify --level checksums` of 4 files against processors x sha256
all      md5, sha256 and v1 pieces of 4 files in one read against
         processors / (1/md5 + 1/sha256 + 1/sha1)
single   sha256, v2 root and v1 pieces of one file of half as much again: the
         sha256 is one chain, so the bound is that of one processor, or
         processors / (2/sha256 + 1/sha1), whichever is less

Beside them in the same rounds: sha256sum, md5sum and b3sum (if it is here; of
its own all processors), one process for each processor; "hf-like", hashlib's
sha256 of one file after the other in blocks of 10 MiB, as huggingface's tools
check what they fetched; and libtorrent's recheck, which is qBittorrent's.

Rates are medians of whole-process wall time; the files are in the page cache,
which is checked. A ratio over 1 is no mistake: two chains go side by side on
one processor, which `openssl speed` does not try.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import time

import rates

HF_BLOCK = 10 << 20


def hash_like_hf(paths):
    for path in paths:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(HF_BLOCK):
                digest.update(block)
        print(digest.hexdigest())


class Digests(rates.Bench):
    def side_by_side(self, command, paths):
        """Seconds of one process for each processor."""
        start = time.monotonic()
        shares = [paths[i::self.processors] for i in range(self.processors)]
        running = [subprocess.Popen([*command, *share],
                                    stdout=subprocess.DEVNULL)
                   for share in shares if share]
        for process in running:
            if process.wait() != 0:
                raise RuntimeError(f"{command[0]} failed")
        return time.monotonic() - start

    def rivals(self, paths, torrent):
        found = {
            "sha256sum": lambda: self.side_by_side(["sha256sum"], paths),
            "md5sum": lambda: self.side_by_side(["md5sum"], paths),
            "hf-like": lambda: rates.timed(
                [sys.executable, __file__, "--hash-like-hf", *paths],
                self.environment),
        }
        if shutil.which("b3sum"):
            found["b3sum"] = lambda: rates.timed(["b3sum", *paths],
                                                 dict(os.environ))
        else:
            print("  no b3sum here")
        if self.arguments.lt_recheck:
            found["libtorrent's recheck"] = lambda: self.libtorrent(torrent)
        return found

    def forget_torrents(self):
        """What was published must not be found by itself."""
        shutil.rmtree(os.path.join(self.top, ".local"), ignore_errors=True)

    def many_files(self, wanted):
        cores = self.processors
        folder, paths = self.payload("payload", 4)
        torrent = self.publish(folder, "v1")
        self.forget_torrents()
        sums = os.path.join(folder, "MD5SUMS")
        if "sha256" in wanted:
            if os.path.exists(sums):
                os.unlink(sums)
            print("sha256: of 4 files")
            self.rounds(paths, {"sha256": 1}, lambda r: cores * r["sha256"],
                        lambda: self.verify(folder, "--level", "checksums"),
                        self.rivals(paths, torrent))
        if "all" in wanted:
            print("all: md5, sha256 and v1 pieces of 4 files")
            names = [os.path.basename(path) for path in paths]
            listed = subprocess.run(["md5sum", *names], check=True, cwd=folder,
                                    stdout=subprocess.PIPE).stdout
            with open(sums, "wb") as file:
                file.write(listed)
            self.rounds(
                paths, {"md5": 1, "sha256": 1, "sha1": 1},
                lambda r: cores / sum(1 / x for x in r.values()),
                lambda: self.verify(folder, "--level", "checksums",
                                    "--against", torrent),
                {"md5sum, then sha256sum":
                 lambda: self.side_by_side(["md5sum"], paths) +
                 self.side_by_side(["sha256sum"], paths)})

    def single_file(self):
        cores = self.processors
        self.size = self.size * 3 // 2 // rates.CHUNK * rates.CHUNK
        folder, paths = self.payload("single", 1)
        torrent = self.publish(folder, "hybrid")
        self.forget_torrents()
        print(f"single: sha256, v2 root and v1 pieces of one file of "
              f"{self.size / (1 << 30):g} GiB")
        self.rounds(paths, {"sha256": 2, "sha1": 1},
                    lambda r: min(r["sha256"],
                                  cores / (2 / r["sha256"] + 1 / r["sha1"])),
                    lambda: self.verify(folder, "--level", "checksums",
                                        "--against", torrent),
                    {"sha256sum": lambda: self.side_by_side(["sha256sum"],
                                                            paths)})


def main():
    if sys.argv[1:2] == ["--hash-like-hf"]:
        hash_like_hf(sys.argv[2:])
        return
    parser = rates.parser()
    parser.add_argument("--only", default="sha256,all,single")
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(","))
    with rates.folder_of(arguments) as top:
        bench = Digests(arguments, top)
        print(f"{bench.size / (1 << 30):g} GiB, {bench.processors} processors, "
              f"{arguments.rounds} rounds")
        if {"sha256", "all"} & wanted:
            bench.many_files(wanted)
        if "single" in wanted:
            bench.single_file()


if __name__ == "__main__":
    main()
