# SPDX-License-Identifier: Apache-2.0
"""Input that is wrong gives the right exit code, one clear error, and leaves
nothing behind."""
import json
import os
import shutil
import socket

import hostile
from harness import (LOCAL, check, contains, equal, flip_byte, main, read,
                     tree, write)

HASH = "5546272da9065eddeb6fcd7ffddeef5b75be79a7"
BTMH = "1220" + "ab" * 32


def magnets(box):
    """A1, A2, A3: links that name no torrent."""
    for link in ("magnet:?", "magnet:?dn=model", "magnet:?xt=",
                 "magnet:?xt=urn:btih:", "magnet:?xt=urn:btih:" + HASH[:-1],
                 "magnet:?xt=urn:btih:" + HASH + "0",
                 "magnet:?xt=urn:btih:" + "g" * 40,
                 "magnet:?xt=urn:btih:" + "1" * 32,
                 "magnet:?xt=urn:sha1:" + "A" * 32,
                 "magnet:?xt=urn:ed2k:" + "a" * 32,
                 "magnet:?xt=urn:btmh:1320" + "ab" * 32,
                 "magnet:?xt=urn:btmh:1220" + "ab" * 31,
                 "magnet:?xt=urn:btih:" + HASH + "&xt=urn:btih:" + "0" * 40,
                 "magnet:?xt=urn:btih:" + HASH + "&so=9-1"):
        box.fails("get", link, "--output", box.path("out"), code=2,
                  id="E-MAGNET")
    for text in ("no-such-model", "/no/such/file.torrent", HASH[:-1], ""):
        box.fails("get", text, "--output", box.path("out"), code=3)
    check(not os.path.exists(box.path("out")), "an output folder was made")


def usage(box):
    demo = box.path("origin", "demo")
    for args in (("frobnicate",), ("get",), ("get", "a", "b"),
                 ("get", HASH, "--no-such-flag"), ("get", HASH, "--port", "x"),
                 ("get", HASH, "--port", "65536"),
                 ("get", HASH, "--down", "fast"),
                 ("get", HASH, "--down", "-1"),
                 ("get", HASH, "--timeout", "soon"),
                 ("get", HASH, "--peer", "nowhere"),
                 ("get", HASH, "--peer", "127.0.0.1:0"),
                 ("get", HASH, "--max-size", "1 parsec"),
                 ("verify",), ("verify", demo, "--level", "vibes"),
                 ("convert", demo), ("convert", demo, "x", "--to", "q1"),
                 ("convert", demo, "x", "--format", "zip"),
                 ("convert", demo, "x", "--split-size", "0"),
                 ("convert", demo, "x", "--split-size", "many"),
                 ("convert", demo, "x", "--to", "safetensors", "--format",
                  "gguf"),
                 ("chat",), ("chat", demo, "-p", ""), ("chat", demo, "-p", " "),
                 ("chat", demo, "-p", "x", "--temp", "-1"),
                 ("chat", demo, "-p", "x", "--top-p", "0"),
                 ("eval",), ("eval", "logits", demo),
                 ("eval", "logits", demo, "--ids", "1,x"),
                 ("eval", "perplexity", demo),
                 ("eval", "perplexity", demo, "--file",
                  os.path.join(demo, "params.json")),
                 ("bench", demo, "--prompt", "0", "--gen", "0"),
                 ("eval", "logits", demo, "--ids", "1,-2"),
                 ("eval", "logits", demo, "--ids", "1,2048"),
                 ("eval", "logits", demo, "--ids", ""),
                 ("publish", demo, "--piece-size", "100"),
                 ("publish", demo, "--piece-size", "0"),
                 ("publish", demo, "--format", "v3"),
                 ("seed", demo, "--time", "long"),
                 ("help", "no-such-topic")):
        box.fails(*args, code=2)
    box.run("chat", demo, stdin=b"", code=2)
    box.run("chat", demo, stdin=b" \n", code=2)
    for args in (("verify", "/no/such/path"), ("seed", "/no/such/path"),
                 ("publish", "/no/such/path"), ("chat", "/no/such/path"),
                 ("convert", "/no/such/path", "x.gguf"),
                 ("eval", "logits", "/no/such/path", "--prompt", "x")):
        box.fails(*args, code=3, says="/no/such/path")
    empty = box.path("empty")
    os.makedirs(empty)
    box.fails("verify", empty, code=3)
    box.fails("chat", empty, "-p", "x", code=3)
    # What needs no model, and says so on standard output.
    for args in (("--help",), ("--version",), ("help", "exit-codes"),
                 ("get", "--help"), ()):
        check(box.run(*args).stdout != "", f"{args} printed nothing")
    equal(json.loads(box.run("--version", "--json", code=None, schema=False)
                     .stdout)["verb"], "version", "version as a document")


