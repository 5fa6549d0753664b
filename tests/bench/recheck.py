#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near a recheck of v1 pieces comes to what the processors can do, on this
machine.

    tests/bench/recheck.py LODESTONE_BINARY [--lt-recheck BINARY] [--gib 8]
                           [--rounds 5] [--data FOLDER]

`verify --level pieces` of 4 files against processors x sha1, and against
libtorrent's own recheck with default settings.

Rates are medians of whole-process wall time of Lodestone; the files are in
the page cache, which is checked. Where other load takes processors away, the
second figure says more: bytes a second of processor time against what the
bound asks of one. Works in a temporary folder that it removes.
"""
import rates


def main():
    arguments = rates.parser().parse_args()
    with rates.folder_of(arguments) as top:
        bench = rates.Bench(arguments, top)
        print(f"{bench.size / (1 << 30):g} GiB, {bench.processors} processors, "
              f"{arguments.rounds} rounds")
        folder, paths = bench.payload("payload", 4)
        torrent = bench.publish(folder, "v1")
        print("pieces: v1 pieces of 4 files")
        rivals = {}
        if arguments.lt_recheck:
            rivals["libtorrent"] = lambda: bench.libtorrent(torrent)
        bench.rounds(paths, {"sha1": 1},
                     lambda r: bench.processors * r["sha1"],
                     lambda: bench.verify(folder, "--level", "pieces",
                                          "--against", torrent), rivals)


if __name__ == "__main__":
    main()
