# SPDX-License-Identifier: Apache-2.0
"""The question before the first byte, on a real terminal."""
import os

import terminal
from harness import LOCAL, LODESTONE, check, contains, equal, main


def on_terminal(box, args, answer, env=None):
    """Runs the program on a terminal, types `answer` when asked; exit code and
    all that was shown."""
    return terminal.on_terminal([LODESTONE, *args], answer, b"[Y/n]",
                                env or box.env, box.folder)


def test(box):
    demo = box.demo()
    seeder = box.seed(demo)
    source = (seeder.magnet, "--peer", seeder.endpoint, "--port", "0", *LOCAL)

    def get(out, answer, *more):
        return on_terminal(box, ("get", *source, "--raw", "--output",
                                 box.path(out), *more), answer,
                           env=box.user("user-" + out))

    code, shown = get("no", [b"n\n"])
    equal(code, 130, shown)
    contains(shown, "5 files, ", "facts")
    contains(shown, "licence unknown (not in the catalogue)", "facts")
    contains(shown, "(licence unknown)? [Y/n]", "question")
    contains(shown, "error[E-DECLINED]", "answer")
    check(not os.path.exists(box.path("no", "demo")), "fetched all the same")
    for out, answer in (("yes", [b"y\n"]), ("enter", [b"\n"]),
                        ("word", [b"what?\n", b"YES\n"])):
        code, shown = get(out, answer)
        equal(code, 0, shown)
        equal(shown.count("[Y/n]"), len(answer), "times asked")
        check(os.path.exists(box.path(out, "demo", "RELEASE")), "not fetched")
    code, shown = get("eof", [b"\x04"])
    equal(code, 130, shown)
    code, shown = get("ctrl-c", [b"\x03"])
    equal(code, 130, shown)
    contains(shown, "interrupted", "signal")
    for flag in ("--yes", "--no-input"):
        code, shown = get("flag" + flag, [], flag)
        equal(code, 0, shown)
        check("[Y/n]" not in shown, "asked all the same")
    env = dict(box.user("user-env"), LODESTONE_YES="1")
    code, shown = on_terminal(box, ("get", *source, "--raw", "--output",
                                    box.path("env")), [], env=env)
    equal(code, 0, shown)
    check("[Y/n]" not in shown, "asked all the same")
    # A name, and nobody may be asked.
    code, shown = on_terminal(box, ("get", "grok-1", "--no-input", "--output",
                                    box.path("grok")), [])
    equal(code, 2, shown)
    contains(shown, "E-CONFIRM", "no input")
    seeder.stop()


main(test)
