# SPDX-License-Identifier: Apache-2.0
"""get holds what it fetches against sums and signatures that the user names:
what cannot be right is refused before the payload comes, what is wrong never
gets its final name, and nothing is fetched twice. Case D12."""
import hashlib
import os

from harness import LOCAL, bare, check, equal, main, write

MIB = 1 << 20


def sums_of(folder, change=lambda name, digest: digest):
    lines = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        lines.append(f"{change(name, digest)}  {name}\n")
    return "".join(lines)


def flipped(name, digest):
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")


def level_of(run):
    return run.result["summary"]["level"]


class Fetch:
    """One user with a folder of downloads of their own."""

    def __init__(self, box, seeder, name):
        self._box = box
        self._seeder = seeder
        self.env = box.user(name)
        self.output = box.path("models of " + name)
        self.final = os.path.join(self.output, "demo")

    def _args(self, *more):
        return ("get", bare(self._seeder.magnet), "--output", self.output,
                "--peer", self._seeder.endpoint, "--port", "0",
                *LOCAL, *more)

    def good(self, *more):
        run = self._box.run(*self._args(*more), "--json", env=self.env)
        check(os.path.exists(self.final), f"no final name\n{run}")
        return run

    def refused(self, *more, code, id=None, says=()):
        run = self._box.fails(*self._args(*more), code=code, id=id, says=says,
                              env=self.env)
        check(not os.path.exists(self.final), f"it has its final name\n{run}")
        return run


def test_sums(box, seeder, origin):
    right = write(box.path("SHA256SUMS"), sums_of(origin))
    user = Fetch(box, seeder, "sums")
    equal(level_of(user.good("--sha256sums", right)), "sha256", "level")
    # It is here: held against the list that is given now.
    wrong = write(box.path("wrong.sha256"), sums_of(origin, flipped))
    run = box.fails("get", bare(seeder.magnet), "--output", user.output,
                    "--sha256sums", wrong, "--port", "0", "--peer",
                    seeder.endpoint, *LOCAL, code=6, env=user.env)
    check(os.path.exists(user.final), f"what was here is gone\n{run}")

    user = Fetch(box, seeder, "raw-sums")
    user.refused("--raw", "--sha256sums", wrong, code=6)
    equal(level_of(user.good("--raw", "--sha256sums", right)), "sha256",
          "level with --raw")


def test_before_payload(box, seeder, origin):
    """Refused before any payload is asked for."""
    user = Fetch(box, seeder, "hasty")
    strange = write(box.path("strange.sha256"), "0" * 64 + "  other.bin\n")
    md5 = write(box.path("old.md5"), "0" * 32 + "  RELEASE\n")
    empty = write(box.path("empty.sha256"), "# nothing\n")
    page = write(box.path("page.sha256"), "<!DOCTYPE html><html></html>\n")
    user.refused("--sha256sums", strange, code=3, id="E-LIST-NAMES",
                 says="other.bin")
    user.refused("--sha256sums", md5, code=2, id="E-SUMS", says="RELEASE")
    user.refused("--sha256sums", empty, code=8, id="E-SUMS")
    user.refused("--sha256sums", page, code=8, id="E-HTML")
    user.refused("--sha256sums", box.path("none"), code=3)
    user.refused("--signature", box.path("none.sig"), code=3)
    user.refused("--key", box.path("none.pub"), code=3)
    user.refused("--require-signature", code=7, id="E-NO-SIGNATURE",
                 says="--signature FILE")
    weights = sum(os.path.getsize(os.path.join(origin, name))
                  for name in os.listdir(origin))
    left = sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(user.output) for name in names)
    check(left < weights // 2, f"{left} bytes were fetched")


def test_signatures(box, seeder, origin):
    secret, public = box.path("pub.key"), box.path("pub.pub")
    other = box.path("other.pub")
    box.run("keys", "generate", "pub", "--type", "p256", "-o", secret)
    box.run("keys", "generate", "other", "--type", "p256", "-o",
            box.path("other.key"))
    signature = box.path("model.sig")
    box.run("keys", "sign", origin, "--key", secret, "-o", signature)
    user = Fetch(box, seeder, "signed")
    asked = ("--signature", signature, "--require-signature")
    user.refused(*asked, "--key", other, code=7)
    run = user.good(*asked, "--key", public)
    equal(level_of(run), "trusted-key", f"level\n{run}")
    equal(run.result["summary"]["downloaded_bytes"], 0,
          f"fetched a second time\n{run}")
    user = Fetch(box, seeder, "signed-raw")
    run = user.good(*asked, "--key", public, "--raw")
    equal(level_of(run), "trusted-key", f"level\n{run}")


def test(box):
    origin = box.demo()
    seeder = box.seed(origin)
    test_sums(box, seeder, origin)
    test_before_payload(box, seeder, origin)
    test_signatures(box, seeder, origin)
    seeder.stop()


main(test)
