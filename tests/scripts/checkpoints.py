# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints taken apart and put together by the standard library
alone: tensors as (dtype, shape, bytes) by name."""
import collections
import io
import json
import os
import pickle
import shutil
import struct
import zipfile

from harness import check, read, write

_SIZES = {"BF16": 2, "F16": 2, "F32": 4}


def read_torch(path):
    """Tensors of a torch.save archive whose tensors are contiguous."""
    with zipfile.ZipFile(path) as archive:
        records = {name.partition("/")[2]: archive.read(name)
                   for name in archive.namelist()}

    def rebuild(storage, offset, shape, stride, *_):
        dtype, key = storage
        expected, step = [], 1
        for extent in reversed(shape):
            expected.insert(0, step)
            step *= extent
        check(tuple(expected) == tuple(stride), "a strided tensor")
        size = _SIZES[dtype]
        data = records[f"data/{key}"][offset * size:(offset + step) * size]
        return dtype, list(shape), data

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            known = {"_rebuild_tensor_v2": rebuild, "BFloat16Storage": "BF16",
                     "HalfStorage": "F16", "FloatStorage": "F32",
                     "OrderedDict": collections.OrderedDict}
            return known[name]

        def persistent_load(self, saved):
            return saved[1], saved[2]

    return Reader(io.BytesIO(records["data.pkl"])).load()


def write_safetensors(path, tensors):
    header, data, at = {}, [], 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [at, at + len(content)]}
        data.append(content)
        at += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return write(path, struct.pack("<Q", len(text)) + text + b"".join(data))


def half_order(tensor, head_dim):
    """Rows of q or k as Hugging Face has them: row p of a head is row
    2 (p mod P) + p / P of Mistral's, P half of head_dim."""
    dtype, shape, data = tensor
    row_bytes = len(data) // shape[0]
    rows = [data[i:i + row_bytes] for i in range(0, len(data), row_bytes)]
    half = head_dim // 2
    moved = [rows[row - row % head_dim + 2 * (row % head_dim % half)
                  + row % head_dim // half] for row in range(shape[0])]
    return dtype, shape, b"".join(moved)


def with_half_order(tensors, params):
    """All of q and k in the other order, under the same names."""
    return {name: half_order(tensor, params["head_dim"])
            if name.endswith(("wq.weight", "wk.weight")) else tensor
            for name, tensor in tensors.items()}


_HF_NAMES = (("tok_embeddings.weight", "model.embed_tokens.weight"),
             ("output.weight", "lm_head.weight"),
             ("attention.w", "self_attn."),
             ("attention_norm", "input_layernorm"),
             ("ffn_norm", "post_attention_layernorm"),
             ("feed_forward", "block_sparse_moe"))


def hugging_face_name(name):
    if name == "norm.weight":
        return "model.norm.weight"
    for ours, theirs in _HF_NAMES:
        name = name.replace(ours, theirs)
    for letter in "qkvo":
        name = name.replace(f"self_attn.{letter}.", f"self_attn.{letter}_proj.")
    return f"model.{name}" if name.startswith("layers") else name


def hugging_face_config(params):
    return {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral",
            "hidden_size": params["dim"],
            "intermediate_size": params["hidden_dim"],
            "num_hidden_layers": params["n_layers"],
            "num_attention_heads": params["n_heads"],
            "num_key_value_heads": params["n_kv_heads"],
            "head_dim": params["head_dim"],
            "num_local_experts": params["moe"]["num_experts"],
            "num_experts_per_tok": params["moe"]["num_experts_per_tok"],
            "rms_norm_eps": params["norm_eps"],
            "rope_theta": params.get("rope_theta", 1e6),
            "vocab_size": params["vocab_size"], "hidden_act": "silu",
            "max_position_embeddings": 32768, "sliding_window": None,
            "tie_word_embeddings": False}


class Release:
    """A model folder as tensors, parameters and tokenizer, to be written in
    several layouts, changed or not."""

    def __init__(self, folder):
        self.tensors = read_torch(os.path.join(folder, "consolidated.00.pth"))
        self.params = json.loads(read(os.path.join(folder, "params.json")))
        self.tokenizer = os.path.join(folder, "tokenizer.model")

    def write_consolidated(self, folder, tensors=None, **params):
        write_safetensors(os.path.join(folder, "consolidated.safetensors"),
                          tensors or self.tensors)
        write(os.path.join(folder, "params.json"),
              json.dumps({**self.params, **params}))
        shutil.copy(self.tokenizer, os.path.join(folder, "tokenizer.model"))
        return folder

    def write_hugging_face(self, folder, tensors):
        """`tensors` are written with the rows of q and k as they are."""
        write_safetensors(os.path.join(folder, "model.safetensors"),
                          {hugging_face_name(name): tensor
                           for name, tensor in tensors.items()})
        write(os.path.join(folder, "config.json"),
              json.dumps(hugging_face_config(self.params)))
        shutil.copy(self.tokenizer, os.path.join(folder, "tokenizer.model"))
        return folder
