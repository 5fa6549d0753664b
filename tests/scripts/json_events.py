# SPDX-License-Identifier: Apache-2.0
"""With --json, standard output is a stream of events that keep the schema,
whatever the verb and its end. Each run here goes through check_events."""
import os
import signal

from harness import LOCAL, bare, check, equal, flip_byte, main, write


def types_of(run):
    return {event["type"] for event in run.events}


def expect(run, verb, *types):
    for event in run.events:
        equal(event["verb"], verb, f"verb\n{run}")
        equal(event["v"], 1, "v")
    missing = {"start", "result", *types} - types_of(run)
    check(not missing, f"no event of type {missing}\n{run}")
    begun = [event["stage"] for event in run.of_type("stage")
             if event["state"] == "begin"]
    ended = [event["stage"] for event in run.of_type("stage")
             if event["state"] == "end"]
    equal(sorted(begun), sorted(ended), f"stages begun and ended\n{run}")
    start = run.of_type("start")[0]
    equal(start["argv"], run.argv, "argv")
    check(run.result["elapsed_s"] >= 0, "elapsed_s")
    return run


def test(box):
    demo = box.demo()
    models = box.path("models")

    run = expect(box.run("publish", demo, "--json", env=box.user("pub")),
                 "publish", "stage", "progress")
    equal(run.result["path"], demo + ".torrent", "path")
    magnet = run.result["summary"]["magnet"]
    os.remove(demo + ".torrent")

    seeder = box.seed(demo)
    equal(bare(seeder.magnet), bare(magnet), "magnet")
    run = expect(box.get(magnet, seeder, models, "--json"), "get", "plan",
                 "stage", "progress", "file", "check", "experts")
    copy = os.path.join(models, "demo")
    equal(run.result["path"], copy, "path")
    equal(run.result["summary"]["total_bytes"],
          run.of_type("plan")[0]["total_bytes"], "total_bytes")
    expect(box.get(magnet, seeder, models, "--json"), "get", "file")
    expect(box.run("download", magnet, "--output", models, "--json"), "get")
    ended = seeder.process.stop(signal.SIGTERM, 143)
    expect(ended, "seed", "plan", "listen", "progress")
    equal(ended.result["exit_name"], "terminated", "exit_name")

    run = expect(box.run("verify", copy, "--level", "smoke", "--json"),
                 "verify", "file", "check", "experts")
    equal({event["status"] for event in run.of_type("file")}, {"ok"}, "status")
    flip_byte(os.path.join(copy, "consolidated.00.pth"), 8_000_000)
    run = expect(box.run("verify", copy, "--json", code=6), "verify", "error")
    flip_byte(os.path.join(copy, "consolidated.00.pth"), 8_000_000)

    gguf = box.path("demo.gguf")
    run = expect(box.run("convert", copy, gguf, "--to", "q8_0", "--json"),
                 "convert", "stage", "progress")
    equal(run.result["summary"]["bytes"], os.path.getsize(gguf), "bytes")
    run = expect(box.run("chat", gguf, "-p", "What is an ocean?", "--json"),
                 "chat", "token")
    equal("".join(event["text"] for event in run.of_type("token")),
          run.result["summary"]["text"], "the tokens' text")
    check(all(event["logprob"] <= 0 for event in run.of_type("token")),
          "a probability above one")
    run = expect(box.run("eval", "logits", gguf, "--prompt", "A", "--json"),
                 "eval", "stage")
    equal(len(run.result["summary"]["logits"]), 2048, "logits")
    text = write(box.path("text.txt"), "The ocean is a body of water. " * 20)
    run = expect(box.run("eval", "perplexity", gguf, "--file", text, "--ctx",
                         "32", "--json"), "eval", "stage")
    equal(run.result["summary"]["tokens"],
          15 * run.result["summary"]["chunks"], "tokens foretold")
    check(run.result["summary"]["perplexity"] > 1, "perplexity")
    run = expect(box.run("bench", gguf, "--prompt", "24", "--gen", "4",
                         "--repeat", "1", "--json"), "bench", "stage")
    for name in ("pp_tokens_per_s", "tg_tokens_per_s", "peak_memory_bytes"):
        check(run.result["summary"][name] > 0, name)
    expect(box.run("demo", "--output", box.path("d"), "--json"), "demo",
           "stage")

    # Ends of every kind. An empty verb where none was understood.
    for verb, code, args in (
            ("", 2, ("frobnicate",)), ("", 2, ()),
            ("get", 2, ("get",)), ("get", 2, ("get", "magnet:?xt=x")),
            ("get", 2, ("get", magnet, "--port", "-1")),
            ("get", 3, ("get", "no-such-file")),
            ("get", 4, ("get", "magnet:?xt=urn:btih:" + "1" * 40, "--output",
                        box.path("x"), "--timeout", "0.3s", "--port", "0",
                        *LOCAL)),
            ("seed", 3, ("seed", "no-such-file")),
            ("publish", 3, ("publish", "no-such-file")),
            ("verify", 3, ("verify", "no-such-file")),
            ("verify", 8, ("verify", write(box.path("x.pth"), "<html>"))),
            ("convert", 5, ("convert", copy, gguf)),
            ("convert", 8, ("convert", box.path("x.pth"), box.path("y.gguf"))),
            ("chat", 8, ("chat", box.path("x.pth"), "-p", "x")),
            ("eval", 3, ("eval", "logits", "no-such-file", "--prompt", "x")),
            ("demo", 5, ("demo", "--output", demo))):
        expect(box.run(*args, "--json", code=code), verb, "error")
    # Names that are no text still give valid JSON.
    odd = os.fsencode(box.path("odd")) + b"/caf\xe9\n\x1b[2J"
    os.makedirs(odd)
    with open(odd + b"/x.bin", "wb") as file:
        file.write(b"x")
    run = box.run("verify", os.fsdecode(odd), "--json", code=None)
    check(run.code in (0, 3, 8), f"exit code {run.code}")
    run = box.run("verify", os.fsdecode(odd), code=run.code)
    check("\x1b" not in run.stderr, "an escape sequence was passed on")


main(test)
