# SPDX-License-Identifier: Apache-2.0
"""Gates that were asked for: the report comes first, then exit code 10 or 7.
What --strict finds is tested by side_content.py."""
import os

from harness import equal, main


def checks(run, prefix):
    return {(event["id"], event["subject"]): event
            for event in run.of_type("check") if event["id"].startswith(prefix)}


def left_out(box):
    """A partial copy is right; that it is partial is a finding on demand."""
    origin = box.demo("parts", "demo")
    seeder = box.seed(origin, env=box.user("parts-seeder"))
    output = box.path("parts", "models")
    box.get(seeder.magnet, seeder, output, "--exclude", "RELEASE", "--raw")
    seeder.stop()
    copy = os.path.join(output, "demo")
    box.run("verify", copy)
    run = box.run("verify", copy, "--fail-on-missing", "--json", code=10)
    equal(checks(run, "gate.")[("gate.fail-on-missing", copy)]["status"],
          "fail", "the gate")
    box.run("verify", origin, "--fail-on-missing")


def usage(box):
    folder = box.demo("usage", "demo")
    box.fails("verify", folder, "--require", "v2", "--level", "x", code=2)
    box.fails("verify", folder, "--require", "sha256", "--require-v2", code=2,
              id="E-USAGE")
    box.fails("verify", folder, "--require", "signed", "--level", "checksums",
              code=2, id="E-USAGE", says="--level checksums")
    box.fails("verify", folder, "--strict", "--level", "signature", code=2,
              id="E-USAGE", says="--level signature")
    torrent = box.run("publish", folder, "--output", box.path("h.torrent"),
                      env=box.user("usage-publisher")).last_line
    for flag in (("--require", "v2"), ("--require-v2",)):
        run = box.run("verify", folder, "--against", torrent, *flag, "--json",
                      code=None)
        hybrid = "pieces-v2" in {e["level"] for e in run.of_type("file")}
        equal(run.code, 0 if hybrid else 10, f"--require v2\n{run}")


def test(box):
    left_out(box)
    usage(box)


main(test)