def torrents(box):
    """A .torrent that could write where it should not, or never end: A9, A10,
    A13, A14, A15, A17, A18."""
    ok = (("a.bin",), 5)
    cases = {
        "parent": hostile.torrent([ok, (("..", "evil"), 5)]),
        "parent-deep": hostile.torrent([ok, (("a", "..", "..", "evil"), 5)]),
        "parent-name": hostile.torrent([ok], name=".."),
        "dot": hostile.torrent([ok, ((".", "evil"), 5)]),
        "absolute": hostile.torrent([ok, (("/etc/evil",), 5)]),
        "absolute-name": hostile.torrent([ok], name="/tmp/evil"),
        "slash-name": hostile.torrent([ok], name="a/b"),
        "backslash": hostile.torrent([ok, (("a\\..\\evil",), 5)]),
        "drive": hostile.torrent([ok, (("C:", "evil"), 5)]),
        "empty-part": hostile.torrent([ok, (("", "evil"), 5)]),
        "no-part": hostile.torrent([ok, ((), 5)]),
        "nul": hostile.torrent([ok, (("a\0b",), 5)]),
        "control": hostile.torrent([ok, (("a\x1b[2J",), 5)]),
        "bidi": hostile.torrent([ok, (("gpj\u202ehtp",), 5)]),
        "latin-1": hostile.torrent([ok, ((b"caf\xe9",), 5)]),
        "long": hostile.torrent([ok, (("n" * 256,), 5)]),
        "duplicate": hostile.torrent([ok, ok]),
        "case": hostile.torrent([ok, (("A.BIN",), 5)]),
        "unicode": hostile.torrent([(("caf\u00e9",), 5),
                                    (("cafe\u0301",), 5)]),
        "file-is-folder": hostile.torrent([ok, (("a.bin", "b"), 5)]),
        "symlink": hostile.torrent(
            [ok, (("l",), 0, {"attr": "l", "symlink path": ["..", "x"]})]),
        "pad-on-file": hostile.torrent([(("a.bin",), 99999, {"attr": "p"}),
                                        (("b",), 5)]),
        "negative": hostile.torrent([(("a.bin",), -1)]),
        "huge": hostile.torrent([(("a.bin",), 1 << 62)]),
        "overflow": hostile.torrent([(("a",), (1 << 63) - 1),
                                     (("b",), (1 << 63) - 1)]),
        "piece-0": hostile.torrent([ok], piece_length=1,
                                   **{"piece length": 0}),
        "piece-odd": hostile.torrent([ok], **{"piece length": 100000}),
        "piece-huge": hostile.torrent([ok], **{"piece length": 1 << 40}),
        "few-pieces": hostile.torrent([(("a",), 16384 * 10)],
                                      pieces=b"\x11" * 20),
        "odd-pieces": hostile.torrent([ok], pieces=b"\x11" * 19),
        "no-pieces": hostile.torrent([ok], pieces=None),
        "no-files": hostile.torrent([]),
        "no-name": hostile.torrent([ok], name=None),
        "not-bencode": b"<!doctype html><title>404</title>",
        "empty": b"",
        "cut": hostile.torrent([ok])[:-3],
        "more": hostile.torrent([ok]) + b"e",
        "deep": b"l" * 100000 + b"e" * 100000,
        "unordered": b"d4:name1:a4:infodee",
        "length-lies": b"d4:info99999999999999999999:e",
    }
    out = box.path("torrent-out")
    for name, data in cases.items():
        path = write(box.path("torrents", name + ".torrent"), data)
        check(len(data) < 1 << 20, f"{name}: an oversized test")
        run = box.run("get", path, "--output", out, "--json", *LOCAL, code=8)
        contains(run.error["message"], name + ".torrent", "error names file")
        box.run("verify", box.path("origin", "demo"), "--against", path, code=8)
    box.fails("get", box.path("torrents", "parent.torrent"), "--output", out,
              *LOCAL, code=8, id="E-PATH", says="..")
    box.fails("get", box.path("torrents", "case.torrent"), "--output", out,
              *LOCAL, code=8, id="E-NAME-COLLISION", says=("a.bin", "A.BIN"))
    box.fails("get", box.path("torrents", "symlink.torrent"), "--output", out,
              *LOCAL, code=8, id="E-SYMLINK")
    check(not os.path.exists(out) or tree(out) == {},
          f"something was written: {tree(out)}")
    check(not os.path.exists("/tmp/evil"), "written outside")


