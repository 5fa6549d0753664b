# SPDX-License-Identifier: Apache-2.0
"""Ids, logits and greedy text are those that another implementation gave
(tests/golden/README.md), from the published file and from its conversions."""
import json
import math
import os

from harness import DEMO, SOURCE, check, contains, equal, main, read

# Relative to the largest golden logit of the prompt. bf16 weights are
# multiplied in another order than there; q8_0 keeps 8 bits of each weight.
BOUND_EXACT = 2e-3
BOUND_Q8_0 = 3e-2
PROMPTS = 4


def relative_error(actual, expected):
    scale = max(abs(value) for value in expected)
    return max(abs(a - e) for a, e in zip(actual, expected)) / scale


def logits(box, model, *how):
    summary = box.run("eval", "logits", model, *how,
                      "--json").result["summary"]
    check(all(map(math.isfinite, summary["logits"])), "a logit is not finite")
    return summary["ids"], summary["logits"]


def test(box):
    golden = json.loads(read(os.path.join(SOURCE, "tests/golden/demo.json")))
    bf16, q8_0 = box.path("bf16.gguf"), box.path("q8_0.gguf")
    box.run("convert", DEMO, bf16)
    box.run("convert", DEMO, q8_0, "--to", "q8_0")
    equal(os.listdir(box.folder).count("bf16.gguf"), 1, "outputs")
    check(os.path.getsize(q8_0) < 0.6 * os.path.getsize(bf16),
          "q8_0 is not smaller")

    chosen = golden[:PROMPTS] + [entry for entry in golden[PROMPTS:]
                                 if "[INST]" not in entry["prompt"]][:1]
    for entry in chosen:
        for model, bound in ((DEMO, BOUND_EXACT), (bf16, BOUND_EXACT),
                             (q8_0, BOUND_Q8_0)):
            ids, values = logits(box, model, "--prompt", entry["prompt"])
            equal(ids, entry["ids"], f"ids of {entry['prompt']!r}")
            equal(len(values), len(entry["last_logits"]), "logits")
            error = relative_error(values, entry["last_logits"])
            print(f"{os.path.basename(model)}: {error:.2e}")
            check(error <= bound,
                  f"{entry['prompt']!r} with {model}: error {error:.2e}")
            # Ids in place of text give the same to the last bit, with any
            # number of threads.
            same = logits(box, model, "--threads", "1", "--ids",
                          ",".join(map(str, ids)))
            equal(same, (ids, values), "logits of --ids")
        for model in (DEMO, bf16):
            run = box.run("chat", model, "--raw", "-p", entry["prompt"],
                          "--json")
            # The golden list ends with the token that ends a text.
            equal(run.result["summary"]["ids"],
                  [token for token in entry["greedy"] if token != 2],
                  f"greedy ids of {entry['prompt']!r}")
            plain = box.run("chat", model, "--raw", "-p", entry["prompt"])
            equal(plain.stdout.strip(), entry["text"].strip(), "greedy text")

    # The instruct template around a question is that of the golden prompt;
    # standard input serves as well as -p.
    entry = golden[0]
    question = entry["prompt"].removeprefix("[INST] ").removesuffix(" [/INST]")
    for model in (DEMO, bf16):
        run = box.run("chat", model, "-p", question)
        equal(run.stdout.strip(), entry["text"], "answer")
    run = box.run("chat", q8_0, stdin=question.encode())
    equal(run.stdout.strip(), entry["text"], "answer of q8_0 to stdin")
    # Sampling is repeatable, and bounded by --max-tokens.
    sampled = ("chat", bf16, "-p", question, "--temp", "1.5", "--max-tokens",
               "12", "--json", "--seed")
    first = box.run(*sampled, "7").result["summary"]
    equal(box.run(*sampled, "7").result["summary"]["ids"], first["ids"],
          "ids with the same seed")
    others = [box.run(*sampled, str(seed)).result["summary"]["ids"]
              for seed in range(8, 12)]
    check(any(ids != first["ids"] for ids in others), "the seed has no effect")
    check(len(first["ids"]) <= 12, "--max-tokens")
    # Without --json the likeliest next token comes first.
    run = box.run("eval", "logits", DEMO, "--prompt", entry["prompt"])
    best = max(range(2048), key=lambda i: entry["last_logits"][i])
    equal(int(run.stdout.split()[0]), best, "the likeliest token")
    contains(run.stderr, f"{len(entry['ids'])} tokens in", "the heading")


main(test)
