# SPDX-License-Identifier: Apache-2.0
"""One hostile checkpoint, and the small good model that it is made from."""
import dataclasses
import functools
import json
import struct


@dataclasses.dataclass
class Case:
    """`files`: path below the case's folder to bytes. `target`: what is given
    to the program, "" for the folder. `code`: what verify must end with; `id`:
    the error id, or its beginning with a '*'; `says`: parts of the message.
    `convert`: what convert must end with; None where it reads nothing of what
    is hostile. `holes`: path to size, for files that are made longer by a
    hole. Names say the rule that is broken: group/rule."""
    name: str
    files: dict
    id: str
    code: int = 8
    says: tuple = ()
    target: str = ""
    convert: int = -1  # -1: as `code`
    holes: dict = dataclasses.field(default_factory=dict)

    @property
    def convert_code(self):
        return self.code if self.convert == -1 else self.convert


# A dense model of one layer; small, whole, and accepted.
DIM, HEADS, KV_HEADS, HEAD_DIM, FF, VOCABULARY, LAYERS = 32, 2, 1, 16, 64, 40, 1

PARAMS = {
    "dim": DIM, "n_layers": LAYERS, "head_dim": HEAD_DIM, "hidden_dim": FF,
    "n_heads": HEADS, "n_kv_heads": KV_HEADS, "norm_eps": 1e-5,
    "vocab_size": VOCABULARY, "rope_theta": 10000.0,
}

CONFIG = {
    "architectures": ["MistralForCausalLM"], "model_type": "mistral",
    "hidden_size": DIM, "num_hidden_layers": LAYERS,
    "intermediate_size": FF, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
    "rms_norm_eps": 1e-5, "vocab_size": VOCABULARY, "rope_theta": 10000.0,
    "max_position_embeddings": 1024, "sliding_window": None,
    "tie_word_embeddings": False, "hidden_act": "silu",
}

# (Mistral's name, Hugging Face's name, GGUF's name, shape)
TENSORS = (
    ("tok_embeddings.weight", "model.embed_tokens.weight",
     "token_embd.weight", (VOCABULARY, DIM)),
    ("layers.0.attention_norm.weight",
     "model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight",
     (DIM,)),
    ("layers.0.attention.wq.weight", "model.layers.0.self_attn.q_proj.weight",
     "blk.0.attn_q.weight", (HEADS * HEAD_DIM, DIM)),
    ("layers.0.attention.wk.weight", "model.layers.0.self_attn.k_proj.weight",
     "blk.0.attn_k.weight", (KV_HEADS * HEAD_DIM, DIM)),
    ("layers.0.attention.wv.weight", "model.layers.0.self_attn.v_proj.weight",
     "blk.0.attn_v.weight", (KV_HEADS * HEAD_DIM, DIM)),
    ("layers.0.attention.wo.weight", "model.layers.0.self_attn.o_proj.weight",
     "blk.0.attn_output.weight", (DIM, HEADS * HEAD_DIM)),
    ("layers.0.ffn_norm.weight",
     "model.layers.0.post_attention_layernorm.weight",
     "blk.0.ffn_norm.weight", (DIM,)),
    ("layers.0.feed_forward.w1.weight", "model.layers.0.mlp.gate_proj.weight",
     "blk.0.ffn_gate.weight", (FF, DIM)),
    ("layers.0.feed_forward.w2.weight", "model.layers.0.mlp.down_proj.weight",
     "blk.0.ffn_down.weight", (DIM, FF)),
    ("layers.0.feed_forward.w3.weight", "model.layers.0.mlp.up_proj.weight",
     "blk.0.ffn_up.weight", (FF, DIM)),
    ("norm.weight", "model.norm.weight", "output_norm.weight", (DIM,)),
    ("output.weight", "lm_head.weight", "output.weight", (VOCABULARY, DIM)),
)


def elements(shape):
    product = 1
    for size in shape:
        product *= size
    return product


@functools.lru_cache(maxsize=None)
def bf16(index, shape):
    """Numbers of about 0.01 to 0.06 of both signs, the same on every run; a
    norm's are about 1."""
    state = 12345 + index
    out = bytearray()
    for _ in range(elements(shape)):
        state = (state * 1103515245 + 12345) % 2 ** 31
        low = (state >> 16) & 0x7F
        if len(shape) == 1:
            out += struct.pack("<H", 0x3F80 | (low & 0x1F))
        else:
            sign = 0x8000 if state & 0x40000000 else 0
            out += struct.pack("<H", sign | 0x3C80 | low)
    return bytes(out)


@functools.lru_cache(maxsize=None)
def f32(index, shape):
    return b"".join(b"\0\0" + bf16(index, shape)[i:i + 2]
                    for i in range(0, 2 * elements(shape), 2))


# SentencePiece, as protobuf.

def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, wire, payload):
    return varint(number << 3 | wire) + payload


def text_field(number, data):
    return field(number, 2, varint(len(data)) + data)


def piece(text, score=0.0, kind=1):
    data = text if isinstance(text, bytes) else text.encode()
    inner = (text_field(1, data) + field(2, 5, struct.pack("<f", score)) +
             field(3, 0, varint(kind)))
    return text_field(1, inner)


def pieces():
    """(text, score, kind) of the vocabulary."""
    listed = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3),
              ("\u2581", -1.0, 1)]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    for letter in letters[:VOCABULARY - len(listed)]:
        listed.append((letter, -float(len(listed)), 1))
    return listed


BPE = text_field(2, field(3, 0, varint(2)))


@functools.lru_cache(maxsize=None)
def tokenizer_model():
    return b"".join(piece(*entry) for entry in pieces()) + BPE


def params_json(**changes):
    return json.dumps({**PARAMS, **changes}).encode()


def config_json(**changes):
    return json.dumps({**CONFIG, **changes}).encode()


def around(weights, name="consolidated.00.pth", **more):
    """A whole model of Mistral's layout around these weights."""
    files = {name: weights, "params.json": params_json(),
             "tokenizer.model": tokenizer_model()}
    files.update(more)
    return files
