# SPDX-License-Identifier: Apache-2.0
"""A model comes by nothing but its magnet link, whole and checked; what is
there already stays as it is (F9)."""
import os
import signal
import stat

from harness import (bare, check, contains, equal, flip_byte, main, read,
                     same_tree, tree, write)


def first_get(box, origin, seeder):
    models = box.path("models")
    run = box.get(bare(seeder.magnet), seeder, models)
    final = os.path.join(models, "demo")
    equal(run.last_line, final, "last line")
    same_tree(final, origin)
    equal(sorted(os.listdir(models)), ["demo"], "what is in the output folder")
    check(any(line.startswith("ok") and "smoke" in line
              for line in run.stderr.splitlines()),
          f"no smoke test\n{run}")
    contains(run.stderr, "v1 pieces", "the level that was reached")
    # Others may read what is verified; it was private before.
    equal(stat.S_IMODE(os.stat(final).st_mode), 0o755, "mode of the folder")
    for name in os.listdir(final):
        equal(stat.S_IMODE(os.stat(os.path.join(final, name)).st_mode), 0o644,
              f"mode of {name}")
    return final


def get_as_events(box, origin, seeder):
    """Every phase is told, in order, and the numbers agree."""
    run = box.get(seeder.magnet, seeder, box.path("json"), "--json",
                  env=box.user("json-user"))
    stages = [event["stage"] for event in run.of_type("stage")
              if event["state"] == "begin"]
    for stage in ("metadata", "download", "pieces", "structure", "numeric",
                  "smoke"):
        check(stage in stages, f"no stage {stage}\n{run}")
    equal(stages.index("metadata"), 0, "place of the metadata stage")
    for event in run.of_type("stage"):
        check(event["state"] == "begin" or event["ok"] is True,
              f"stage failed: {event}")
    plan = run.of_type("plan")[-1]
    sizes = {name: len(data) for name, data in tree(origin).items()}
    equal({file["path"]: file["bytes"] for file in plan["files"]}, sizes,
          "files of the plan")
    equal(plan["total_bytes"], sum(sizes.values()), "total of the plan")
    equal(plan["resume_bytes"], 0, "resume_bytes")
    result = run.result
    equal(result["path"], box.path("json", "demo"), "path")
    equal(result["summary"]["total_bytes"], sum(sizes.values()), "total_bytes")
    check(result["summary"]["downloaded_bytes"] >= sum(sizes.values()),
          f"downloaded less than all: {result}")
    same_tree(box.path("json", "demo"), origin)


def other_sources(box, origin, seeder, torrent):
    info_hash = bare(seeder.magnet).rpartition(":")[2]
    saved = box.path("saved.torrent")
    for name, source, extra in (
            ("hash", info_hash, ("--save-torrent", saved)),
            ("upper", "MAGNET:?xt=urn:btih:" + info_hash.upper(), ("--raw",)),
            ("file", torrent, ("--raw",))):
        run = box.get(source, seeder, box.path(name), *extra,
                      env=box.user(name + "-user"))
        same_tree(box.path(name, "demo"), origin)
        if "--raw" in extra:
            check("smoke" not in run.stderr, f"--raw ran the model\n{run}")
    equal(read(saved), read(torrent), "--save-torrent")
    box.fails("get", seeder.magnet, "--output", box.path("big"), "--peer",
              seeder.endpoint, "--port", "0", "--listen", "127.0.0.1",
              "--no-dht", "--no-lsd", "--max-size", "1MB", code=8,
              env=box.user("big-user"), says="1000000")
    check(not os.path.exists(box.path("big", "demo")), "too big, but here")


def get_in_the_way(box, seeder):
    """What is there already stays as it is."""
    def folder(path):
        write(os.path.join(path, "mine.txt"), "mine")

    def file(path):
        write(path, "mine")

    def dangling(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink("nowhere", path)

    for kind in (folder, file, dangling):
        for known in (False, True):
            output = box.path(f"way-{kind.__name__}-{known}")
            kind(os.path.join(output, "demo"))
            before = tree(output)
            # A user who fetched it before knows the name without any peer.
            env = box.env if known else box.user(f"way-{kind.__name__}")
            run = box.get(bare(seeder.magnet), seeder, output, code=5, env=env)
            contains(run.error_lines[0], "error[E-EXISTS]", "error line")
            contains(run.error_lines[0], "nothing was changed", "error line")
            after = {name: data for name, data in tree(output).items()
                     if not name.startswith(".")}
            equal(after, before, f"{output} afterwards")
            check(not any(name.endswith(".pth") for name in tree(output)),
                  "payload was fetched although its place is taken")


def get_and_seed(box, origin, seeder):
    """--seed: who has it all serves it on."""
    second = box.start(
        "get", seeder.magnet, "--output", box.path("relay"), "--peer",
        seeder.endpoint, "--port", "0", "--listen", "127.0.0.1", "--no-dht",
        "--no-lsd", "--raw", "--seed", "--json", env=box.user("relay-user"))
    second.wait_event("stage", stage="download", state="end", ok=True)
    endpoint = second.wait_event("listen")["endpoint"]
    seeder.stop()
    run = box.run("get", bare(seeder.magnet), "--output", box.path("third"),
                  "--peer", endpoint, "--port", "0", "--listen", "127.0.0.1",
                  "--no-dht", "--no-lsd", "--raw", env=box.user("third-user"))
    same_tree(box.path("third", "demo"), origin)
    equal(run.last_line, box.path("third", "demo"), "last line")
    ended = second.stop(signal.SIGINT, 130)
    check(ended.result["summary"]["uploaded_bytes"] >=
          sum(map(len, tree(origin).values())),
          f"the relay uploaded less than all\n{ended}")


def test(box):
    origin = box.demo()
    published = box.run("publish", origin, env=box.user("publisher"))
    torrent = published.last_line
    magnet = published.stdout.splitlines()[-2]
    seeder = box.seed(origin)
    equal(bare(seeder.magnet), bare(magnet), "magnet of publish and seed")

    final = first_get(box, origin, seeder)
    get_as_events(box, origin, seeder)
    other_sources(box, origin, seeder, torrent)
    get_in_the_way(box, seeder)
    get_and_seed(box, origin, seeder)

    # No seeder is left now; what is complete needs none.
    again = box.get(bare(magnet), None, box.path("models"))
    equal(again.last_line, final, "last line of the second get")
    same_tree(final, origin)
    # A missing extra file is no matter, an extra file neither.
    write(os.path.join(final, "notes.txt"), "mine")
    box.get(bare(magnet), None, box.path("models"))
    os.remove(os.path.join(final, "notes.txt"))
    # But a copy that was changed is not taken for complete, and not touched
    # while there is nobody to mend it from.
    flip_byte(os.path.join(final, "RELEASE"), 40)
    before = tree(final)
    box.fails("get", bare(magnet), "--output", box.path("models"), "--port",
              "0", "--listen", "127.0.0.1", "--no-dht", "--no-lsd",
              "--timeout", "1s", code=4, id="E-NO-PEERS")
    equal(tree(final), before, "the changed copy")


main(test)
