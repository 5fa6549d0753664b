# SPDX-License-Identifier: Apache-2.0
"""The instruct template in GGUF: there where its version is known, the strings
that the rules say, known again on the way back; templates of others are not
carried on."""
import json
import os
import shutil
import struct

from checkpoints import write_safetensors
from harness import SOURCE, check, contains, equal, main, read, write
from weight_forms import Gguf, gguf_key, write_gguf

VOCABULARY = os.path.join(SOURCE, "tests/golden/tokenizers")
KEY = "tokenizer.chat_template"
TURNS = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
         {"role": "assistant", "content": "b "},
         {"role": "user", "content": "c"}]
# docs/formats/chat_template.md, the tokenizer's own spaces left out.
RENDERED = {"v1": "<s>[INST] s\n\na [/INST] b </s>[INST] c [/INST]",
            "v2": "<s>[INST]a[/INST]b</s>[INST]s\n\nc[/INST]",
            "v3": "<s>[INST]a[/INST]b</s>[INST]s\n\nc[/INST]"}


def model(box, name, vocabulary, file):
    """One layer of sixteen numbers in a row; all zeros but the norms."""
    rows = 32768 if "v3" in vocabulary else 32000
    shapes = {"tok_embeddings.weight": [rows, 16], "output.weight": [rows, 16],
              "norm.weight": [16]}
    for part in ("attention_norm", "ffn_norm"):
        shapes[f"layers.0.{part}.weight"] = [16]
    for part in "qkvo":
        shapes[f"layers.0.attention.w{part}.weight"] = [16, 16]
    for part, shape in (("w1", [16, 16]), ("w2", [16, 16]), ("w3", [16, 16])):
        shapes[f"layers.0.feed_forward.{part}.weight"] = shape
    folder = box.path(name)
    os.makedirs(folder)
    tensors = {}
    for tensor, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        value = b"\x80\x3f" if "norm" in tensor else b"\x00\x3d"
        tensors[tensor] = "BF16", shape, value * count
    write_safetensors(os.path.join(folder, "consolidated.safetensors"), tensors)
    write(os.path.join(folder, "params.json"), json.dumps({
        "dim": 16, "n_layers": 1, "head_dim": 16, "hidden_dim": 16,
        "n_heads": 1, "n_kv_heads": 1, "norm_eps": 1e-5, "vocab_size": rows,
        "rope_theta": 1e6}))
    shutil.copy(os.path.join(VOCABULARY, vocabulary),
                os.path.join(folder, file))
    return folder


def template(path):
    """The text, or none."""
    value = Gguf(path).keys.get(KEY)
    if value is None:
        return None
    return value[8 + len(KEY) + 4 + 8:].decode()


def rendered(text):
    """None where there is no renderer."""
    try:
        import jinja2
    except ImportError:
        return None
    return jinja2.Environment().from_string(text).render(
        messages=TURNS, bos_token="<s>", eos_token="</s>")


def test(box):
    for vocabulary, file, version in (
            ("mistral-v1.model", "tokenizer.model.v1", "v1"),
            ("mistral-v1.model", "tokenizer.model", None),
            ("mistral-v3.model", "tokenizer.model.v2", "v2"),
            ("mistral-v3.model", "tokenizer.model", "v3")):
        name = f"{vocabulary}-{file}"
        out = box.path(name + ".gguf")
        box.run("convert", model(box, name, vocabulary, file), out)
        text = template(out)
        if version is None:
            equal(text, None, f"a template of {name}")
            continue
        contains(text, f"Mistral instruct {version}", name)
        shown = rendered(text)
        check(shown in (None, RENDERED[version]), f"{name}: {shown!r}")
        # GGUF of GGUF: the version is known again.
        box.run("convert", out, box.path("again.gguf"), "--overwrite")
        check(read(box.path("again.gguf")) == read(out), f"{name}: other bytes")

    # A template of others is a program: it is left behind, and so is ours if a
    # letter of it was changed.
    whole = Gguf(box.path("mistral-v1.model-tokenizer.model.gguf"))
    for foreign in ("{{ raise_exception('no') }}", text.replace("v3", "v9")):
        value = struct.pack("<Q", len(foreign)) + foreign.encode()
        path = write_gguf(box.path("foreign.gguf"),
                          [*whole.keys.values(), gguf_key(KEY, 8, value)],
                          whole.tensors)
        box.run("convert", path, box.path("again.gguf"), "--overwrite")
        equal(template(box.path("again.gguf")), None, "a foreign template")
        folder = box.path("folder" + foreign[:1] + str(len(foreign)))
        run = box.run("convert", path, folder, "--to", "safetensors")
        contains(run.stdout + run.stderr, "chat template", "what is said")
        check(not any("template" in name for name in os.listdir(folder)),
              "a file with it")


main(test)
