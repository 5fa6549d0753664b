# SPDX-License-Identifier: Apache-2.0
"""convert --imatrix: what is said of it, the same bytes from the matrix that
was kept and for any number of threads, what is refused; types that rows cannot
have."""
import os

from harness import DEMO, SOURCE, check, contains, equal, main, read, write

STORIES = os.path.join(SOURCE, "tests/golden/stories260k")


def told(box):
    """In the text and in the events, before anything is written."""
    matrix, out = box.path("m.gguf"), box.path("auto.gguf")
    run = box.run("convert", DEMO, out, "--to", "q4_k", "--imatrix", "auto",
                  "--save-imatrix", matrix, "--json")
    plan = run.of_type("plan")[0]
    importance = plan["importance"]
    # Seven of each layer and the output.
    equal(importance["tensors"], 29, "weighed tensors")
    contains(importance["dataset"], "Lodestone", "the dataset")
    equal(len(importance["sha256"]), 64, "length of the digest")
    equal(plan["fallbacks"], [], "fallbacks of rows of 256")
    equal(run.result["summary"]["importance"], importance, "the summary")
    plain = box.run("convert", DEMO, box.path("plain.gguf"), "--to", "q4_k",
                    "--json")
    equal(plain.of_type("plan")[0]["importance"], None, "without --imatrix")
    check(read(out) != read(box.path("plain.gguf")), "it changed nothing")

    for threads in ("1", "2", "3"):
        again = box.path(f"again{threads}.gguf")
        run = box.run("convert", DEMO, again, "--to", "q4_k", "--imatrix",
                      matrix, "--threads", threads)
        contains(run.stdout + run.stderr, "importance weighs", "the text")
        check(read(again) == read(out), f"other bytes, {threads} threads")
    kept = box.path("m3.gguf")
    box.run("convert", DEMO, box.path("auto3.gguf"), "--to", "q4_0",
            "--imatrix", "auto", "--save-imatrix", kept, "--threads", "3")
    check(read(kept) == read(matrix), "another matrix by three threads")
    return matrix


def own_text(box, matrix):
    text = write(box.path("words.txt"),
                 "A horse is a kind of animal. " * 40)
    kept = box.path("own.gguf")
    run = box.run("convert", DEMO, box.path("own-q4.gguf"), "--to", "q4_0",
                  "--imatrix", "auto", "--calibration", text,
                  "--save-imatrix", kept, "--json")
    equal(run.of_type("plan")[0]["importance"]["dataset"], "words.txt",
          "the dataset")
    check(read(kept) != read(matrix), "the text changed nothing")
    short = write(box.path("short.txt"), "word")
    box.fails("convert", DEMO, box.path("x.gguf"), "--to", "q4_0", "--imatrix",
              "auto", "--calibration", short, code=2, id="E-USAGE")
    box.fails("convert", DEMO, box.path("x.gguf"), "--to", "q4_0", "--imatrix",
              "auto", "--calibration", box.path("none.txt"), code=3)


def refused(box, matrix):
    out = box.path("refused.gguf")
    for more in (("--to", "bf16", "--imatrix", matrix),
                 ("--to", "q8_0", "--imatrix", matrix),
                 ("--to", "safetensors", "--imatrix", "auto"),
                 ("--to", "q4_0", "--calibration", matrix),
                 ("--to", "q4_0", "--save-imatrix", box.path("none.gguf"))):
        box.fails("convert", DEMO, out, *more, code=2, id="E-USAGE")
    box.fails("convert", DEMO, out, "--to", "q4_0", "--imatrix",
              box.path("none.gguf"), code=3)
    # A model is no matrix; nor is half of one.
    box.fails("convert", DEMO, out, "--to", "q4_0", "--imatrix",
              box.path("auto.gguf"), code=8, id="E-IMATRIX")
    half = write(box.path("half.gguf"), read(matrix)[:20000])
    box.fails("convert", DEMO, out, "--to", "q4_0", "--imatrix", half, code=8)
    # That of another model.
    box.fails("convert", STORIES, out, "--to", "q4_0", "--imatrix", matrix,
              code=6, id="E-IMATRIX")
    # A file that is there is not written over unasked.
    box.fails("convert", DEMO, out, "--to", "q4_0", "--imatrix", matrix,
              "--save-imatrix", matrix, code=5, id="E-EXISTS")
    check(not os.path.exists(out), "a result")


def fallbacks(box):
    """Rows of 64 and 172: told in both forms."""
    run = box.run("convert", STORIES, box.path("s.gguf"), "--to", "q4_k",
                  "--imatrix", "auto", "--json")
    found = {(entry["written"], entry["row_elements"]): entry["tensors"]
             for entry in run.of_type("plan")[0]["fallbacks"]}
    equal(set(found), {("q8_0", 64), ("bf16", 172)}, "fallbacks")
    equal(run.result["summary"]["fallbacks"],
          run.of_type("plan")[0]["fallbacks"], "the summary")
    run = box.run("convert", STORIES, box.path("t.gguf"), "--to", "q4_k")
    contains(run.stdout + run.stderr, "rows of 172", "the text")
    contains(run.stdout + run.stderr, "rows of 64", "the text")


def test(box):
    matrix = told(box)
    own_text(box, matrix)
    refused(box, matrix)
    fallbacks(box)


main(test)
