# SPDX-License-Identifier: Apache-2.0
"""One model in every layout that releases came in: the same logits to the last
bit, straight from the files, and the same GGUF; C5 what is missing, C6 mixed or
contradicts itself is named."""
import json
import os
import re
import shutil
import struct

from checkpoints import (Release, hugging_face_config, with_half_order,
                         write_safetensors)
from harness import DEMO, check, equal, main, read, write
from weight_forms import (Forms, cut_bytes, fp8, gguf_by_expert, logits,
                          slices, split_gguf, write_torch)



def written(box):
    """Path of the model in each layout, by name."""
    release = Release(DEMO)
    forms = Forms(release)
    out = {}
    out["consolidated.safetensors"] = release.write_consolidated(
        box.path("consolidated"))
    out["Hugging Face"] = release.write_hugging_face(
        box.path("hf"), with_half_order(release.tensors, release.params))
    out["safetensors in parts"] = forms.safetensors_parts(box.path("st-parts"))
    out["torch in parts"] = forms.torch_parts(box.path("pth-parts"))
    out["stacked"] = forms.stacked(box.path("stacked"))
    hub = hugging_face_config(release.params)
    del hub["architectures"], hub["model_type"]
    out["stacked, keys of the hub"] = forms.stacked(box.path("stacked-hub"), 2,
                                                    hub)
    gguf = box.path("whole.gguf")
    box.run("convert", DEMO, gguf)
    out["GGUF"] = gguf
    out["GGUF in parts"] = split_gguf(gguf, box.path("gguf-parts"))
    out["GGUF in parts, the folder"] = box.path("gguf-parts")
    out["GGUF in parts, the last"] = box.path("gguf-parts",
                                              "m-00003-of-00003.gguf")
    out["GGUF by expert"] = gguf_by_expert(gguf, box.path("by-expert.gguf"))
    out["slices of two"] = forms.slices(box.path("slices"))
    out["slices of four, the vocabulary shared out"] = forms.slices(
        box.path("slices-4"), 4, 0)
    out.update(in_pieces(box, release, forms, gguf))
    return out


