# SPDX-License-Identifier: Apache-2.0
"""The demo model has one fingerprint in every layout and conversion; a copy
that is another model in any part is refused, and the part is named."""
import json
import os
import struct

from checkpoints import Release, with_half_order
from harness import DEMO, check, contains, equal, main, read, write

EXPERT = "layers.{}.feed_forward.experts.{}.w{}.weight"


def scaled(tensor, factor, begin=0, end=None):
    """bf16 elements times a power of two: exact."""
    dtype, shape, data = tensor
    end = len(data) // 2 if end is None else end
    values = list(struct.unpack(f"<{len(data) // 2}H", data))
    for i in range(begin, end):
        wide = struct.unpack("<f", struct.pack("<I", values[i] << 16))[0]
        values[i] = struct.unpack("<I", struct.pack("<f", wide * factor))[0] >> 16
    return dtype, shape, struct.pack(f"<{len(values)}H", *values)


def swapped(tensors, a, b):
    return {**tensors, a: tensors[b], b: tensors[a]}


def swapped_tokenizer(path, target):
    """Two pieces of a SentencePiece model exchanged, of equal length."""
    data = read(path)
    first, second = "▁the".encode(), "▁and".encode()
    for piece in (first, second):
        equal(data.count(b"\x0a" + bytes([len(piece)]) + piece), 1,
              f"pieces {piece!r}")
    mark = b"\x0a\x06"
    data = data.replace(mark + first, mark + b"\0" * 6)
    data = data.replace(mark + second, mark + first)
    return write(target, data.replace(mark + b"\0" * 6, mark + second))


