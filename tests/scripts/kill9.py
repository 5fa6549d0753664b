# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, a download goes on where it was (F4, F5, F6, F7)."""
import os
import random
import signal
import threading

from harness import (LOCAL, bare, check, contains, equal, main, same_tree,
                     tree, wait_until)

SEED = 20240607
# Of one download, by kind of torrent.
KILLS = {"v1": 50, "hybrid": 12}
MIB = 1 << 20
RATE = 2_000_000
# So slow that the last of the kills still finds a download.
KILL_RATE = {"v1": 300_000, "hybrid": 1_100_000}
PIECE = 65536
# What a kill may cost: what is in flight, which is what the seeder sends in
# half a second, and the few pieces that are open, or whose blocks still wait
# for a disk thread.
LOST_PIECES = 8


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
    reports = generator.choice((-1, 0, 1, 2, 3, 4))
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


def kills(box, origin, generator, kind):
    """F4, one download in many runs."""
    box.run("publish", origin, "--piece-size", PIECE, "--format", kind,
            "--overwrite", env=box.user("seeder"))
    rate = KILL_RATE[kind]
    seeder = box.seed(origin, "--up", f"{rate}")
    output = box.path("killed-" + kind)
    env = box.user("killed-user-" + kind)
    lost_per_kill = rate // 2 + LOST_PIECES * PIECE
    total = sum(map(len, tree(origin).values()))
    last_done = 0
    killed = 0
    for _ in range(KILLS[kind]):
        outcome = kill_at_random(box, seeder, output, env, generator)
        if outcome is None:
            break
        killed += 1
        resumed, done = outcome
        print(f"kill {killed}: resumed {resumed}, had {done}")
        if resumed is None:
            continue  # killed before it knew
        check(resumed >= last_done - lost_per_kill,
              f"resumed with {resumed} bytes, had {last_done}")
        last_done = done
    equal(killed, KILLS[kind], "kills before the download was done")
    check(last_done >= total // 4, f"all kills within {last_done} bytes")
    run = box.run(*arguments(seeder, output), env=env)
    resumed = run.of_type("plan")[-1]["resume_bytes"]
    check(resumed >= last_done - lost_per_kill,
          f"resumed with {resumed} bytes, had {last_done}")
    same_tree(os.path.join(output, "demo"), origin)
    equal(os.listdir(output), ["demo"], "what is left")
    uploaded = seeder.stop()
    print(f"{uploaded} bytes for {total}, {killed} kills")
    check(uploaded <= total + (killed + 1) * lost_per_kill,
          f"{uploaded} bytes sent for {total} and {killed} kills")


def signals(box, origin):
    """Asked to stop it stops soon, and knows all it had."""
    # A download that lasts for as long as a second process needs to start.
    seeder = box.seed(origin, "--up", str(KILL_RATE["v1"]))
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
    # A seeder that is stopped was not in error.
    ended = seeder.process.stop(signal.SIGINT, 130)
    check(ended.result["summary"]["uploaded_bytes"] > 0, f"nothing sent\n{ended}")
    seeder = box.seed(origin)
    run = box.run(*arguments(seeder, output), env=env)
    check(run.of_type("plan")[-1]["resume_bytes"] >= had, "lost at the end")
    check(all(event["code"] != "RECHECK" for event in run.of_type("warning")),
          f"checked again after an end in order\n{run}")
    same_tree(os.path.join(output, "demo"), origin)
    seeder.stop()


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
    for kind in ("hybrid", "v1"):
        kills(box, origin, random.Random(SEED), kind)
    signals(box, origin)
    damaged_state(box, origin)


main(test)
