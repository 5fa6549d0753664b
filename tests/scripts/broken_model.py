# SPDX-License-Identifier: Apache-2.0
"""Bytes that are as published, of a model that does not run: `get` refuses it
a name, `verify --level smoke` says which layer first went wrong; --raw takes
it as it is."""
import os

from harness import check, main, read, same_tree, write


def test(box):
    folder = box.path("broken")
    os.makedirs(folder)
    gguf = os.path.join(folder, "model.gguf")
    box.run("convert", box.demo(), gguf, "--to", "bf16")
    data = bytearray(read(gguf))
    # bf16 0x7f00 is finite, and all layers have the same scale: only running
    # the model shows that nothing finite comes out of such weights.
    for tensor in box.run("inspect", gguf, "--tensors",
                          "--json").document["tensors"]:
        if tensor["name"].endswith("attn_output.weight"):
            begin, size = tensor["offset"], tensor["bytes"]
            data[begin:begin + size] = b"\x00\x7f" * (size // 2)
    write(gguf, bytes(data))

    box.run("verify", folder, "--level", "numeric")
    box.fails("verify", folder, "--level", "smoke", code=8, id="E-SMOKE",
              says=("first wrong at", "layer"))

    seeder = box.seed(folder)
    where = box.path("out")
    how = ("--output", where, "--peer", seeder.endpoint, "--listen",
           "127.0.0.1", "--no-dht", "--no-lsd")
    box.fails("get", seeder.magnet, *how, code=8, id="E-SMOKE",
              says=("first wrong at",))
    check(not os.path.exists(os.path.join(where, "broken")),
          "a broken model got its name")
    box.run("get", seeder.magnet, *how, "--raw")
    same_tree(os.path.join(where, "broken"), folder)


main(test)