def test(box):
    release = Release(DEMO)
    recorded = box.path("demo.fingerprint.json")
    torrent = box.path("demo.torrent")
    made = box.run("publish", DEMO, "--output", torrent, "--fingerprint",
                   recorded, "--json")
    stages = [e["stage"] for e in made.of_type("stage") if e["state"] == "end"]
    check("fingerprint" in stages, f"no stage\n{made}")
    size = os.path.getsize(recorded)
    print(f"{size} bytes, {made.result['elapsed_s']} s with the torrent")
    check(10_000 < size < 100_000, f"{size} bytes of fingerprint")
    # Whatever number of threads; the same file is no other file.
    box.run("publish", DEMO, "--output", torrent, "--fingerprint", recorded,
            "--threads", "1")

    # A copy anywhere: the manifest is kept with the torrent that it is of.
    run = box.run("verify", box.demo("elsewhere", "demo"), "--level",
                  "structure", "--deep", "--json")
    check(run.result["summary"]["fingerprint_checked"], f"not run\n{run}")

    def deep(path):
        # The scan of the numbers would find some of the faults before.
        return ("verify", path, "--level", "structure", "--deep",
                "--fingerprint", recorded)

    def passes(path, what):
        run = box.run(*deep(path), "--json")
        found = [e for e in run.of_type("check") if e["id"] == "fingerprint"]
        equal([e["status"] for e in found], ["pass"], what)
        equal(run.result["summary"]["fingerprint_checked"], True, what)
        print(f"{what}: same bits: {found[0]['evidence']['same_bits']}")
        for widest in found[0]["evidence"]["widest"]:
            print(f"    {widest['place']}: {widest['distance']:.2g} of "
                  f"{widest['tolerance']:.2g}")
        return found[0]["evidence"]

    equal(passes(DEMO, ".pth")["same_bits"], True, ".pth")
    plain = box.run(*deep(DEMO))
    contains(plain.stderr, "to the last bit", "the text of a pass")
    folder = release.write_consolidated(box.path("consolidated"))
    equal(passes(folder, "safetensors")["same_bits"], True, "safetensors")
    half = with_half_order(release.tensors, release.params)
    folder = release.write_hugging_face(box.path("hf"), half)
    equal(passes(folder, "Hugging Face")["same_bits"], None, "other order")
    bf16, q8_0 = box.path("bf16.gguf"), box.path("q8_0.gguf")
    box.run("convert", DEMO, bf16)
    equal(passes(bf16, "GGUF bf16")["same_bits"], True, "GGUF bf16")
    box.run("convert", folder, q8_0, "--to", "q8_0")
    equal(passes(q8_0, "GGUF q8_0")["same_bits"], None, "GGUF q8_0")
    box.run(*deep(bf16), "--threads", "1")

    changed = 0

    def departs(what, says, *, tensors=None, hf=None, tokenizer=None,
                says_q8_0=None, **params):
        nonlocal changed
        changed += 1
        folder = box.path(f"changed{changed}")
        if hf is not None:
            release.write_hugging_face(folder, hf)
        else:
            release.write_consolidated(folder, tensors, **params)
        if tokenizer is not None:
            swapped_tokenizer(release.tokenizer,
                              os.path.join(folder, "tokenizer.model"))
        for path, texts in ((folder, says),
                            (q8_copy(folder), says_q8_0 or says)):
            run = box.fails(*deep(path), code=8, id="E-FINGERPRINT",
                            says=texts)
            print(f"{what}: {run.error['message']}")
            found = [e for e in run.of_type("check")
                     if e["id"] == "fingerprint"]
            equal({e["status"] for e in found}, {"fail"}, what)
            contains(run.error["message"], found[0]["detail"], what)

    def q8_copy(folder):
        """The same fault must be found in a quantised conversion."""
        gguf = folder + ".gguf"
        box.run("convert", folder, gguf, "--to", "q8_0")
        return gguf

    t = release.tensors
    exchanged = t
    for w in (1, 2, 3):
        exchanged = swapped(exchanged, EXPERT.format(2, 1, w),
                            EXPERT.format(2, 5, w))
    departs("two experts exchanged",
            ("layer 2, expert 1 (ffn)", "what expert 5 of this layer gave"),
            tensors=exchanged)
    copied = dict(t)
    for w in (1, 2, 3):
        copied[EXPERT.format(1, 7, w)] = t[EXPERT.format(1, 0, w)]
    departs("an expert replaced by a copy of another",
            ("layer 1, expert 7 (ffn)", "what expert 0 of this layer gave"),
            tensors=copied)
    gate = "layers.3.feed_forward.gate.weight"
    departs("a gate of zeros", ("layer 3, gate", "nothing but zeros"),
            tensors={**t, gate: (t[gate][0], t[gate][1],
                                 bytes(len(t[gate][2])))})
    departs("Hugging Face's rows under Mistral's names",
            ("layer 0, attention", "q/k order", "half order"), tensors=half)
    departs("Mistral's rows under Hugging Face's names",
            ("layer 0, attention", "q/k order", "interleaved order"), hf=t,
            # The conversion moves the rows a second time.
            says_q8_0=("layer 0, attention",))
    departs("theta", ("layer 0, attention",
                      "rope theta is 10000, published 1000000"),
            rope_theta=1e4)
    name = "layers.2.attention_norm.weight"
    departs("a norm scaled", ("layer 2, norm before the attention",),
            tensors={**t, name: scaled(t[name], 2)})
    layers = dict(t)
    for tensor in t:
        if tensor.startswith("layers.1."):
            other = tensor.replace("layers.1.", "layers.2.")
            layers = {**layers, tensor: t[other], other: t[tensor]}
    departs("layers exchanged", ("layer 1,", "what layer 2 gave"),
            tensors=layers)
    departs("tokenizer", ("tokenizer: ids of prompt 0 differ",),
            tokenizer=True)
    departs("norm eps", ("layer 0, norm before the attention",
                         "norm eps is 1e-06, published 1e-05"), norm_eps=1e-6)
    moe = {**release.params["moe"], "num_experts_per_tok": 3}
    departs("experts per token",
            ("layer 0, routing", "experts per token is 3, published 2"),
            moe=moe)
    departs("a window", ("sliding window is 4096, published none",),
            sliding_window=4096, rope_theta=1e6)

    # One row of one matrix, doubled: beyond what bf16 explains.
    name = "layers.1.attention.wv.weight"
    columns = t[name][1][1]
    folder = release.write_consolidated(
        box.path("row"), {**t, name: scaled(t[name], 2, 0, columns)})
    box.fails(*deep(folder), code=8, id="E-FINGERPRINT",
              says="layer 1, attention (v and o)")

    # Without a fingerprint, with a broken one, with one of another model.
    box.fails("verify", folder, "--deep", code=3, id="E-NO-FINGERPRINT")
    box.fails("verify", folder, "--deep", "--fingerprint", box.path("none"),
              code=3)
    text = read(recorded)
    broken = write(box.path("broken.json"), text[:-100])
    box.fails("verify", folder, "--deep", "--fingerprint", broken, code=8,
              id="E-FINGERPRINT-FORM", says="broken.json")
    other = json.loads(text)
    other["version"] = 2
    broken = write(box.path("later.json"), json.dumps(other))
    box.fails("verify", folder, "--deep", "--fingerprint", broken, code=9,
              id="E-FINGERPRINT-FORM")
    # Another file of that name is not replaced.
    write(recorded, b"mine")
    box.fails("publish", DEMO, "--output", torrent, "--fingerprint", recorded,
              code=5, id="E-EXISTS")
    box.run("publish", DEMO, "--output", torrent, "--fingerprint", recorded,
            "--overwrite")
    equal(read(recorded), text, "the fingerprint, made again")
    # What is no model is published without.
    notes = write(box.path("notes/readme.txt"), b"no model at all\n")
    run = box.run("publish", os.path.dirname(notes), "--fingerprint",
                  box.path("notes.json"), "--json")
    check(any(e["code"] == "NO_FINGERPRINT" for e in run.of_type("warning")),
          f"no warning\n{run}")
    check(not os.path.exists(box.path("notes.json")), "a fingerprint of notes")


main(test)
