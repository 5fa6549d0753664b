# SPDX-License-Identifier: Apache-2.0
"""Debian's minisign and the program: each verifies what the other signs, with
keys that either made, in the clear and under a passphrase; and what is wrong is
refused. Cases D6, D10, D12."""
import os
import re
import shutil
import subprocess

from harness import Skip, check, contains, equal, flip_byte, main, write
from terminal import on_terminal

PASSPHRASE = "correct horse"
TYPED = PASSPHRASE.encode() + b"\n"


def minisign(*args, code=0):
    said = subprocess.run(["minisign", *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    equal(said.returncode, code, f"minisign {args}: {said.stdout}")
    return said.stdout.decode()


def verify(box, path, *more, code=0, id=None):
    args = ("verify", path, "--level", "signature", *more)
    if code == 0:
        return box.run(*args, "--json")
    return box.fails(*args, code=code, id=id)


def level_of(run):
    return run.result["summary"]["level"]


def replaced(path, pattern, text):
    with open(path, encoding="utf-8") as file:
        before = file.read()
    after = re.sub(pattern, text, before, count=1, flags=re.M)
    check(before != after, f"nothing to replace in {before}")
    return write(path, after)


def test_ours(box, file, folder):
    """Keys and signatures made here."""
    secret, public = box.path("ours.key"), box.path("ours.pub")
    box.run("keys", "generate", "ours", "-o", secret)
    equal(os.stat(secret).st_mode & 0o777, 0o600, "mode of the secret key")
    run = box.run("keys", "sign", file, "--key", secret, "--comment",
                  "version 7")
    equal(run.last_line, file + ".minisig", "the last line")
    contains(minisign("-V", "-p", public, "-m", file), "version 7",
             "minisign's answer")
    contains(minisign("-V", "-H", "-p", public, "-m", file), "verified",
             "minisign's answer")
    run = verify(box, file, "--key", public)
    equal(level_of(run), "trusted-key", f"level\n{run}")
    # minisign signs with our secret key, in the clear and under a passphrase.
    minisign("-S", "-s", secret, "-m", file)
    equal(level_of(verify(box, file, "--key", public)), "trusted-key", "level")
    os.remove(file + ".minisig")
    words = write(box.path("words"), PASSPHRASE + "\n")
    sealed = box.path("sealed.key")
    box.run("keys", "generate", "sealed", "-o", sealed, "--passphrase-file",
            words)
    code, shown = on_terminal(["minisign", "-S", "-s", sealed, "-m", file],
                              [TYPED], b":", box.env, box.folder)
    equal(code, 0, shown)
    equal(level_of(verify(box, file, "--key", box.path("sealed.pub"))),
          "trusted-key", "level")
    os.remove(file + ".minisig")
    # A folder: its sums, and their signature.
    run = box.run("keys", "sign", folder, "--key", secret)
    sums = os.path.join(folder, "SHA256SUMS")
    equal(run.last_line, sums + ".minisig", "the last line")
    minisign("-V", "-p", public, "-m", sums)
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder,
                   check=True, timeout=60)
    equal(level_of(verify(box, folder, "--key", public)), "trusted-key",
          "level")
    box.run("keys", "sign", folder, "--key", secret)  # again: the same sums
    flip_byte(os.path.join(folder, "a.bin"), 1)
    verify(box, folder, "--key", public, code=6, id="E-MISMATCH")
    box.fails("keys", "sign", folder, "--key", secret, code=5, id="E-EXISTS")
    flip_byte(os.path.join(folder, "a.bin"), 1)
    write(os.path.join(folder, "new.txt"), "x")
    verify(box, folder, "--key", public, code=7, id="E-UNSIGNED-EXTRA")
    os.remove(os.path.join(folder, "new.txt"))


def test_theirs(box, file):
    """Keys and signatures made by minisign."""
    secret, public = box.path("theirs.key"), box.path("theirs.pub")
    minisign("-G", "-W", "-p", public, "-s", secret)
    minisign("-S", "-s", secret, "-m", file, "-t", "caf\u00e9 3")
    run = box.run("verify", file, "--level", "signature", "--key", public)
    contains(run.stderr, "trusted comment: caf\u00e9 3", "comment")
    with open(public, encoding="utf-8") as lines:
        short = lines.read().splitlines()[1]
    equal(level_of(verify(box, file, "--key", short)), "trusted-key", "level")
    # D12: without the key it says nothing.
    equal(level_of(verify(box, file)), "unverified", "level")
    verify(box, file, "--require-signature", code=7, id="E-UNSIGNED")
    # Our signature by their key is theirs to the byte: Ed25519 has one.
    with open(file + ".minisig", encoding="utf-8") as lines:
        before = lines.read().splitlines()
    box.run("keys", "sign", file, "--key", secret, "--comment", "caf\u00e9 3")
    with open(file + ".minisig", encoding="utf-8") as lines:
        after = lines.read().splitlines()
    equal(after[1:], before[1:], "signatures and comment")
    # Under a passphrase: minisign takes a gibibyte of memory to open it.
    sealed = box.path("theirs-sealed.key")
    code, shown = on_terminal(
        ["minisign", "-G", "-p", box.path("theirs-sealed.pub"), "-s", sealed],
        [TYPED, TYPED], b":", box.env, box.folder)
    equal(code, 0, shown)
    words = write(box.path("words"), PASSPHRASE + "\n")
    box.run("keys", "sign", file, "--key", sealed, "--passphrase-file", words)
    minisign("-V", "-p", box.path("theirs-sealed.pub"), "-m", file)
    write(words, "wrong\n")
    box.fails("keys", "sign", file, "--key", sealed, "--passphrase-file", words,
              code=2, id="E-PASSPHRASE")


def test_refused(box, file):
    secret, public = box.path("bad.key"), box.path("bad.pub")
    minisign("-G", "-W", "-p", public, "-s", secret)
    _, other = box.path("other.key"), box.path("other.pub")
    minisign("-G", "-W", "-p", other, "-s", box.path("other.key"))
    signature = file + ".minisig"

    def signed():
        minisign("-S", "-s", secret, "-m", file, "-t", "version 3")

    signed()
    # D6, D10: another key.
    verify(box, file, "--key", other, code=7, id="E-WRONG-KEY")
    flip_byte(file, 3)
    verify(box, file, "--key", public, code=7, id="E-MINISIG")
    flip_byte(file, 3)
    # D10: the trusted comment, in all that can be done to it.
    replaced(signature, "^trusted comment: version 3$",
             "trusted comment: version 4")
    verify(box, file, "--key", public, code=7, id="E-MINISIG")
    signed()
    replaced(signature, "version 3", "\x1b[2J\x1b]0;x\x07")
    run = verify(box, file, "--key", public, code=7, id="E-MINISIG")
    contains(run.error["message"], "\\x1b", "the escaped comment")
    signed()
    replaced(signature, "^trusted comment: ", "untrusted comment: ")
    verify(box, file, "--key", public, code=7, id="E-MINISIG")
    for line in (1, 3):
        signed()
        with open(signature, encoding="utf-8") as lines:
            text = lines.read().splitlines()
        text[line] = text[line][:20] + (
            "A" if text[line][20] != "A" else "B") + text[line][21:]
        write(signature, "\n".join(text) + "\n")
        verify(box, file, "--key", public, code=7, id="E-MINISIG")
    # D10: the form before prehashing, which minisign accepts.
    minisign("-S", "-l", "-s", secret, "-m", file)
    minisign("-V", "-p", public, "-m", file)
    verify(box, file, "--key", public, code=7, id="E-MINISIG-LEGACY")
    verify(box, file, code=7, id="E-MINISIG-LEGACY")
    os.remove(signature)


def test(box):
    if shutil.which("minisign") is None:
        raise Skip("no minisign")
    file = write(box.path("release", "model.bin"), "m" * 3_000_000)
    folder = box.path("folder")
    write(os.path.join(folder, "a.bin"), "a" * 1000)
    write(os.path.join(folder, "b", "c d.json"), "{}")
    test_ours(box, file, folder)
    test_theirs(box, file)
    test_refused(box, file)


main(test)
