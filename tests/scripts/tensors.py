# SPDX-License-Identifier: Apache-2.0
"""`inspect` lists what a checkpoint holds, `verify --tensor-stats` says what
its numbers are like; damage that hashes would find is found without them:
C6 parts and mixtures, C10 impossible metadata, C17 a tail of zeros, C18 numbers
of a wrong scale. A model that is known, but not run, is fetched."""
import json
import math
import os
import struct

from harness import check, contains, equal, main, read, write


def safetensors(tensors):
    """A file from name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(seed, count):
    """Numbers of the scale of weights, the same every time."""
    values = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        values.append(((seed >> 40) / 2 ** 23 - 1) * 0.04)
    return struct.pack(f"<{count}f", *values)


OLMOE = {"architectures": ["OlmoeForCausalLM"], "hidden_size": 32,
         "intermediate_size": 16, "num_attention_heads": 2, "num_experts": 4,
         "num_experts_per_tok": 2, "num_hidden_layers": 2,
         "num_key_value_heads": 2, "vocab_size": 64, "rms_norm_eps": 1e-5,
         "clip_qkv": 8.0}


def olmoe():
    """Every tensor of a small model; clipped queries are not run."""
    shapes = {"model.embed_tokens.weight": [64, 32], "model.norm.weight": [32],
              "lm_head.weight": [64, 32]}
    for n in range(2):
        layer = f"model.layers.{n}."
        for norm in ("input_layernorm", "post_attention_layernorm",
                     "self_attn.q_norm", "self_attn.k_norm"):
            shapes[f"{layer}{norm}.weight"] = [32]
        for matrix in "qkvo":
            shapes[f"{layer}self_attn.{matrix}_proj.weight"] = [32, 32]
        shapes[f"{layer}mlp.gate.weight"] = [4, 32]
        for x in range(4):
            expert = f"{layer}mlp.experts.{x}."
            shapes[expert + "gate_proj.weight"] = [16, 32]
            shapes[expert + "up_proj.weight"] = [16, 32]
            shapes[expert + "down_proj.weight"] = [32, 16]
    return {name: ("F32", shape, floats(i + 1, math.prod(shape)))
            for i, (name, shape) in enumerate(shapes.items())}


def known_by_shape(box):
    folder = box.path("olmoe")
    os.makedirs(folder)
    tensors = olmoe()
    write(os.path.join(folder, "model.safetensors"), safetensors(tensors))
    write(os.path.join(folder, "config.json"), json.dumps(OLMOE).encode())
    run = box.run("verify", folder, "--json")
    check(any(e["id"] == "structure.runnable" and e["status"] == "skip"
              for e in run.of_type("check")), f"no note\n{run}")
    contains(box.run("verify", folder).stderr,
             "OLMoE is known by shape; Lodestone does not run it: \"clip_qkv\"",
             "verify")
    box.fails("chat", folder, "-p", "x", code=9, id="E-ARCHITECTURE",
              says=("clip_qkv",))
    document = box.run("inspect", folder, "--json").document
    equal((document["family"], document["runnable"]), ("OLMoE", False),
          "inspect")

    # C6: one shape, one name.
    wrong = dict(tensors)
    wrong["model.layers.1.self_attn.q_norm.weight"] = ("F32", [16],
                                                       floats(9, 16))
    write(os.path.join(folder, "model.safetensors"), safetensors(wrong))
    box.fails("verify", folder, code=8, id="E-STRUCTURE",
              says=("model.layers.1.self_attn.q_norm.weight",
                    "shape [16], expected [32]"))

    # C17: size right, tail zero.
    cut = dict(tensors)
    dtype, shape, raw = cut["model.layers.1.mlp.experts.3.down_proj.weight"]
    cut["model.layers.1.mlp.experts.3.down_proj.weight"] = (
        dtype, shape, bytes(len(raw)))
    write(os.path.join(folder, "model.safetensors"), safetensors(cut))
    box.fails("verify", folder, code=8, id="E-NUMBERS",
              says=("model.layers.1.mlp.experts.3.down_proj.weight",
                    "zero tail"))

    # C18: numbers that no layer has.
    for name, value in (("denormal", 1e-41), ("not finite", math.inf)):
        bad = dict(tensors)
        bad["model.layers.0.self_attn.v_proj.weight"] = (
            "F32", [32, 32], struct.pack("<f", value) * 1024)
        write(os.path.join(folder, "model.safetensors"), safetensors(bad))
        box.fails("verify", folder, code=8, id="E-NUMBERS",
                  says=("model.layers.0.self_attn.v_proj.weight", name))


def fetched_though_not_run(box):
    """It gets its name: nothing is wrong, it was only not tried."""
    folder = box.path("origin", "olmoe")
    os.makedirs(folder)
    write(os.path.join(folder, "model.safetensors"), safetensors(olmoe()))
    write(os.path.join(folder, "config.json"), json.dumps(OLMOE).encode())
    seeder = box.seed(folder, env=box.user("seeder"))
    run = box.get(seeder.magnet, seeder, box.path("models"), "--json",
                  env=box.user("fetcher"))
    warnings = [e for e in run.of_type("warning")
                if e["code"] == "SMOKE_NOT_RUN"]
    equal(len(warnings), 1, f"warnings\n{run}")
    contains(warnings[0]["message"], "clip_qkv", "the warning")
    check(os.path.exists(box.path("models", "olmoe", "model.safetensors")),
          f"no final name\n{run}")
    check(not any("chat" in line for line in run.result["next"]),
          f"a chat is proposed\n{run}")
    seeder.stop()
    box.fails("verify", folder, "--level", "smoke", code=9,
              id="E-ARCHITECTURE", says=("clip_qkv",))


def statistics(box):
    demo = box.demo()
    stats = box.path("stats.json")
    run = box.run("verify", demo, "--tensor-stats", stats)
    contains(run.stderr, "statistics of", "verify")
    document = json.loads(read(stats))
    equal(document["format"], "lodestone-tensor-stats", "format")
    equal(document["findings"], [], "findings")

    listing = box.run("inspect", demo, "--tensors", "--json").document
    equal(len(listing["tensors"]), listing["num_tensors"], "tensors listed")
    equal([t["name"] for t in document["tensors"]],
          [t["name"] for t in listing["tensors"]], "names")
    text = box.run("inspect", demo, "--tensors").stdout
    # Against plain arithmetic over the bytes that the listing points at.
    for place in listing["tensors"]:
        if place["name"] not in ("norm.weight", "layers.2.attention.wq.weight",
                                 "layers.0.feed_forward.gate.weight"):
            continue
        equal(place["dtype"], "bf16", place["name"])
        contains(text, place["name"], "inspect --tensors")
        data = read(os.path.join(demo, place["file"]))
        raw = data[place["offset"]:place["offset"] + place["bytes"]]
        values = [struct.unpack("<f", b"\0\0" + raw[i:i + 2])[0]
                  for i in range(0, len(raw), 2)]
        one = next(t for t in document["tensors"]
                   if t["name"] == place["name"])
        mean = math.fsum(values) / len(values)
        rms = math.sqrt(math.fsum(v * v for v in values) / len(values))
        equal((one["numbers"], one["min"], one["max"], one["zeros"]),
              (len(values), min(values), max(values), values.count(0.0)),
              place["name"])
        check(abs(one["mean"] - mean) < 1e-5 * rms, f"mean of {place['name']}")
        check(abs(one["rms"] - rms) < 1e-5 * rms, f"rms of {place['name']}")
        check(abs(one["std"] - math.sqrt(rms * rms - mean * mean)) <
              1e-3 * rms, f"std of {place['name']}")


def parts_and_forms(box):
    tensors = olmoe()
    folder = box.path("parts")
    os.makedirs(folder)
    for number in range(2):
        write(os.path.join(folder, f"consolidated.0{number}.pth"),
              safetensors({"norm.weight": tensors["model.norm.weight"]}))
    # One file twice, named as slices of one model are.
    box.fails("verify", folder, code=8, id="E-PARTS", says="copies of one file")
    box.fails("inspect", folder, code=8, id="E-PARTS",
              says="copies of one file")

    # The same model twice in one folder: both are checked.
    demo = box.demo("twice")
    box.run("convert", demo, box.path("model.gguf"), "--to", "bf16")
    os.rename(box.path("model.gguf"), os.path.join(demo, "model.gguf"))
    run = box.run("verify", demo, "--json")
    check(any(w["code"] == "WEIGHTS_TWICE" for w in run.of_type("warning")),
          f"no warning\n{run}")
    equal(len([s for s in run.of_type("stage")
               if s["stage"] == "numeric" and s["state"] == "end"]), 2,
          "both were read")


def hostile_metadata(box):
    """C10: a GGUF whose counts no model has."""
    demo = box.demo("metadata")
    gguf = box.path("model.gguf")
    box.run("convert", demo, gguf, "--to", "bf16")
    good = read(gguf)
    for key, value in (("llama.attention.head_count", 0),
                       ("llama.block_count", 10 ** 6),
                       ("llama.expert_used_count", 9)):
        text = struct.pack("<Q", len(key)) + key.encode()
        at = good.index(text) + len(text)
        equal(struct.unpack_from("<I", good, at)[0], 4, f"type of {key}")
        data = bytearray(good)
        struct.pack_into("<I", data, at + 4, value)
        write(gguf, bytes(data))
        box.fails("verify", gguf, code=8, id="E-CONFIG", says=key)


def test(box):
    known_by_shape(box)
    statistics(box)
    parts_and_forms(box)
    hostile_metadata(box)
    fetched_though_not_run(box)


main(test)
