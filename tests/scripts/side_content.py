# SPDX-License-Identifier: Apache-2.0
"""What lies beside good weights: chat templates are measured and never
rendered (C19); what could run elsewhere is listed, never run, and left out of
what a conversion writes (C21). Tokens that were exchanged are found where
something says how they were (C20)."""
import hashlib
import json
import os

from harness import check, contains, equal, main, read, write

EVIL = ("{{ cycler.__init__.__globals__.os.popen("
        "'touch lodestone-canary').read() }}")


def checks(run, id):
    return [e for e in run.of_type("check") if e["id"] == id]


def templates(box):
    """C19: malicious, and of 60 kB."""
    model = box.demo("c19", "demo")
    for text, concern in ((EVIL, "insides"), ("{# x #}" * 9000, "longer"),
                          ("{{ messages }}\u202e", "hide")):
        write(os.path.join(model, "tokenizer_config.json"),
              json.dumps({"chat_template": text}))
        data = text.encode()
        run = box.run("verify", model, "--json")
        found = checks(run, "structure.template")
        equal(len(found), 1, f"checks of templates\n{run}")
        equal(found[0]["status"], "warn", "status")
        contains(found[0]["detail"], concern, "detail")
        equal(found[0]["evidence"]["sha256"],
              hashlib.sha256(data).hexdigest(), "sha256")
        equal(found[0]["evidence"]["bytes"], len(data), "bytes")
        plain = box.run("verify", model)
        contains(plain.stderr, hashlib.sha256(data).hexdigest(), "warning")
        box.run("verify", model, "--strict", code=10)
        # The answer is that of the model without the file.
        equal(box.run("chat", model, "-p", "What is an ocean?").stdout,
              box.run("chat", box.path("origin", "demo"), "-p",
                      "What is an ocean?").stdout, "answer")
    # An ordinary one is no finding.
    write(os.path.join(model, "tokenizer_config.json"),
          json.dumps({"chat_template": "{{ messages }}"}))
    run = box.run("verify", model, "--strict", "--json")
    equal(checks(run, "structure.template")[0]["status"], "pass", "status")
    # Two that differ are one.
    write(os.path.join(model, "chat_template.jinja"), "{{ other }}")
    box.run("verify", model, "--strict", code=10)


def programs(box):
    """C21: listed by name or content; the conversion is the same."""
    model = box.demo("c21", "demo")
    box.run("convert", model, box.path("before.gguf"))
    canary = box.path("lodestone-canary")
    touch = f"touch {canary}\n"
    files = {
        "modeling_evil.py": f"import os; os.system('{touch.strip()}')\n",
        "sub/kernel.so": "\x7fELF", "setup.exe": "MZ", "run": "#!/bin/sh\n"
        + touch, "notes.ipynb": "{}", "x.skops": "PK",
        "config.json": json.dumps({"auto_map": {"AutoModel": "evil.X"}}),
        ".gitattributes": "* filter=evil\n",
        "model.llamafile": "MZqFpD='\n", "args.bin": b"\x80\x02}.",
    }
    for name, data in files.items():
        path = write(os.path.join(model, name), data)
        os.chmod(path, 0o755)
    run = box.run("verify", model, "--json")
    equal(sorted(c["subject"] for c in checks(run, "structure.active")),
          sorted(files), "listed")
    equal(run.result["summary"]["side_findings"], len(files), "findings")
    box.run("verify", model, "--strict", code=10)
    plain = box.run("verify", model)
    contains(plain.stderr, "modeling_evil.py", "list")
    box.run("convert", model, box.path("after.gguf"))
    check(read(box.path("after.gguf")) == read(box.path("before.gguf")),
          "the conversion is another one")
    check(not os.path.exists(canary), "something was run")


def pieces(data):
    """(begin, end) of each piece of a tokenizer.model, with its header."""
    found, at = [], 0
    while data[at] == 0x0a:
        length, shift, begin = 0, 0, at
        while True:
            at += 1
            length |= (data[at] & 0x7f) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1 + length
        found.append((begin, at))
    return found


def exchanged_tokens(box):
    """C20: two tokens exchanged. A list that covers the file finds it (6); a
    tokenizer.json beside it that was not changed finds it too (8)."""
    model = box.demo("c20", "demo")
    path = os.path.join(model, "tokenizer.model")
    whole = read(path)
    (a, a_end), (b, b_end) = pieces(whole)[900], pieces(whole)[1200]
    write(path, whole[:a] + whole[b:b_end] + whole[a_end:b] +
          whole[a:a_end] + whole[b_end:])
    box.fails("verify", model, code=6, says="tokenizer.model")
    equal(len(read(path)), len(whole), "size")
    os.remove(os.path.join(model, "RELEASE"))
    box.run("verify", model)  # nothing is left that could tell
    texts = []
    for begin, end in pieces(whole):
        # Tag and length of the piece, then those of its text.
        inner = whole[begin:end][2 if whole[begin + 1] < 0x80 else 3:]
        texts.append(inner[2:2 + inner[1]].decode())
    write(os.path.join(model, "tokenizer.json"), json.dumps({
        "model": {"type": "BPE", "merges": [],
                  "vocab": {text: id for id, text in enumerate(texts)}}}))
    box.fails("verify", model, code=8, id="E-TOKENIZER",
              says=("tokenizer.json", "id 900"))
    write(path, whole)
    box.run("verify", model)


def test(box):
    box.demo()
    exchanged_tokens(box)
    templates(box)
    programs(box)
    check(not os.path.exists(box.path("lodestone-canary")), "was rendered")


main(test)
