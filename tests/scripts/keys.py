# SPDX-License-Identifier: Apache-2.0
"""The verb `keys`: pairs are made and never overwritten, what is trusted is
listed, and a key that others could have written is not used."""
import os
import subprocess

import terminal
from harness import LODESTONE, check, contains, equal, main, write

SHORT = "RWR93J44p0gUmpFM3TNK+5HL8DmbyhUQmpsqCYImY6RTlTWv8yAw+QfI"


def on_terminal(box, args, answers):
    return terminal.on_terminal(
        [LODESTONE, *args], [answer.encode() + b"\n" for answer in answers],
        b":", box.env, box.folder)


def keys_of(box):
    return {key["name"]: key
            for key in box.run("keys", "list", "--json").document["keys"]}


def mode_of(path):
    return os.stat(path).st_mode & 0o777


def test_generate(box):
    folder = os.path.join(box.env["XDG_DATA_HOME"], "lodestone", "keys")
    for kind in ("minisign", "p256", "p384", "p521"):
        document = box.run("keys", "generate", "my-" + kind, "--type", kind,
                           "--json").document
        equal(document["action"], "generate", "action")
        equal(document["secret_path"],
              os.path.join(folder, f"my-{kind}.key"), "secret_path")
        equal(document["encrypted"], False, "encrypted")
        equal(document["warnings"][0]["code"], "KEY_NOT_ENCRYPTED", "warning")
        equal(mode_of(document["secret_path"]), 0o600, "mode of the secret")
        check(document["key"]["fingerprint"] in
              box.run("keys", "list").stdout, "not listed")
    equal(mode_of(folder), 0o700, "mode of the folder")
    mine = keys_of(box)
    equal(sorted(mine), ["my-minisign", "my-p256", "my-p384", "my-p521"],
          "keys")
    check(all(key["secret"] for key in mine.values()), "no secret key")
    equal(mine["my-p384"]["type"], "p384", "type")
    # Never a second time, and never over another file.
    box.fails("keys", "generate", "my-p256", code=5, id="E-EXISTS")
    out = write(box.path("there.key"), "mine")
    box.fails("keys", "generate", "x", "-o", out, code=5, id="E-EXISTS")
    with open(out, encoding="utf-8") as file:
        equal(file.read(), "mine", "the file that was there")
    for name in ("../x", "a b", ".x", "\x1b"):
        box.fails("keys", "generate", name, code=2, id="E-KEY-NAME")
    # openssl reads what is made here, with and without a passphrase.
    words = write(box.path("words"), "open sesame\nnot this\n")
    for kind in ("ec", "p384", "p521"):
        for more in ((), ("--passphrase-file", words)):
            secret = box.path(f"{kind}{len(more)}.key")
            box.run("keys", "generate", "x", "--type", kind, "-o", secret,
                    *more)
            public = subprocess.run(
                ["openssl", "pkey", "-in", secret, "-pubout", "-passin",
                 "pass:open sesame"], check=True, stdout=subprocess.PIPE).stdout
            with open(secret[:-4] + ".pub", "rb") as file:
                equal(file.read(), public, "public key")


