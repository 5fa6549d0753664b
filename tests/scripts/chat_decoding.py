# SPDX-License-Identifier: Apache-2.0
"""How an answer is made: guesses that change nothing, penalties, stop strings,
conversations that are saved and gone on with, experts that are shown; and
options that cannot be, which are refused before anything is loaded."""
import os
import shutil
import stat

from harness import DEMO, check, contains, equal, flip_byte, main, read, write

REPEATING = "one two three one two three one two three one two"
WARM = ("--temp", "0.8", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.02",
        "--repeat-penalty", "1.1", "--repeat-last-n", "32", "--seed", "7")


def answer(box, *args, **more):
    run = box.run("chat", *args, "--json", **more)
    summary = run.result["summary"]
    equal("".join(event["text"] for event in run.of_type("token")),
          summary["text"], f"the tokens' text\n{run}")
    return run, summary


def lookup(box):
    for how in ((), WARM):
        for raw in ((), ("--raw",)):
            ask = (DEMO, "-p", REPEATING, "--max-tokens", "60", *how, *raw)
            _, plain = answer(box, *ask, "--lookup", "off")
            equal(plain["proposed_tokens"], 0, "guessed with --lookup off")
            for mode in ("auto", "on"):
                _, guessed = answer(box, *ask, "--lookup", mode)
                for name in ("ids", "text", "finish_reason"):
                    equal(guessed[name], plain[name], f"{name}, --lookup {mode}")
                check(guessed["accepted_tokens"] <= guessed["proposed_tokens"],
                      "more accepted than proposed")
    # An answer that was given before is guessed from then on.
    path = box.path("twice.session")
    ask = (DEMO, "-p", "What is an ocean?", "--session", path, "--lookup")
    answer(box, *ask, "on")
    kept = read(path)
    _, plain = answer(box, *ask, "off")
    write(path, kept)
    # Not auto, which pauses where this machine is slow for a moment.
    _, guessed = answer(box, *ask, "on")
    equal(guessed["ids"], plain["ids"], "an answer that was guessed")
    check(guessed["accepted_tokens"] > plain["completion_tokens"] / 2,
          f"few guesses were right: {guessed}")
    check(guessed["passes"] < plain["completion_tokens"] / 2,
          f"nearly as many passes as tokens: {guessed}")


def stops(box):
    ask = (DEMO, "-p", "What is an ocean?", "--max-tokens", "40")
    _, whole = answer(box, *ask)
    text = whole["text"]
    check(len(text) > 8, f"a short answer: {text!r}")
    stop = text[3:7]
    run, cut = answer(box, *ask, "--stop", "not in the text", "--stop", stop)
    equal(cut["text"], text[:text.find(stop)], "the text before the stop")
    equal(cut["finish_reason"], "stop", "finish_reason")
    equal(cut["ids"], whole["ids"][:len(cut["ids"])], "ids before the stop")
    _, uncut = answer(box, *ask, "--stop", "not in the text")
    equal(uncut["text"], text, "the text without its stop")
    # What was held back comes at the end, with no token.
    run, held = answer(box, *ask, "--stop", text[-1] + "never")
    equal(held["text"], text, "the text of which the end was held back")
    equal(run.of_type("token")[-1]["id"], None, "the id of held text")


def refusals(box):
    for args, id, says in (
            (("--temp", "nan"), "E-SAMPLING", "--temp"),
            (("--temp", "-1"), "E-SAMPLING", "--temp"),
            (("--top-p", "0"), "E-SAMPLING", "--top-p"),
            (("--top-p", "1.5"), "E-SAMPLING", "--top-p"),
            (("--min-p", "inf"), "E-SAMPLING", "--min-p"),
            (("--repeat-penalty", "0"), "E-SAMPLING", "--repeat-penalty"),
            (("--repeat-last-n", "4000000000"), "E-SAMPLING",
             "--repeat-last-n"),
            (("--top-k", "-1"), "E-USAGE", "--top-k"),
            (("--lookup", "maybe"), "E-USAGE", "--lookup"),
            (("--stop", ""), "E-STOP", "empty"),
            (("--stop", "x" * 5000), "E-STOP", "5000"),
            (("--stop", os.fsdecode(b"\xff")), "E-STOP", "UTF-8")):
        # The model is not looked at: it need not be there.
        box.fails("chat", "no-such-model", "-p", "x", *args, code=2, id=id,
                  says=says)


