# SPDX-License-Identifier: Apache-2.0
"""One model in every layout that releases came in: the same logits to the last
bit, straight from the files, and the same GGUF; C5 what is missing, C6 mixed or
contradicts itself is named."""
import json
import os
import shutil

from checkpoints import (Release, hugging_face_config, with_half_order,
                         write_safetensors)
from harness import DEMO, check, equal, main, read, write
from weight_forms import Forms, gguf_by_expert, split_gguf, write_torch

IDS = "1,5,300,77,1024,9,2000"


def logits(box, model):
    run = box.run("eval", "logits", model, "--ids", IDS, "--json")
    return run.result["summary"]["logits"]


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
    return out


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
    write_torch(os.path.join(folder, "consolidated.01.pth"), release.tensors)
    write_torch(os.path.join(folder, "consolidated.00.pth"), release.tensors)
    box.fails("convert", folder, box.path("x.gguf"), code=9, id="E-PARTS",
              says="tensor-parallel")
    write_safetensors(os.path.join(folder, "consolidated.01.pth"), some)
    box.fails("convert", folder, box.path("x.gguf"), code=8, id="E-PARTS",
              says="is safetensors")
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
    equal_everywhere(box, written(box))
    threads(box)
    refused(box)


main(test)
