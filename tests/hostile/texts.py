# SPDX-License-Identifier: Apache-2.0
"""Configurations and tokenizers beside good weights that break a rule (trust:
templates, tokenizers, configuration)."""
import base64
import json
import struct

import safetensors_files
import zips
from case import (BPE, PARAMS, VOCABULARY, Case, around, config_json, field,
                  params_json, piece, pieces, text_field, tokenizer_model,
                  varint)


def tokenizer_json(**changes):
    """BPE of bytes and two merges, as Hugging Face writes it; small enough for
    the small model."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for letter in "abcdefghijklmnopqrstuvwxyz":
        vocab[letter] = len(vocab)
    for merged in ("th", "the"):
        vocab[merged] = len(vocab)
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>",
             "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": vocab, "merges": ["t h", "th e"]}
    model.update(changes.pop("model", {}))
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": True}
             for i, text in enumerate(("<unk>", "<s>", "</s>"))]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False,
                              "trim_offsets": True, "use_regex": True},
            "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": model, **changes}


def added(id, content, **more):
    return {"id": id, "content": content, "single_word": False,
            "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **more}


# As in the tekken.json of Mistral; another is refused before all else.
TEKKEN_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def tekken(**changes):
    vocab = [{"rank": i, "token_bytes": base64.b64encode(
        bytes([i])).decode(), "token_str": None} for i in range(256)]
    return {"config": {"pattern": TEKKEN_PATTERN, "num_vocab_tokens": 256,
                       "default_vocab_size": 266,
                       "default_num_special_tokens": 10, "version": "v3"},
            "vocab": vocab, **changes}


def with_tokenizer_json(content, model=None):
    files = around(zips.archive())
    del files["tokenizer.model"]
    if model is not None:
        files["tokenizer.model"] = model
    files["tokenizer.json"] = content if isinstance(
        content, bytes) else json.dumps(content).encode()
    return files


def tokenizer_json_cases():
    # convert needs a tokenizer.model and reads no tokenizer.json.
    def case(name, content, **more):
        more.setdefault("id", "E-TOKENIZER")
        return Case("tokenizer-json/" + name, with_tokenizer_json(content),
                    convert=None, **more)

    good = tokenizer_json()
    vocab = good["model"]["vocab"]
    yield case("not-json", b"<html>", id="*")
    yield case("empty", b"", id="*")
    yield case("zeros", b"\0" * 1000, id="*")
    yield case("list", [])
    yield case("cut", json.dumps(good).encode()[:-20], id="*")
    yield case("second-value", json.dumps(good).encode() + b"{}", id="*")
    yield case("not-utf8", json.dumps(good).encode().replace(
        b'"th"', b'"\xff\xfe"'), id="*")
    yield case("depth-1e5", b'{"model":' * 100000, id="*")
    yield case("depth-1e5-lists", b'{"normalizer":' + b"[" * 100000, id="*")
    yield case("depth-in-vocabulary", json.dumps(good).encode().replace(
        b'"vocab": {', b'"vocab": {"x": ' + b"[" * 100000), id="*")
    yield case("key-twice", json.dumps(good).encode().replace(
        b'"version"', b'"model": {}, "version"'), id="E-JSON-DUPLICATE")
    yield case("token-twice", json.dumps(good).encode().replace(
        b'"th":', b'"a":'))
    yield case("token-twice-escaped", json.dumps(good).encode().replace(
        b'"th":', b'"\\u0061":'))
    yield case("id-twice", tokenizer_json(model={
        "vocab": {**vocab, "th": vocab["the"]}}))
    for what, lie in (("negative", -1), ("float", 7.5), ("text", "7"),
                      ("2-31", 2 ** 31), ("2-63", 2 ** 63), ("null", None),
                      ("list", [1]), ("object", {})):
        yield case(f"id-{what}", tokenizer_json(model={
            "vocab": {**vocab, "th": lie}}))
    yield case("id-beyond-model", tokenizer_json(model={
        "vocab": {**vocab, "zz": VOCABULARY}}))
    yield case("token-empty", tokenizer_json(model={
        "vocab": {**vocab, "": 32}}))
    yield case("token-huge", tokenizer_json(model={
        "vocab": {**vocab, "z" * 100000: 32}}))
    yield case("vocabulary-missing", tokenizer_json(model={"vocab": None}))
    yield case("vocabulary-list", tokenizer_json(model={"vocab": [1]}))
    yield case("vocabulary-empty", tokenizer_json(model={
        "vocab": {}, "merges": [], "unk_token": None}, added_tokens=[]))
    yield case("model-missing", tokenizer_json(model={}) | {"model": None})
    yield case("model-list", {**good, "model": []})
    yield case("model-type-unknown", tokenizer_json(model={"type": "Evil"}),
               code=9)
    for kind in ("Unigram", "WordPiece", "WordLevel"):
        yield case(f"model-type-{kind.lower()}", tokenizer_json(
            model={"type": kind}), code=9)
    for what, merge in (("unknown-left", "zz h"), ("unknown-right", "t zz"),
                        ("unknown-result", "a b"), ("no-space", "th"),
                        ("two-spaces", "t  h"), ("three-parts", "t h e"),
                        ("empty", ""), ("number", 7), ("one-part", ["t"]),
                        ("three-in-list", ["t", "h", "e"]),
                        ("numbers-in-list", [1, 2]), ("object", {})):
        yield case(f"merge-{what}", tokenizer_json(model={
            "merges": ["t h", merge]}))
    yield case("merge-twice", tokenizer_json(model={
        "merges": ["t h", "th e", "t h"]}))
    yield case("merges-object", tokenizer_json(model={"merges": {}}))
    yield case("merges-missing", tokenizer_json(model={"merges": None}))
    yield case("unknown-token-absent", tokenizer_json(model={
        "unk_token": "<nope>"}))
    yield case("byte-fallback-as-text", tokenizer_json(model={
        "byte_fallback": "yes"}))
    yield case("dropout", tokenizer_json(model={"dropout": 0.5}), code=9)
    yield case("added-object", tokenizer_json(added_tokens={}))
    yield case("added-number", tokenizer_json(added_tokens=[1]))
    yield case("added-without-id", tokenizer_json(
        added_tokens=[{"content": "x"}]))
    yield case("added-without-content", tokenizer_json(
        added_tokens=[{"id": 33}]))
    yield case("added-id-negative", tokenizer_json(added_tokens=[added(
        -1, "x")]))
    yield case("added-id-beyond-model", tokenizer_json(added_tokens=[added(
        VOCABULARY, "x")]))
    yield case("added-id-2-40", tokenizer_json(added_tokens=[added(
        2 ** 40, "x")]))
    yield case("added-id-of-other", tokenizer_json(added_tokens=[added(
        vocab["th"], "<evil>")]))
    yield case("added-content-of-other-id", tokenizer_json(added_tokens=[
        added(33, "th")]))
    yield case("added-id-twice", tokenizer_json(added_tokens=[
        added(33, "x"), added(33, "y")]))
    yield case("added-content-twice", tokenizer_json(added_tokens=[
        added(33, "xx"), added(34, "xx")]))
    yield case("added-empty", tokenizer_json(added_tokens=[added(33, "")]))
    yield case("added-huge", tokenizer_json(added_tokens=[added(
        33, "z" * 100000)]))
    yield case("added-key-twice", json.dumps(good).encode().replace(
        b'"content": "<s>"', b'"content": "x", "content": "<s>"'),
        id="E-JSON-DUPLICATE")
    # C20: ten million of them, in as few bytes as it takes.
    yield case("added-1e7", b'{"added_tokens":[' + b"{}," * 10 ** 7 +
               b'{}],"model":{}}')
    yield case("added-70000", json.dumps(tokenizer_json(added_tokens=[
        {"id": i, "content": f"x{i}"} for i in range(70000)])).encode())
    yield case("vocabulary-1100000", b'{"model":{"type":"BPE","vocab":{' +
               b",".join(b'"%x":%d' % (i, i) for i in range(1_100_000)) +
               b'},"merges":[]}}')
    yield case("merges-1000000-long", b'{"model":{"type":"BPE","vocab":{"a":0},'
               b'"merges":[' + b'"aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa",' * 1000000
               + b'"a a"]}}')
    yield case("vocabulary-1000000-long", b'{"model":{"type":"BPE","vocab":{' +
               b",".join(b'"aaaaaaaaaaaaaaaaa%x":%d' % (i, i)
                         for i in range(1_000_000)) + b'},"merges":[]}}')
    yield case("text-of-39-mib", b'{"normalizer":"' + b"a" * (39 << 20) +
               b'"}')
    yield case("text-of-41-mib", b'{"normalizer":"' + b"a" * (41 << 20) +
               b'"}', id="*")
    yield case("merges-2200000", b'{"model":{"type":"BPE","vocab":{"a":0,'
               b'"aa":1},"merges":[' + b'"a a",' * 2_200_000 + b'"a a"]}}')
    for what, pattern in (
            ("nested", "(a+)+$"), ("nested-class", "([a-z]+)*x"),
            ("nested-deeper", "((a|b)+c?)*d"), ("counted", "(a{1,1000}){1,1000}"),
            ("huge", "a?" * 40000)):
        for form in ("Regex", "String"):
            if form == "String" and what != "huge":
                continue
            yield case(f"regex-{what}-{form.lower()}", tokenizer_json(
                pre_tokenizer={"type": "Split", "pattern": {form: pattern},
                               "behavior": "Isolated", "invert": False}))
    # Not seen to be one, and so not known: no pattern of a file is compiled.
    yield case("regex-alternation", tokenizer_json(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(a|a)*b"},
        "behavior": "Isolated", "invert": False}), code=9)
    yield case("regex-in-sequence", tokenizer_json(pre_tokenizer={
        "type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(.*)*(.*)*(.*)*x"},
             "behavior": "Isolated", "invert": False}]}))
    yield case("regex-in-normalizer", tokenizer_json(normalizer={
        "type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": ""}))
    yield case("pre-tokenizer-number", tokenizer_json(pre_tokenizer=7))
    yield case("pre-tokenizer-without-type", tokenizer_json(pre_tokenizer={}))
    yield case("pre-tokenizer-pattern-number", tokenizer_json(pre_tokenizer={
        "type": "Split", "pattern": 7}))
    yield case("normalizer-charsmap-huge", tokenizer_json(normalizer={
        "type": "Precompiled", "precompiled_charsmap": "A" * (5 << 20)}))
    yield case("sequence-of-1e5", tokenizer_json(pre_tokenizer={
        "type": "Sequence", "pretokenizers": [
            {"type": "ByteLevel"}] * 100000}), id="*")
    # Beside a tokenizer.model it must say the same.
    sp = {text: i for i, (text, _, _) in enumerate(pieces())}
    names = list(sp)
    swapped = dict(sp)
    swapped[names[5]], swapped[names[9]] = swapped[names[9]], swapped[names[5]]
    yield Case("tokenizer-json/vocabulary-swapped-beside-model",
               with_tokenizer_json(tokenizer_json(
                   model={"vocab": swapped, "merges": [],
                          "byte_fallback": False},
                   pre_tokenizer=None, decoder=None), tokenizer_model()),
               "E-TOKENIZER", convert=None, says=("tokenizer.model",))


def tekken_cases():
    def case(name, content, **more):
        files = around(zips.archive())
        del files["tokenizer.model"]
        files["tekken.json"] = content if isinstance(
            content, bytes) else json.dumps(content).encode()
        files["params.json"] = params_json()
        return Case("tekken/" + name, files, more.pop("id", "E-TOKENIZER"),
                    convert=None, **more)

    good = tekken()
    vocab = good["vocab"]
    config = good["config"]

    def entry(index, **changes):
        listed = [dict(item) for item in vocab]
        listed[index].update(changes)
        return tekken(vocab=listed)

    yield case("not-json", b"{", id="*")
    yield case("list", [])
    yield case("depth-1e5", b'{"vocab":' + b"[" * 100000, id="*")
    yield case("no-config", {"vocab": vocab})
    yield case("no-vocabulary", {"config": config})
    yield case("vocabulary-object", tekken(vocab={}))
    yield case("base64-bad", entry(7, token_bytes="!!!"))
    yield case("base64-empty", entry(7, token_bytes=""))
    yield case("base64-huge", entry(7, token_bytes="A" * (1 << 20)))
    yield case("base64-unpadded", entry(7, token_bytes="Bw"))
    yield case("bytes-twice", entry(7, token_bytes=vocab[8]["token_bytes"]))
    yield case("rank-twice", entry(7, rank=8))
    yield case("rank-negative", entry(7, rank=-1))
    yield case("rank-gap", entry(255, rank=300))
    yield case("rank-2-40", entry(255, rank=2 ** 40))
    yield case("byte-missing", tekken(vocab=vocab[:255]))
    yield case("byte-out-of-place", tekken(vocab=[
        {**vocab[0], "token_bytes": vocab[1]["token_bytes"]},
        {**vocab[1], "token_bytes": vocab[0]["token_bytes"]}] + vocab[2:]))
    yield case("vocabulary-size-negative", tekken(config={
        **config, "default_vocab_size": -1}))
    yield case("vocabulary-size-2-40", tekken(config={
        **config, "default_vocab_size": 2 ** 40}))
    yield case("specials-more-than-vocabulary", tekken(config={
        **config, "default_num_special_tokens": 1000}))
    yield case("larger-than-model", good)
    yield case("pattern-bomb", tekken(config={
        **config, "pattern": "(a+)+$"}))
    yield case("special-twice", tekken(special_tokens=[
        {"rank": 0, "token_str": "<s>", "is_control": True},
        {"rank": 0, "token_str": "</s>", "is_control": True}]))


def tokenizer_model_cases():
    def case(name, data, id="E-TOKENIZER", **more):
        return Case("tokenizer-model/" + name, around(
            zips.archive(), **{"tokenizer.model": data}), id, **more)

    good = tokenizer_model()
    listed = pieces()

    def with_piece(index, *entry):
        entries = list(listed)
        entries[index] = entry
        return b"".join(piece(*e) for e in entries) + BPE

    yield case("empty", b"")
    yield case("zeros", b"\0" * 100)
    yield case("html", b"<!doctype html><html>", "E-HTML")
    yield case("pickle", b"\x80\x02cposix\nsystem\n.")
    yield case("lfs-pointer", b"version https://git-lfs.github.com/spec/v1\n",
               "E-LFS-POINTER")
    yield case("cut", good[:-1])
    yield case("varint-11-bytes", b"\xff" * 11 + good)
    yield case("length-2-63", b"\x0a" + varint(2 ** 63) + b"x")
    yield case("length-beyond-file", b"\x0a\x7f" + b"x")
    yield case("field-0", b"\x02\x01x" + good)
    yield case("group", b"\x0b" + good)
    yield case("wire-type-7", b"\x0f" + good)
    yield case("piece-as-number", field(1, 0, b"\x01") + good)
    yield case("piece-empty", with_piece(5, "", 0.0, 1))
    yield case("piece-twice", with_piece(5, listed[6][0], 0.0, 1))
    yield case("piece-not-utf8", with_piece(5, b"\xff\xfe", 0.0, 1))
    yield case("piece-nul", with_piece(5, "a\0b", 0.0, 1))
    yield case("piece-20-kib", with_piece(5, "z" * 20480, 0.0, 1))
    yield case("piece-type-9", with_piece(5, "zz", 0.0, 9))
    for what, score in (("nan", float("nan")), ("infinite", float("inf")),
                        ("minus-infinite", float("-inf"))):
        yield case(f"score-{what}", with_piece(5, "zz", score, 1))
    yield case("no-unknown", with_piece(0, "<unk>", 0.0, 1))
    yield case("two-unknown", with_piece(5, "<unk2>", 0.0, 2))
    yield case("byte-piece-alone", with_piece(5, "<0x41>", 0.0, 6))
    yield case("byte-piece-name", with_piece(5, "<0xZZ>", 0.0, 6))
    yield case("byte-fallback-without-bytes", b"".join(
        piece(*e) for e in listed) + text_field(
            2, field(3, 0, varint(2)) + field(35, 0, b"\x01")))
    for number, what in ((41, "bos"), (42, "eos"), (43, "pad")):
        for lie in (VOCABULARY, 2 ** 31 - 1, 2 ** 64 - 7):
            yield case(f"{what}-id-{lie}", b"".join(
                piece(*e) for e in listed) + text_field(
                    2, field(3, 0, varint(2)) + field(number, 0,
                                                      varint(lie))))
    yield case("more-pieces-than-rows", b"".join(
        piece(*e) for e in listed) + piece("zz", 0.0, 1) + BPE)
    for number in (300_000, 1_000_000, 1_100_000):
        yield case(f"pieces-{number}", b"".join(piece(*e) for e in listed) +
                   b"".join(piece("x%x" % i, 0.0, 1) for i in range(number)) +
                   BPE)
    yield case("charsmap", good + text_field(3, text_field(2, b"\xff" * 100)))
    yield case("charsmap-longer-table", good + text_field(
        3, text_field(2, struct.pack("<I", 8) + b"\0" * 6)))
    yield case("charsmap-8-mib", good + text_field(
        3, text_field(2, b"\x01" * (8 << 20))))
    yield case("denormalizer-rules", good + text_field(
        5, text_field(2, struct.pack("<I", 4) + b"\0" * 6)), code=9)
    yield case("algorithm-9", b"".join(piece(*e) for e in listed) +
               text_field(2, field(3, 0, varint(9))))
    yield case("whitespace-suffix", b"".join(piece(*e) for e in listed) +
               text_field(2, field(3, 0, varint(2)) + field(24, 0, b"\x01")),
               code=9)


def params_cases():
    def case(name, data, id="E-CONFIG", **more):
        return Case("params/" + name, around(
            zips.archive(), **{"params.json": data}), id, **more)

    for what, data in (("empty", b""), ("cut", b"{"), ("list", b"[]"),
                       ("null", b"null"), ("zeros", b"\0" * 100),
                       ("html", b"<html>"),
                       ("second-value", params_json() + b"{}"),
                       ("comment", b"/* x */" + params_json()),
                       ("not-utf8", params_json(model_type="x").replace(
                           b'"x"', b'"\xff"')),
                       ("depth-1e5", b'{"dim":' + b"[" * 100000)):
        yield case(what, data, "*")
    yield case("key-twice", params_json()[:-1] + b', "dim": 64}',
               "E-JSON-DUPLICATE")
    yield case("key-twice-escaped", params_json()[:-1] +
               b', "\\u0064im": 64}', "E-JSON-DUPLICATE")
    yield case("5-mib", params_json(x="a" * (5 << 20)), "*")
    for key in PARAMS:
        if key in ("head_dim", "rope_theta", "n_kv_heads"):
            continue
        less = {k: v for k, v in PARAMS.items() if k != key}
        yield case(f"no-{key}", json.dumps(less).encode())
    for key, lies in (
            ("dim", (0, -1, 1e3, "32", 10 ** 9, 2 ** 64, None, [32])),
            ("n_layers", (0, -1, 10 ** 9, 2)),
            ("n_heads", (0, 3, 10 ** 6)), ("n_kv_heads", (0, 3)),
            ("head_dim", (0, 15, 10 ** 6)),
            ("hidden_dim", (0, 65, 10 ** 9)),
            ("vocab_size", (0, 39, -2, 10 ** 9)),
            ("norm_eps", (0, -1, "x")), ("rope_theta", (0, -1, "x"))):
        for number, lie in enumerate(lies):
            yield case(f"{key.replace('_', '-')}-{number}",
                       params_json(**{key: lie}), "*")
    yield case("norm-eps-1e999", params_json().replace(b"1e-05", b"1e999"),
               "*")
    yield case("norm-eps-nan", params_json().replace(b"1e-05", b"NaN"), "*")
    yield case("moe-as-list", params_json(moe=[]), "*")
    yield case("moe-of-no-experts", params_json(moe={
        "num_experts": 0, "num_experts_per_tok": 0}))
    yield case("moe-more-used-than-there", params_json(moe={
        "num_experts": 2, "num_experts_per_tok": 3}), "*")
    yield case("moe-a-million-experts", params_json(moe={
        "num_experts": 10 ** 6, "num_experts_per_tok": 2}), "*")
    yield case("other-arithmetic", params_json(quantization={"bits": 4}),
               code=9)


def config_cases():
    shards, index = safetensors_files.two_shards()

    def case(name, data, id="E-CONFIG", **more):
        return Case("config/" + name, safetensors_files.hf(
            shards, index, **{"config.json": data}), id, **more)

    yield case("not-json", b"{", "*")
    yield case("key-twice", config_json()[:-1] + b', "hidden_size": 64}',
               "E-JSON-DUPLICATE")
    yield case("depth-1e5", b'{"a":' + b"[" * 100000, "*")
    yield case("architecture-unknown", config_json(
        architectures=["EvilForCausalLM"]), code=9)
    yield case("architectures-two", config_json(
        architectures=["MistralForCausalLM", "Evil"]))
    yield case("architectures-text", config_json(architectures="Mistral"))
    yield case("hidden-size-other", config_json(hidden_size=64), "*")
    yield case("layers-1e9", config_json(num_hidden_layers=10 ** 9))
    yield case("heads-zero", config_json(num_attention_heads=0), "*")
    yield case("theta-in-two-ways", config_json(
        rope_parameters={"rope_theta": 5.0, "rope_type": "default"}))
    yield case("rope-scaling-unknown", config_json(
        rope_scaling={"type": "evil"}), code=9)


def cases():
    yield from tokenizer_json_cases()
    yield from tekken_cases()
    yield from tokenizer_model_cases()
    yield from params_cases()
    yield from config_cases()
