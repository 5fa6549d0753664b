# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, a download goes on where it was."""
import os
import random
import signal
import threading

from harness import (LOCAL, bare, check, contains, equal, main, same_tree,
                     tree, wait_until)

SEED = 20240607
KILLS = 10
MIB = 1 << 20
RATE = 2_000_000
PIECE = 65536
# What a kill may cost. Progress counts a piece once it passed its hash, while
# its blocks may still wait for a disk thread: these run behind by far less
# than half a second's traffic. Blocks of unfinished pieces are given up: few
# pieces are open at a time.
LOST_PER_KILL = RATE // 2 + 16 * PIECE


def arguments(seeder, output):
    return ("get", bare(seeder.magnet), "--output", output, "--peer",
            seeder.endpoint, "--port", "0", *LOCAL, "--json")


def no_final_name(output):
    check(not os.path.lexists(os.path.join(output, "demo")),
          "a final name before the end")


def kill_at_random(box, seeder, output, env, generator):
    """One run, killed at a moment of its own. Returns what it resumed with
    and had last, or None if it was done before."""
    process = box.start(*arguments(seeder, output), env=env)
    resumed = done = None
    # Before the plan, at the plan, or after some reports and then a fraction
    # of the time between two.
    reports = generator.choice((-1, 0, 1, 2, 2, 3))
    delay = generator.uniform(0, 0.5)
    if reports < 0:
        threading.Event().wait(delay)
        process.send(signal.SIGKILL)
    while True:
        event = process.event()
        if event is None:
            break
        if event["type"] == "plan":
            resumed = done = event["resume_bytes"]
        elif event["type"] == "progress" and event["stage"] == "download":
            if resumed is None:
                continue  # the check of what is here
            done = max(done, event["done_bytes"])
            reports -= 1
        else:
            continue
        no_final_name(output)
        if reports == 0:
            reports = -1
            threading.Event().wait(delay)
            process.send(signal.SIGKILL)
    if reports > 0:
        process.end(0)
        return None
    process.end(-signal.SIGKILL)
    no_final_name(output)
    return resumed, done


def kills(box, origin, generator):
    seeder = box.seed(origin, "--up", f"{RATE}")
    output = box.path("killed")
    env = box.user("killed-user")
    total = sum(map(len, tree(origin).values()))
    last_done = 0
    killed = 0
    for _ in range(KILLS):
        outcome = kill_at_random(box, seeder, output, env, generator)
        if outcome is None:
            break
        killed += 1
        resumed, done = outcome
        print(f"kill {killed}: resumed {resumed}, had {done}")
        if resumed is None:
            continue  # killed before it knew
        check(resumed >= last_done - LOST_PER_KILL,
              f"resumed with {resumed} bytes, had {last_done}")
        last_done = done
    check(killed >= 5, f"only {killed} kills: the download was too fast")
    run = box.run(*arguments(seeder, output), env=env)
    resumed = run.of_type("plan")[-1]["resume_bytes"]
    check(resumed >= last_done - LOST_PER_KILL,
          f"resumed with {resumed} bytes, had {last_done}")
    same_tree(os.path.join(output, "demo"), origin)
    equal(os.listdir(output), ["demo"], "what is left")
    uploaded = seeder.stop()
    print(f"{uploaded} bytes for {total}, {killed} kills")
    check(uploaded <= total + (killed + 1) * LOST_PER_KILL,
          f"{uploaded} bytes sent for {total} and {killed} kills")


def signals(box, origin):
    """Asked to stop it stops soon, and knows all it had."""
    seeder = box.seed(origin, "--up", f"{2 * RATE}")
    output = box.path("stopped")
    env = box.user("stopped-user")
    had = 0
    for number, code, name in ((signal.SIGINT, 130, "interrupted"),
                               (signal.SIGTERM, 143, "terminated"),
                               (signal.SIGHUP, 143, "terminated")):
        process = box.start(*arguments(seeder, output), env=env)
        resumed = process.wait_event("plan")["resume_bytes"]
        # After an end in order nothing that was reported is lost.
        check(resumed >= had, f"resumed with {resumed} bytes, had {had}")
        while True:
            had = process.wait_event("progress")["done_bytes"]
            if had > resumed:
                break
        # A second process on the same destination leaves it alone.
        if number == signal.SIGINT:
            box.fails(*arguments(seeder, output)[:-1], code=12, id="E-LOCKED",
                      env=box.user("other-user"))
        process.send(number)
        run = process.end(code, patience=5)
        equal(run.result["exit_name"], name, "exit_name")
        equal(run.error["code"], "E-INTERRUPTED", "error code")
        contains(run.error["hint"], "run the same command again", "the hint")
        no_final_name(output)
    run = box.run(*arguments(seeder, output), env=env)
    check(run.of_type("plan")[-1]["resume_bytes"] >= had, "lost at the end")
    check(all(event["code"] != "RECHECK" for event in run.of_type("warning")),
          f"checked again after an end in order\n{run}")
    same_tree(os.path.join(output, "demo"), origin)
    # A seeder that is stopped was not in error.
    ended = seeder.process.stop(signal.SIGINT, 130)
    check(ended.result["summary"]["uploaded_bytes"] > 0, f"nothing sent\n{ended}")


def damaged_state(box, origin):
    """A state that lies is found out; payload that changed as well."""
    seeder = box.seed(origin, "--up", f"{2 * RATE}")
    output = box.path("damaged")
    env = box.user("damaged-user")
    for damage in ("state", "payload", "payload-gone"):
        process = box.start(*arguments(seeder, output), env=env)
        resumed = process.wait_event("plan")["resume_bytes"]
        while process.wait_event("progress")["done_bytes"] <= resumed:
            pass
        process.stop(signal.SIGINT, 130)
        work, = [name for name in os.listdir(output)
                 if name.endswith(".partial")]
        for name in tree(os.path.join(output, work)):
            path = os.path.join(output, work, name)
            is_payload = name.startswith("data/")
            if damage == "state" and not is_payload and os.path.getsize(path):
                with open(path, "r+b") as file:
                    file.write(b"\xff" * 32)
            elif damage == "payload" and is_payload:
                with open(path, "r+b") as file:
                    file.write(b"\xff" * os.path.getsize(path))
            elif damage == "payload-gone" and is_payload:
                os.remove(path)
    box.run(*arguments(seeder, output), env=env)
    same_tree(os.path.join(output, "demo"), origin)
    seeder.stop()


def test(box):
    print(f"seed {SEED}")
    origin = box.demo()
    # Small pieces: many moments between two of them.
    box.run("publish", origin, "--piece-size", PIECE, env=box.user("seeder"))
    kills(box, origin, random.Random(SEED))
    signals(box, origin)
    damaged_state(box, origin)


main(test)
