# SPDX-License-Identifier: Apache-2.0
"""Some files of a torrent: exactly those, verified, and the rest later."""
import json
import os
import shutil
import struct

from harness import (LOCAL, bare, check, contains, equal, main, read, same_tree,
                     tree, write)


def safetensors(path, name, values):
    """One f32 tensor in a file, written by hand."""
    data = struct.pack(f"<{len(values)}f", *values)
    header = json.dumps({name: {"dtype": "F32", "shape": [len(values)],
                                "data_offsets": [0, len(data)]}}).encode()
    write(path, struct.pack("<Q", len(header)) + header + data)


def sharded_model(box):
    folder = box.path("origin", "sharded")
    os.makedirs(folder)
    shards = {}
    for i in range(1, 4):
        name = f"model-0000{i}-of-00003.safetensors"
        safetensors(os.path.join(folder, name), f"t{i}", range(20_000 * i))
        shards[f"t{i}"] = name
    for index, names in (("a", ("t1", "t2")), ("b", ("t3",))):
        write(os.path.join(folder, f"{index}.safetensors.index.json"),
              json.dumps({"metadata": {},
                          "weight_map": {n: shards[n] for n in names}}))
    write(os.path.join(folder, "bad.safetensors.index.json"),
          json.dumps({"weight_map": {"t9": "model-00009-of-00009.safetensors"}}))
    write(os.path.join(folder, "config.json"), "{}")
    return folder


def test(box):
    origin = box.demo()
    seeder = box.seed(origin)
    env = box.user("chooser")
    models = box.path("models")
    base = ("get", bare(seeder.magnet), "--output", models, "--peer",
            seeder.endpoint, "--port", "0", *LOCAL)
    sizes = {name: len(data) for name, data in tree(origin).items()}

    # --dry-run: all is said, nothing is there afterwards.
    run = box.run(*base, "--dry-run", "--select", "*.json", "--json", env=env)
    plan = run.of_type("plan")[-1]
    equal({f["path"]: f["bytes"] for f in plan["files"]}, sizes, "files")
    chosen = [f["path"] for f in plan["files"] if f["selected"]]
    check(chosen and all(n.endswith(".json") for n in chosen), f"{chosen}")
    equal(plan["selected_bytes"], sum(sizes[n] for n in chosen), "selected")
    check(run.result["summary"]["free_bytes"] > 0, "free space")
    check(not os.path.exists(models), "--dry-run made the folder")
    run = box.run(*base, "--dry-run", env=env)
    for name in sizes:
        contains(run.stderr, name, "--dry-run lists the files")
    check(not os.path.exists(models), "--dry-run made the folder")

    # What fits nothing is an error that lists the files.
    for flag in ("--select", "--exclude", "--files"):
        box.fails(*base, flag, "*.nothing", code=2, id="E-SELECT",
                  says="params.json", env=env)
    box.fails(*base, "--seed", "--select", "*.json", code=2, id="E-USAGE",
              env=env)

    # Two small files, which share pieces with the weights.
    run = box.run(*base, "--files", "params.json,RELEASE", "--json", env=env)
    final = os.path.join(models, "demo")
    equal(sorted(tree(final)), ["RELEASE", "params.json"], "what is there")
    for name in ("RELEASE", "params.json"):
        equal(read(os.path.join(final, name)),
              read(os.path.join(origin, name)), name)
    equal(sorted(os.listdir(models)), ["demo"], "what is left beside it")
    first = run.result["summary"]["downloaded_bytes"]
    check(first < sum(sizes.values()) / 2, f"{first} bytes for two small files")

    # verify knows that the rest was left out on purpose.
    run = box.run("verify", final, "--level", "pieces", "--json", env=env)
    by_status = {}
    for event in run.of_type("file"):
        by_status.setdefault(event["status"], []).append(event["path"])
    equal(sorted(by_status["ok"]), ["RELEASE", "params.json"], "ok")
    equal(sorted(by_status["left_out"]),
          sorted(set(sizes) - {"RELEASE", "params.json"}), "left out")
    check(set(by_status) == {"ok", "left_out"}, f"{by_status}")
    # One wrong byte in a piece that cannot be hashed any more is still found.
    params = os.path.join(final, "params.json")
    good = read(params)
    write(params, good[:-1] + bytes([good[-1] ^ 1]))
    box.run("verify", final, "--level", "pieces", code=6, env=env)
    write(params, good)
    box.run("verify", final, "--level", "pieces", env=env)

    # The same again needs no peer; the rest fetches only the rest.
    box.run("get", bare(seeder.magnet), "--output", models, "--port", "0",
            *LOCAL, "--files", "params.json,RELEASE", env=env)
    run = box.run(*base, "--json", env=env)
    same_tree(final, origin)
    rest = run.result["summary"]["downloaded_bytes"]
    piece = run.of_type("plan")[-1]["piece_length"]
    left = sum(n for name, n in sizes.items()
               if name not in ("RELEASE", "params.json"))
    check(rest <= left + 4 * piece, f"{rest} bytes for a rest of {left}")
    box.run("verify", final, env=env)
    seeder.stop()

    shards(box)


def shards(box):
    """A chosen index pulls its shards, and no others."""
    origin = sharded_model(box)
    seeder = box.seed(origin, env=box.user("shard-seeder"))
    base = ("get", bare(seeder.magnet), "--peer", seeder.endpoint, "--port",
            "0", *LOCAL)
    for number, (select, expected) in enumerate((
            ("a.safetensors.index.json",
             ["a.safetensors.index.json", "model-00001-of-00003.safetensors",
              "model-00002-of-00003.safetensors"]),
            ("model-00003*",
             ["a.safetensors.index.json", "b.safetensors.index.json",
              "bad.safetensors.index.json", "config.json",
              "model-00003-of-00003.safetensors"]))):
        output = box.path(f"shards{number}")
        box.run(*base, "--output", output, "--select", select, "--raw",
                env=box.user(f"shards{number}-user"))
        equal(sorted(tree(os.path.join(output, "sharded"))), expected, select)
    # Names that the torrent does not hold are refused.
    run = box.run(*base, "--output", box.path("bad"), "--select",
                  "bad.safetensors.index.json", "--raw", "--json", code=8,
                  env=box.user("bad-user"))
    equal(run.error["code"], "E-SHARD", f"{run}")
    contains(run.error["message"], "model-00009-of-00009", "the error")
    check(not os.path.exists(box.path("bad", "sharded")), "a final name")
    seeder.stop()
    shutil.rmtree(origin)


main(test)