def models(box):
    """Parts that do not belong together."""
    demo = box.path("origin", "demo")
    params = json.loads(read(os.path.join(demo, "params.json")))
    folder = box.path("misfit")

    def variant(**files):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(demo, folder)
        # Its sums tell the same at once.
        os.remove(os.path.join(folder, "RELEASE"))
        for name, content in files.items():
            name = {"params": "params.json", "tokenizer": "tokenizer.model",
                    "weights": "consolidated.00.pth"}[name]
            write(os.path.join(folder, name), content)

    moe_key = "moe" if isinstance(params.get("moe"), dict) else None
    cases = [({"n_layers": params["n_layers"] + 1}, "layers."),
             ({"n_layers": params["n_layers"] - 1}, "layers."),
             ({"dim": params["dim"] * 2}, ("tensor", "shape")),
             ({"hidden_dim": params["hidden_dim"] + 32}, "w1"),
             ({"vocab_size": params["vocab_size"] + 1}, "tok_embeddings"),
             ({"n_heads": 0}, "n_heads"),
             ({"n_layers": -1}, "n_layers"),
             ({"n_layers": 10 ** 9}, "n_layers"),
             ({"dim": "many"}, "dim"),
             ({"norm_eps": -1}, "norm_eps")]
    if moe_key:
        experts = params["moe"]["num_experts"]
        cases += [({"moe": {**params["moe"], "num_experts": experts + 1}},
                   "gate"),
                  ({"moe": {**params["moe"],
                            "num_experts_per_tok": experts + 1}}, "expert")]
    for change, says in cases:
        variant(params=json.dumps({**params, **change}))
        for text in [says] if isinstance(says, str) else says:
            run = box.fails("verify", folder, code=8)
            contains(run.error["message"], text, f"{change}: message")
        for args in (("chat", folder, "-p", "x"),
                     ("convert", folder, box.path("x.gguf"))):
            box.run(*args, code=8)
    for key in ("dim", "n_layers", "n_heads"):
        less = {name: value for name, value in params.items() if name != key}
        variant(params=json.dumps(less))
        box.fails("verify", folder, code=8, says=key)
    for text in ("", "{", "[]", "null", '{"dim": 1, "dim": 2}',
                 "[" * 100000, json.dumps(params) + "x"):
        variant(params=text)
        box.fails("verify", folder, code=8, says="params.json")
    for content in (b"", b"\0" * 1000, b"not a tokenizer", b"\x0a\xff\xff\xff",
                    read(os.path.join(demo, "tokenizer.model"))[:5000],
                    b"<!doctype html>"):
        variant(tokenizer=content)
        box.fails("verify", folder, code=8, says="tokenizer.model")
        box.run("chat", folder, "-p", "x", code=8)
    check(not os.path.exists(box.path("x.gguf")), "convert left an output")