def sessions(box):
    # A prompt that goes on where another ended: the same answer, less work.
    path = box.path("raw.session")
    begin = "The ocean is a body of water that covers"
    more = begin + " most of the Earth. A sea is"
    ask = (DEMO, "--raw", "--max-tokens", "20")
    _, first = answer(box, *ask, "-p", begin, "--session", path)
    equal(first["reused_tokens"], 0, "reused from nothing")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the session")
    _, fresh = answer(box, *ask, "-p", more)
    _, reused = answer(box, *ask, "-p", more, "--session", path)
    equal(reused["ids"], fresh["ids"], "ids after a restored prefix")
    check(reused["reused_tokens"] > 5, f"nothing was reused: {reused}")
    equal(reused["reused_tokens"] + reused["prompt_tokens"],
          fresh["prompt_tokens"], "tokens of the prompt")

    # A conversation: the second question is asked in the light of the first.
    path = box.path("talk.session")
    run, one = answer(box, DEMO, "-p", "What is an ocean?", "--session", path)
    kept = read(path)
    contains(kept.decode("utf-8", "replace"), "What is an ocean?",
             "the turns in the session")
    _, two = answer(box, DEMO, "-p", "And a sea?", "--session", path)
    check(two["reused_tokens"] >= one["prompt_tokens"],
          f"the first turn was run again: {two}")
    # Again from the same file, and with guesses of every kind: the same.
    for mode in ("off", "on"):
        shutil.copyfile(path, box.path("after"))
        write(path, kept)
        _, again = answer(box, DEMO, "-p", "And a sea?", "--session", path,
                          "--lookup", mode)
        equal(again["ids"], two["ids"], f"second answer, --lookup {mode}")
        equal(read(path), read(box.path("after")), "the session afterwards")

    # Not of this model, not computed so, too long, damaged: said, and the file
    # is left as it was.
    kept = read(path)
    gguf = box.path("demo.gguf")
    box.run("convert", DEMO, gguf, "--to", "q8_0")
    box.fails("chat", gguf, "-p", "x", "--session", path, code=6,
              id="E-SESSION-MODEL", says=("another model", "talk.session"))
    box.fails("chat", DEMO, "-p", "x", "--session", path, "--exact", code=6,
              id="E-SESSION-ENGINE", says="--exact")
    box.fails("chat", DEMO, "-p", "x", "--session", path, "--ctx", "10",
              code=8, id="E-CONTEXT", says="--ctx")
    equal(read(path), kept, "the session after refusals")
    for at in (3, 60, 100, len(kept) // 2, len(kept) - 1):
        flip_byte(path, at)
        box.fails("chat", DEMO, "-p", "x", "--session", path, code=8,
                  id="E-SESSION", says="remove this one")
        flip_byte(path, at)
    write(path, kept[:len(kept) // 2])
    box.fails("chat", DEMO, "-p", "x", "--session", path, code=8,
              id="E-SESSION")
    box.run("chat", DEMO, "-p", "x", "--session", box.path("no", "where"),
            code=3)


def experts(box):
    run, summary = answer(box, DEMO, "-p", "What is an ocean?", "--experts",
                          "--max-tokens", "12")
    shown = run.of_type("experts")
    equal(len(shown), 1, "experts events")
    event = shown[0]
    tokens = summary["prompt_tokens"] + summary["completion_tokens"]
    # The last token is not run if it ended the answer.
    check(tokens - 1 <= event["tokens"] <= tokens, f"tokens\n{run}")
    for layer in range(event["layers"]):
        equal(sum(event["counts"][layer]), event["tokens"] * event["top_k"],
              f"counts of layer {layer}")
        equal(sum(event["first_counts"][layer]), event["tokens"],
              f"first choices of layer {layer}")
        check(0 < event["entropy"][layer] <= 1, "entropy")
        check(0 <= event["margin"][layer] <= 1, "margin")
    for token in run.of_type("token"):
        equal([len(route) for route in token["routes"]],
              [event["top_k"]] * event["layers"], "routes")
    # For people: the answer on stdout, the table beside it, no other tokens.
    plain = box.run("chat", DEMO, "-p", "What is an ocean?", "--experts",
                    "--max-tokens", "12")
    equal(plain.stdout, summary["text"] + "\n", "stdout")
    contains(plain.stderr, "entropy", "the table")
    equal(len([line for line in plain.stderr.splitlines()
               if line.lstrip()[:1].isdigit()]), event["layers"] + 1,
          f"lines of the table\n{plain}")
    _, without = answer(box, DEMO, "-p", "What is an ocean?", "--max-tokens",
                        "12")
    equal(without["ids"], summary["ids"], "ids without --experts")


def bench(box):
    args = ("bench", DEMO, "--prompt", "16", "--gen", "40", "--repeat", "1",
            "--lookup", "--parallel", "3", "--layers")
    summary = box.run(*args, "--json").result["summary"]
    lookup_figures = summary["lookup"]
    check(lookup_figures["proposed"] >= lookup_figures["accepted"] > 0,
          f"guesses: {lookup_figures}")
    check(lookup_figures["passes"] <= 40, f"passes: {lookup_figures}")
    equal(summary["parallel"]["sequences"], 3, "sequences")
    check(summary["parallel"]["tokens_per_s"] > 0, "rate of all together")
    equal([layer["name"] for layer in summary["layers"]][-1], "output",
          "the last of the layers")
    check(all(layer["seconds"] > 0 and layer["bytes"] > 0
              for layer in summary["layers"]), f"layers: {summary['layers']}")
    text = box.run(*args).stdout
    for word in ("lookup ", "guessed tokens right", "parallel 3", "layer 0",
                 "output "):
        contains(text, word, "bench")


def test(box):
    lookup(box)
    stops(box)
    refusals(box)
    sessions(box)
    experts(box)
    bench(box)


main(test)