def in_pieces(box, release, forms, gguf):
    """Files cut by their bytes: at whole pages, where nothing is copied, and
    anywhere, also three times within one tensor."""
    torch = os.path.join(DEMO, "consolidated.00.pth")
    size = os.path.getsize(torch)
    out = {}
    out["torch in pieces"] = forms.pieces(
        box.path("pth-split"), torch, lambda i: f"{os.path.basename(torch)}"
        f"-split{i}", [size // 3, size // 3 + 5000, size // 3 + 9000,
                       2 * size // 3 + 1])
    out["torch in pieces of pages"] = forms.pieces(
        box.path("pth-pages"), torch, lambda i: f"{os.path.basename(torch)}"
        f"-split{i}", [size // 3 // 4096 * 4096, size // 2 // 4096 * 4096])
    middle = os.path.getsize(gguf) // 2 + 1
    out["GGUF in pieces"] = cut_bytes(
        gguf, box.path("gguf-split"), ["m.gguf.part1of2", "m.gguf.part2of2"],
        [middle])
    packed = box.path("packed.gguf")
    if not os.path.exists(packed):
        box.run("convert", DEMO, packed, "--to", "q8_0")
    cut_bytes(packed, box.path("packed-split"),
              ["m.gguf-split-a", "m.gguf-split-b", "m.gguf-split-c"],
              [os.path.getsize(packed) // 3 + 1,
               2 * os.path.getsize(packed) // 3 + 2])
    equal(logits(box, box.path("packed-split")), logits(box, packed),
          "logits of packed blocks in pieces")
    # Some files of a set whole, one in pieces.
    folder = forms.torch_parts(box.path("one-in-pieces"))
    part = os.path.join(folder, "consolidated.01.pth")
    cut_bytes(part, folder, [f"consolidated.01.pth-split{i}" for i in (0, 1)],
              [os.path.getsize(part) // 2 + 3])
    os.unlink(part)
    out["torch in parts, one in pieces"] = folder
    sliced = forms.slices(box.path("slices-in-pieces"))
    part = os.path.join(sliced, "consolidated.00.pth")
    cut_bytes(part, sliced, [f"consolidated.00.pth-split{i}" for i in (0, 1)],
              [os.path.getsize(part) // 2 + 1])
    os.unlink(part)
    out["slices, one in pieces"] = sliced
    return out


def told_truly(box, forms):
    """inspect says where the numbers are, in slices and in pieces."""
    summary = box.run("inspect", forms["slices of two"], "--tensors",
                      "--json").document
    equal([file["path"] for file in summary["files"]],
          ["consolidated.00.pth", "consolidated.01.pth"], "files of slices")
    tensors = {tensor["name"]: tensor for tensor in summary["tensors"]}
    for name, cut in (("layers.0.attention.wq.weight", "rows"),
                      ("layers.0.attention.wo.weight", "columns"),
                      ("tok_embeddings.weight", "columns")):
        tensor = tensors[name]
        equal(tensor["cut"], cut, f"cut of {name}")
        equal([place["file"] for place in tensor["places"]],
              ["consolidated.00.pth", "consolidated.01.pth"], name)
        equal(sum(place["bytes"] for place in tensor["places"]),
              tensor["bytes"], name)
    equal(tensors["layers.0.attention.wo.weight"]["shape"], [256, 256],
          "shape of slices")
    check("cut" not in tensors["norm.weight"], "a norm is not cut")
    summary = box.run("inspect", forms["torch in pieces"], "--tensors",
                      "--json").document
    equal(len(summary["files"]), 5, "pieces")
    across = [tensor for tensor in summary["tensors"]
              if tensor.get("cut") == "bytes"]
    check(across, "no tensor across a cut")
    for tensor in across:
        equal(sum(place["bytes"] for place in tensor["places"]),
              tensor["bytes"], tensor["name"])


def equal_everywhere(box, forms):
    expected = logits(box, DEMO)
    gguf = read(forms["GGUF"])
    for name, path in forms.items():
        equal(logits(box, path), expected, f"logits of {name}")
        target = box.path("converted.gguf")
        box.run("convert", path, target)
        check(read(target) == gguf, f"{name}: another GGUF")
        os.unlink(target)
        run = box.run("verify", path, "--json")
        check(run.result["summary"]["structure_checked"],
              f"{name}: not checked\n{run}")
        for form in ("hf", "consolidated"):
            onwards(box, name, path, form, expected, gguf)


def onwards(box, name, path, form, expected, gguf):
    """To safetensors and from there to GGUF: nothing is lost."""
    folder = box.path("onwards")
    target = box.path("round.gguf")
    box.run("convert", path, folder, "--format", form, "--split-size", "5MB")
    equal(logits(box, folder), expected, f"logits of {name} as {form}")
    box.run("convert", folder, target)
    check(read(target) == gguf, f"{name} by way of {form}: another GGUF")
    shutil.rmtree(folder)
    os.unlink(target)


def threads(box):
    """Neither the number of threads nor of files changes what is written."""
    files = set()
    for count in (1, 2, 3, 8):
        target = box.path("threads.gguf")
        box.run("convert", DEMO, target, "--to", "q4_k_m", "--threads", count)
        files.add(read(target))
        os.unlink(target)
    equal(len(files), 1, "different files")
    run = box.run("convert", DEMO, box.path("parts", "m.gguf"),
                  "--split-size", "3MB", code=None)
    equal(run.code, 3, "a folder that is not there")
    os.makedirs(box.path("parts"))
    run = box.run("convert", DEMO, box.path("parts", "m.gguf"),
                  "--split-size", "3MB", "--json")
    names = sorted(os.listdir(box.path("parts")))
    equal(run.result["summary"]["files"], len(names), "files")
    check(len(names) >= 4, f"only {names}")
    equal(run.result["path"], box.path("parts", names[0]), "the path")
    for part in names:
        check(os.path.getsize(box.path("parts", part)) <= 3_000_000,
              f"{part} is too large")
    plan = run.of_type("plan")[0]
    equal([file["path"] for file in plan["files"]], names, "files of the plan")
    equal(logits(box, box.path("parts", names[1])), logits(box, DEMO),
          "logits of the parts")


def in_fp8(box):
    """Weights in fp8 with scales by block, by tensor and under Mistral's names
    convert to what the same numbers in bf16 do; a bad scale is named."""
    release = Release(DEMO)
    half = with_half_order(release.tensors, release.params)
    all_linear = r"\.(wq|wk|wv|wo|w1|w2|w3)\.weight$"
    # With one scale for a tensor some may stay in bf16.
    some_linear = r"^layers\.0\.attention" + all_linear

    def model(tensors, side, suffix):
        """As (fp8, the same in bf16), by Mistral's names."""
        linear = re.compile(all_linear if side == 128 else some_linear)
        packed, plain = {}, {}
        for index, (name, tensor) in enumerate(tensors.items()):
            if not linear.search(name):
                packed[name] = plain[name] = tensor
                continue
            rows, columns = tensor[1]
            grid = [[-8 - (index + 3 * r + c) % 3
                     for c in range(-(-columns // side))]
                    for r in range(-(-rows // side))]
            packed[name], scale, plain[name] = fp8(tensor, side, grid)
            if suffix is None:
                name, scale = name[:-len("weight")] + "qscale_weight", (
                    scale[0], [], scale[2])
                packed[name.replace("_weight", "_act")] = scale
            else:
                name += suffix
            packed[name] = scale
        return packed, plain

    for what, side, suffix, quantisation in (
            ("by block", 128, "_scale_inv",
             {"quant_method": "fp8", "fmt": "e4m3",
              "weight_block_size": [128, 128]}),
            ("by tensor", 4096, "_scale", {"quant_method": "fp8"})):
        packed, plain = model(half, side, suffix)
        folder = release.write_hugging_face(box.path("fp8-" + suffix), packed)
        config = hugging_face_config(release.params)
        config["quantization_config"] = quantisation
        write(os.path.join(folder, "config.json"), json.dumps(config))
        expected = release.write_hugging_face(box.path("bf16-" + suffix), plain)
        same_gguf(box, folder, expected, f"fp8 with scales {what}")
        for name, scale in packed.items():
            if name.endswith("wo.weight" + suffix):
                bad = scale[2][:-4] + struct.pack("<f", float("inf"))
                wrong = {**packed, name: (scale[0], scale[1], bad)}
                break
        release.write_hugging_face(folder, wrong)
        write(os.path.join(folder, "config.json"), json.dumps(config))
        box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-SCALE",
                  says="o_proj.weight" + suffix)
    packed, plain = model(release.tensors, 4096, None)
    folder = release.write_consolidated(
        box.path("fp8-mistral"), packed,
        quantization={"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"})
    expected = release.write_consolidated(box.path("bf16-mistral"), plain)
    same_gguf(box, folder, expected, "fp8 under Mistral's names")


def same_gguf(box, path, expected, what):
    check(box.run("verify", path, "--json").result["summary"]
          ["structure_checked"], f"{what}: not checked")
    out = [box.path("same.gguf"), box.path("expected.gguf")]
    box.run("convert", path, out[0])
    box.run("convert", expected, out[1])
    check(read(out[0]) == read(out[1]), f"{what}: another GGUF")
    for name in out:
        os.unlink(name)


def refused_slices(box, release, forms):
    # A norm that is not the same in each file.
    folder = forms.slices(box.path("other-norm"))
    parts = slices(release.tensors, 2, 1)
    dtype, shape, data = parts[1]["norm.weight"]
    parts[1]["norm.weight"] = (dtype, shape, data[:7] + b"?" + data[8:])
    write_torch(os.path.join(folder, "consolidated.00.pth"), parts[0])
    write_torch(os.path.join(folder, "consolidated.01.pth"), parts[1])
    for verb in (("verify", folder), ("convert", folder, box.path("x.gguf"))):
        box.fails(*verb, code=8, id="E-PARTS",
                  says=("norm.weight", "consolidated.01.pth"))
    # One file of four is missing: in the middle, and behind the last.
    folder = forms.slices(box.path("slice-lacking"), 4)
    os.unlink(os.path.join(folder, "consolidated.02.pth"))
    box.fails("convert", folder, box.path("x.gguf"), code=3,
              id="E-SHARD-MISSING", says="consolidated.02.pth")
    os.unlink(os.path.join(folder, "consolidated.03.pth"))
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-PARTS",
              says="slices")
    # Slices of a model that params.json does not describe.
    folder = forms.slices(box.path("slices-other"), 2, 0,
                          {**release.params, "hidden_dim": 512})
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-STRUCTURE",
              says="misshapen")


def refused_pieces(box, forms):
    torch = os.path.join(DEMO, "consolidated.00.pth")
    size = os.path.getsize(torch)
    folder = forms.pieces(box.path("piece-lacking"), torch,
                          lambda i: f"consolidated.00.pth.part{i + 1}of3",
                          [size // 3, size // 2])
    os.unlink(os.path.join(folder, "consolidated.00.pth.part3of3"))
    for verb in (("verify", folder), ("convert", folder, box.path("x.gguf"))):
        box.fails(*verb, code=3, id="E-SHARD-MISSING",
                  says="consolidated.00.pth.part3of3")
    folder = forms.pieces(box.path("piece-uncounted"), torch,
                          lambda i: f"consolidated.00.pth-split{i}",
                          [size // 3, size // 2])
    os.unlink(os.path.join(folder, "consolidated.00.pth-split2"))
    box.fails("convert", folder, box.path("x.gguf"), code=8,
              says="behind the last")
    os.unlink(os.path.join(folder, "consolidated.00.pth-split0"))
    box.fails("convert", folder, box.path("x.gguf"), code=3,
              id="E-SHARD-MISSING", says="consolidated.00.pth-split0")


def refused(box):
    release = Release(DEMO)
    forms = Forms(release)
    # A part is missing, in the middle and at the start.
    folder = forms.stacked(box.path("lacking"), 4)
    os.unlink(os.path.join(folder, "consolidated.02.pt"))
    for verb in (("verify", folder), ("convert", folder, box.path("x.gguf"))):
        box.fails(*verb, code=3, id="E-SHARD-MISSING",
                  says="consolidated.02.pt")
    folder = forms.safetensors_parts(box.path("headless"))
    os.unlink(os.path.join(folder, "consolidated-00001-of-00003.safetensors"))
    box.fails("convert", folder, box.path("x.gguf"), code=3,
              id="E-SHARD-MISSING",
              says="consolidated-00001-of-00003.safetensors")
    first = split_gguf(box.path("whole.gguf"), box.path("split-lacking"))
    os.unlink(first.replace("00001-of", "00002-of"))
    box.fails("convert", first, box.path("x.gguf"), code=3,
              id="E-SHARD-MISSING", says="m-00002-of-00003.gguf")

    # Parts that say something else than their names.
    for what, lies in (("count", {"count": 2}), ("no", {"no": 1}),
                       ("total", {"total": 7})):
        first = split_gguf(box.path("whole.gguf"), box.path("lie-" + what),
                           **lies)
        box.fails("convert", first, box.path("x.gguf"), code=8,
                  id="E-GGUF-SPLIT")
    alone = box.path("renamed.gguf")
    shutil.copy(first.replace("00001-of", "00002-of"), alone)
    box.fails("convert", alone, box.path("x.gguf"), code=8, id="E-GGUF-SPLIT",
              says="part 2 of 3")

    # Files of two downloads, or of a form that is not joined.
    folder = forms.torch_parts(box.path("mixed"))
    some = dict(list(release.tensors.items())[:5])
    write_torch(os.path.join(folder, "consolidated.01.pth"), some)
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-PARTS",
              says="no parts of one model")
    # The same file twice is no run of two: its matrices would be twice as high.
    write_torch(os.path.join(folder, "consolidated.01.pth"), release.tensors)
    write_torch(os.path.join(folder, "consolidated.00.pth"), release.tensors)
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-STRUCTURE",
              says="misshapen")
    write_safetensors(os.path.join(folder, "consolidated.01.pth"), some)
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-PARTS",
              says="is safetensors")
    refused_slices(box, release, forms)
    refused_pieces(box, forms)
    folder = forms.stacked(box.path("two-families"), 2)
    write_safetensors(os.path.join(folder, "consolidated.safetensors"),
                      release.tensors)
    box.fails("convert", folder, box.path("x.gguf"), code=2,
              says=("consolidated.00.pt", "consolidated.safetensors"))

    # The down matrix as Mistral has it is no stacked one: its shape is right,
    # so the numbers have to tell; a configuration of other experts is told by
    # the shape.
    folder = forms.stacked(box.path("other-experts"), 2)
    params = dict(release.params)
    params["moe"] = {"num_experts": 4, "num_experts_per_tok": 2}
    write(os.path.join(folder, "params.json"), json.dumps(params))
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-STRUCTURE",
              says="block_sparse_moe")
    check(not os.path.exists(box.path("x.gguf")), "a result of a refusal")


def test(box):
    forms = written(box)
    told_truly(box, forms)
    equal_everywhere(box, forms)
    threads(box)
    in_fp8(box)
    refused(box)


main(test)