def test_trust(box):
    # The clear text names its key by itself.
    box.run("keys", "trust", SHORT)
    equal(keys_of(box)["9A1448A7389EDC7D"]["public_key"], SHORT, "public key")
    box.fails("keys", "trust", SHORT, "--name", "again", code=2,
              id="E-KEY-NAME")
    equal(box.run("keys", "export", "9a1448a7389edc7d").stdout.splitlines()[1],
          SHORT, "what is exported")
    box.run("keys", "untrust", "9A1448A7389EDC7D")
    equal(keys_of(box), {}, "keys")
    box.fails("keys", "untrust", "9A1448A7389EDC7D", code=3, id="E-NO-KEY")
    box.fails("keys", "trust", box.path("none"), code=3)
    box.fails("keys", "trust", write(box.path("x"), "x"), code=8, id="E-KEY")
    secret = box.path("s.key")
    box.run("keys", "generate", "s", "-o", secret)
    box.fails("keys", "trust", secret, code=2, id="E-SECRET-KEY")
    box.run("keys", "trust", box.path("s.pub"))
    path = keys_of(box)["s"]["path"]
    # What others may write is not used, and that is said.
    for mode in (0o620, 0o602):
        os.chmod(path, mode)
        run = box.run("keys", "list")
        equal(run.stdout, "", "keys")
        contains(run.stderr, "others may write to it", "warning")
    os.chmod(path, 0o600)
    # A secret key that others may read does not sign.
    model = write(box.path("model.bin"), "x")
    os.chmod(secret, 0o640)
    box.fails("keys", "sign", model, "--key", secret, code=7, id="E-KEY-FILE")
    os.chmod(secret, 0o600)
    # One key is taken by itself; of several one is to be named.
    box.fails("keys", "sign", model, code=3, id="E-NO-KEY")
    box.run("keys", "generate", "one")
    box.run("keys", "sign", model)
    box.run("keys", "generate", "two", "--type", "p256")
    box.fails("keys", "sign", model, code=2, id="E-KEY-NAME")
    box.run("keys", "sign", model, "--key", "one")
    box.fails("keys", "sign", model, "--key", "two", code=2, id="E-SIGN-FILES")
    box.fails("keys", "sign", box.path("none"), "--key", "one", code=3)


def test_terminal(box):
    """Typed, not shown; typed wrongly, nothing is made."""
    secret = box.path("typed.key")
    args = ("keys", "generate", "typed", "-o", secret)
    code, shown = on_terminal(box, args, ["first", "other"])
    equal(code, 2, shown)
    contains(shown, "E-PASSPHRASE", "error")
    check(not os.path.exists(secret), "made all the same")
    code, shown = on_terminal(box, args, ["secret words", "secret words"])
    equal(code, 0, shown)
    check("secret words" not in shown, f"shown: {shown}")
    model = write(box.path("model2.bin"), "x")
    sign = ("keys", "sign", model, "--key", secret)
    code, shown = on_terminal(box, sign, ["secret words"])
    equal(code, 0, shown)
    code, shown = on_terminal(box, sign, ["wrong words"])
    equal(code, 2, shown)
    # Nobody is asked where nobody may be.
    code, shown = on_terminal(box, (*sign, "--no-input"), [])
    equal(code, 2, shown)
    contains(shown, "no passphrase was given", "error")
    box.fails(*sign, code=2, id="E-PASSPHRASE")


def test_folders(box):
    """What a signature cannot stand for is not signed."""
    folder = box.path("model")
    write(os.path.join(folder, "a.bin"), "x")
    box.run("keys", "generate", "k", "--type", "p256")
    os.symlink("a.bin", os.path.join(folder, "link"))
    box.fails("keys", "sign", folder, code=2, id="E-SIGN-FILES", says="link")
    os.remove(os.path.join(folder, "link"))
    write(os.path.join(folder, "A.BIN"), "x")
    box.fails("keys", "sign", folder, code=2, id="E-SIGN-FILES", says="A.BIN")
    os.remove(os.path.join(folder, "A.BIN"))
    os.makedirs(box.path("empty"))
    box.fails("keys", "sign", box.path("empty"), code=2, id="E-SIGN-FILES")
    box.fails("keys", "sign", folder, "--comment", "x", code=2)
    run = box.run("keys", "sign", folder, "--json")
    equal(run.document["files"], 1, "files")
    # Signed again it is replaced, and does not sign itself.
    run = box.run("keys", "sign", folder, "--json")
    equal(run.document["files"], 1, "files")


def test(box):
    for name, part in (("generate", test_generate), ("trust", test_trust),
                       ("terminal", test_terminal), ("folders", test_folders)):
        part(box.part(name))


main(test)
