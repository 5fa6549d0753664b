# SPDX-License-Identifier: Apache-2.0
"""`lodestone demo`: the whole way, alone on this machine."""
import os
import shutil
import signal

from harness import (DEMO, LODESTONE, check, contains, equal, main,
                     processes_of_session, same_tree, tree, wait_until, write)


def run_demo(box, output):
    process = box.start("demo", "--output", output)
    run = process.end(0)
    equal(run.last_line, output, "last line")
    # The glosses of WordNet on which the model was trained.
    contains(run.stdout + run.stderr, "a large body of water", "an answer")
    for verb in ("get", "verify", "convert", "chat"):
        contains(run.stdout + run.stderr, f"$ lodestone {verb} ",
                 "the commands shown")
    same_tree(os.path.join(output, "demo"), DEMO)
    check(os.path.getsize(os.path.join(output, "demo-q8_0.gguf")) > 1 << 20,
          "no conversion")
    equal(processes_of_session(process.pid), [], "processes left")
    return run


def interrupted(box):
    """Ctrl-C at a terminal reaches all; at a script only the one."""
    for to_group in (False, True):
        output = box.path("interrupted")
        process = box.start("demo", "--output", output, "--json")
        process.wait_event("stage", stage="get", state="begin")
        if to_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send(signal.SIGINT)
        process.end(130)
        wait_until(lambda: not processes_of_session(process.pid),
                   "no process is left", 10)
        run_demo(box, output)
        shutil.rmtree(output)
    # Killed outright, its seeder does not outlive it.
    process = box.start("demo", "--output", box.path("killed"), "--json")
    process.wait_event("stage", stage="get", state="begin")
    process.send(signal.SIGKILL)
    process.end(-signal.SIGKILL)
    wait_until(lambda: not processes_of_session(process.pid),
               "no process is left", 20)


def test(box):
    output = box.path("lodestone-demo")
    run_demo(box, output)
    run_demo(box, output)
    # Not where it was born, either: what it prints can be typed.
    os.makedirs(box.path("cwd"))
    run = box.run("demo", cwd=box.path("cwd"))
    contains(run.stderr, "next: lodestone chat ", "what comes next")
    interrupted(box)

    foreign = box.path("foreign")
    write(os.path.join(foreign, "mine.txt"), "mine")
    box.fails("demo", "--output", foreign, code=5, id="E-EXISTS",
              says="--output")
    equal(tree(foreign), {"mine.txt": b"mine"}, "the foreign folder")
    box.fails("demo", "--output", os.path.join(foreign, "mine.txt"), code=5)
    box.fails("demo", "--output", os.path.join(foreign, "mine.txt", "x"),
              code=5)
    equal(tree(foreign), {"mine.txt": b"mine"}, "the foreign folder")

    # A program that was copied away without its data says what is missing.
    alone = box.path("bin", "lodestone")
    os.makedirs(os.path.dirname(alone))
    shutil.copy(LODESTONE, alone)
    process = box.spawn([alone, "demo", "--output", box.path("d")])
    run = process.end()
    check(run.code in (0, 3), f"exit code {run.code}\n{run}")


main(test)