def truncated_weights(box):
    """A .pth that ends early is refused wherever it ends."""
    whole = read(os.path.join(box.path("origin", "demo"),
                              "consolidated.00.pth"))
    alone = box.path("alone", "consolidated.00.pth")
    write(alone, whole)
    box.run("verify", alone)
    sizes = {len(whole) * i // 64 for i in range(64)}
    sizes |= {len(whole) - cut for cut in range(1, 201)}
    # From the longest to the shortest: one file, cut again and again.
    for size in sorted(sizes, reverse=True):
        os.truncate(alone, size)
        run = box.run("verify", alone, "--level", "structure", code=8)
        contains(run.error_lines[0], "consolidated.00.pth",
                 f"error for {size} bytes")


def outputs(box):
    """Where nothing can be written, or something is there already."""
    demo = box.path("origin", "demo")
    magnet = "magnet:?xt=urn:btih:" + HASH
    file = write(box.path("a-file"), "mine")
    for args in (("get", magnet, "--output", file),
                 ("get", magnet, "--output", file + "/below"),
                 ("get", magnet, "--output", "/sys/nowhere"),
                 ("convert", demo, file + "/below.gguf"),
                 ("convert", demo, "/sys/nowhere.gguf"),
                 ("publish", demo, "--output", "/sys/x.torrent")):
        box.fails(*args, code=5)
    # A file is no less there for not being a GGUF file.
    box.fails("convert", demo, file, code=5, id="E-EXISTS", says="already exists")
    box.fails("publish", demo, "--output", file, code=5, id="E-EXISTS")
    equal(read(file), b"mine", "the file in the way")
    box.run("convert", demo, file, "--overwrite")
    check(read(file)[:4] == b"GGUF", "--overwrite did not convert")
    # Standard output that takes nothing. Without --json, verify prints no
    # result there but the path, which is lost as well.
    with open("/dev/full", "wb") as full:
        for args in (("publish", demo, "--output", box.path("f.torrent")),
                     ("chat", demo, "-p", "What is an ocean?"),
                     ("verify", demo), ("--version",),
                     ("help", "exit-codes")):
            run = box.run(*args, code=5, stdout=full)
            contains(run.error_lines[0], "error[E-STDOUT]: ", "error line")
        for args in (("verify", demo), ("chat", demo, "-p", "hi")):
            run = box.run(*args, "--json", code=5, stdout=full, schema=False)
            contains(run.error_lines[0], "error[E-STDOUT]: ", "error line")


def ports_and_peers(box):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = box.path("origin", "demo")
        box.fails("seed", demo, "--listen", "127.0.0.1", "--port", port,
                  "--no-dht", "--no-lsd", code=12, id="E-PORT", says=str(port))
        box.fails("get", "magnet:?xt=urn:btih:" + HASH, "--output",
                  box.path("busy"), "--listen", "127.0.0.1", "--port", port,
                  "--no-dht", "--no-lsd", code=12, says=str(port))
    # Nobody has it: given up in time, and a later run may go on.
    out = box.path("nobody")
    run = box.fails("get", "magnet:?xt=urn:btih:" + HASH, "--output", out,
                    "--timeout", "1s", "--port", "0", *LOCAL, code=4,
                    id="E-NO-PEERS")
    equal(run.result["exit_name"], "network", "exit_name")
    equal(os.listdir(out), [f".{HASH}.partial"], "what is kept")
    data = hostile.torrent([(("a.bin",), 5)])
    path = write(box.path("nobody.torrent"), data)
    box.fails("get", path, "--output", out, "--timeout", "1s", "--port", "0",
              *LOCAL, code=4, id="E-NO-PEERS", says="run the same command")
    check(f".{hostile.info_hash(data)}.partial" in os.listdir(out),
          "the partial is gone")
    check(not os.path.exists(os.path.join(out, "model")), "a final name")


def test(box):
    box.demo()
    magnets(box)
    usage(box)
    torrents(box)
    models(box)
    truncated_weights(box)
    outputs(box)
    ports_and_peers(box)


main(test)
