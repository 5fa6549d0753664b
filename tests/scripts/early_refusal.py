# SPDX-License-Identifier: Apache-2.0
"""A model that is a program is refused after megabytes of a large download;
the licence is said early; --raw fetches it all the same."""
import json
import os

import hostile
from harness import LOCAL, bare, check, contains, equal, main, write

MIB = 1 << 20
WEIGHTS = 192 * MIB


def evil_model(box):
    folder = box.path("origin", "evil")
    os.makedirs(folder)
    canary = box.path("CANARY")
    hostile.torch_archive(
        os.path.join(folder, "consolidated.00.pth"),
        hostile.global_call("posix", "system", f"touch {canary}"),
        storages=(b"\0" * WEIGHTS,))
    write(os.path.join(folder, "params.json"), json.dumps({"dim": 64}))
    write(os.path.join(folder, "LICENSE"),
          "                Apache License\n          Version 2.0, January 2004\n")
    return folder, canary


def test(box):
    folder, canary = evil_model(box)
    seeder = box.seed(folder)
    arguments = ("get", bare(seeder.magnet), "--output", box.path("models"),
                 "--peer", seeder.endpoint, "--port", "0", *LOCAL, "--json")
    env = box.user("fetcher")
    run = box.run(*arguments, "--down", "4MB", code=8, env=env)
    equal(run.error["code"], "E-PICKLE-GLOBAL", f"error\n{run}")
    contains(run.error["message"], "posix system", "the error")
    contains(run.error["hint"], "--raw", "the way on")
    check(not os.path.exists(canary), "the program ran")
    check(not os.path.exists(box.path("models", "evil")), "a final name")
    done = max(event["done_bytes"] for event in run.of_type("progress"))
    check(done < 24 * MIB, f"{done} bytes were fetched before the refusal")
    licences = [event for event in run.of_type("check")
                if event["id"] == "early.licence"]
    equal([event["detail"] for event in licences], ["Apache-2.0"], "licence")
    sent = seeder.stop()
    check(sent < 32 * MIB, f"the seeder sent {sent} bytes of {WEIGHTS}")
    # What is here is kept and refused again, without any peer.
    again = box.run(*arguments, code=8, env=env)
    equal(again.error["code"], "E-PICKLE-GLOBAL", f"error\n{again}")

    # Whoever wants it all the same says so; what was kept is not sent again.
    seeder = box.seed(folder, env=box.user("seeder2"))
    run = box.run("get", bare(seeder.magnet), "--output", box.path("models"),
                  "--peer", seeder.endpoint, "--port", "0", *LOCAL, "--raw",
                  "--json", env=env)
    check(run.of_type("plan")[-1]["resume_bytes"] > 0, "nothing was kept")
    check(os.path.exists(box.path("models", "evil", "consolidated.00.pth")),
          "--raw did not fetch it")
    check(not os.path.exists(canary), "the program ran")
    seeder.stop()

    # A good model is looked at on the way and goes through.
    origin = box.demo()
    seeder = box.seed(origin, env=box.user("seeder3"))
    run = box.get(seeder.magnet, seeder, box.path("good"),
                  env=box.user("good-user"))
    check(os.path.exists(box.path("good", "demo", "RELEASE")), f"{run}")


main(test)
