# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that is a program is refused and never run; a file that is no
checkpoint is called what it is."""
import os
import shutil

import hostile
from harness import check, equal, main, write

GLOBALS = (("posix", "system"), ("os", "system"), ("builtins", "eval"),
           ("builtins", "exec"), ("subprocess", "Popen"),
           ("pkgutil", "resolve_name"), ("torch.serialization", "load"),
           ("nt", "system"), ("webbrowser", "open"))


def everywhere(box, weights, folder, code, says):
    """Each verb that opens weights, on the file and in a model folder."""
    shutil.copyfile(weights, os.path.join(folder, "consolidated.00.pth"))
    for model in (weights, folder):
        output = box.path("out.gguf")
        ids = set()
        for args in (("verify", model), ("chat", model, "-p", "hello"),
                     ("convert", model, output)):
            run = box.fails(*args, code=code, says=says)
            ids.add(run.error["code"])
        equal(len(ids), 1, f"ids of the errors for {model}: {ids}")
        check(not os.path.exists(output), "convert left an output")
    leftovers = [name for name in os.listdir(box.folder) if "gguf" in name]
    equal(leftovers, [], "leftovers of convert")
    return ids.pop()


def test(box):
    canary = box.path("CANARY")
    command = f"touch {canary}"
    folder = box.path("model")
    shutil.copytree(box.demo(), folder)
    weights = box.path("evil", "consolidated.00.pth")
    os.makedirs(os.path.dirname(weights))

    # Every form with one global; every global in one form, by one verb.
    for form, write_pickle in hostile.PICKLE_FORMS.items():
        hostile.torch_archive(weights, write_pickle("posix", "system",
                                                    command))
        # INST and OBJ are refused as opcodes, before any name counts.
        says = () if form in ("inst", "obj") else ("posix", "system")
        found = everywhere(box, weights, folder, 8, says)
        expected = (("E-PICKLE-OPCODE", "E-PICKLE-GLOBAL")
                    if form in ("inst", "obj") else ("E-PICKLE-GLOBAL",))
        check(found in expected, f"{form}: error id {found}")
    for module, name in GLOBALS:
        hostile.torch_archive(
            weights, hostile.stack_global_call(module, name, command))
        run = box.fails("verify", weights, code=8, id="E-PICKLE-GLOBAL",
                        says=f"{module} {name}")
        check(run.error.get("offset", 0) > 0, f"no offset\n{run}")

    # Other ways to hide a program.
    good = b"\x80\x02}."
    for what, data in (
            ("a second pickle behind the first",
             good + hostile.global_call("posix", "system", command)),
            ("garbage behind the payload", good + b"garbage"),
            ("no STOP", good[:-1]),
            ("an extension code", b"\x80\x02\x82\x01."),
            ("an unknown opcode", b"\x80\x02\xff."),
            ("a stack that is empty", b"\x80\x02R."),
            ("escape characters in the name",
             hostile.global_call("\x1b[2Jposix", "sys\x07tem", command))):
        hostile.torch_archive(weights, data)
        found = everywhere(box, weights, folder, 8, ())
        check(found.startswith("E-PICKLE"), f"{what}: error id {found}")

    # Not even in a zip: a pickle by itself, as torch.save wrote long ago. The
    # sums in RELEASE, which it fails as well, are put away.
    os.remove(os.path.join(folder, "RELEASE"))
    write(weights, hostile.global_call("posix", "system", command))
    everywhere(box, weights, folder, 8, "pickle")

    for name, content, says in hostile.NOT_WEIGHTS:
        write(weights, content.replace(b"CANARY", canary.encode()))
        for args in (("verify", weights), ("chat", weights, "-p", "x"),
                     ("convert", weights, box.path("out.gguf")),):
            run = box.run(*args, code=8)
            check(says.lower() in run.error_lines[0].lower(),
                  f"{name}: no word of {says!r}\n{run}")
    box.fails("verify", write(weights, hostile.NOT_WEIGHTS[2][1]), code=8,
              id="E-LFS-POINTER", says="git lfs pull")
    box.fails("verify", write(weights, b""), code=8, id="E-EMPTY")

    check(not os.path.exists(canary), "something was executed")


main(test)
