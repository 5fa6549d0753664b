# SPDX-License-Identifier: Apache-2.0
"""Weights that are compressed by zstd, in every layout: converted in one go to
the same bytes, run and verified in memory, without an unpacked file."""
import os
import shutil

from checkpoints import Release, with_half_order
from harness import DEMO, check, contains, equal, main, needs, read, write
from weight_forms import Forms, logits, split_gguf
from zstd_forms import seekable, zstd

WEIGHTS = (".pth", ".pt", ".safetensors", ".gguf")
KIB = 1 << 10


def one_frame(data):
    return zstd(data, "--stream-size=%d" % len(data))


def of_a_pipe(data):
    """A frame that does not say how much it holds."""
    return zstd(data)


def many_frames(data):
    return b"".join(zstd(data[at:at + 300_000])
                    for at in range(0, len(data), 300_000))


def with_table(data):
    return seekable(data, 200 * KIB)


PACKERS = (one_frame, of_a_pipe, many_frames, with_table)


def pack(folder, source, packer, only=None):
    """A copy of a folder, or of one file in a folder, each weights file
    compressed, or but one of `only`."""
    os.makedirs(folder)
    if os.path.isfile(source):
        names, source = [os.path.basename(source)], os.path.dirname(source)
    else:
        names = os.listdir(source)
    # What was published of the files as they were says nothing of these.
    for index, name in enumerate(sorted(set(names) - {"RELEASE"})):
        path = os.path.join(source, name)
        if not name.endswith(WEIGHTS) or (only is not None and index % only):
            shutil.copy(path, folder)
            continue
        write(os.path.join(folder, name + ".zst"), packer(read(path)))
    return folder


def sharded(box):
    """Hugging Face's layout in shards with their index."""
    folder = box.path("sharded")
    box.run("convert", DEMO, folder, "--format", "hf", "--split-size", "4MB")
    return folder


def layouts(box):
    release = Release(DEMO)
    forms = Forms(release)
    gguf = box.path("whole.gguf")
    box.run("convert", DEMO, gguf)
    out = {
        "torch": DEMO,
        "consolidated.safetensors": release.write_consolidated(
            box.path("consolidated")),
        "Hugging Face": release.write_hugging_face(
            box.path("hf"), with_half_order(release.tensors, release.params)),
        "shards": sharded(box),
        "torch in parts": forms.torch_parts(box.path("pth-parts")),
        "stacked": forms.stacked(box.path("stacked")),
        "slices": forms.slices(box.path("slices")),
        "GGUF": gguf,
        "GGUF in parts": os.path.dirname(
            split_gguf(gguf, box.path("gguf-parts"))),
    }
    return gguf, out


def same_everywhere(box, gguf, sources):
    expected = logits(box, DEMO)
    for number, (name, source) in enumerate(sources.items()):
        of_all = name in ("torch", "stacked", "slices")
        for packer in PACKERS if of_all else [PACKERS[number % 4]]:
            what = f"{name}, {packer.__name__}"
            folder = pack(box.path("packed"), source, packer)
            target = box.path("converted.gguf")
            box.run("convert", folder, target, "--threads", 1 + number % 3)
            check(read(target) == read(gguf), f"{what}: another GGUF")
            os.unlink(target)
            equal(logits(box, folder), expected, f"logits of {what}")
            run = box.run("verify", folder, "--json")
            check(run.result["summary"]["structure_checked"],
                  f"{what}: not checked\n{run}")
            shutil.rmtree(folder)
    # Some files of a set as they are.
    folder = pack(box.path("packed"), sources["slices"], one_frame, only=2)
    equal(sorted(name.endswith(".zst") for name in os.listdir(folder)
                 if "consolidated" in name), [False, True], "mixed")
    box.run("convert", folder, box.path("mixed.gguf"))
    check(read(box.path("mixed.gguf")) == read(gguf), "mixed: another GGUF")
    # By the path of the file, and packed types.
    one = pack(box.path("one"), DEMO, of_a_pipe)
    packed = os.path.join(one, "consolidated.00.pth.zst")
    run = box.run("verify", packed, "--json")
    check(run.result["summary"]["structure_checked"], f"not checked\n{run}")
    equal([w for w in run.of_type("warning") if w["code"] == "ARCHIVE"], [],
          "a warning that it was not judged")
    for to in ("q8_0", "q4_k_m"):
        box.run("convert", packed, box.path("a.gguf"), "--to", to)
        box.run("convert", DEMO, box.path("b.gguf"), "--to", to)
        check(read(box.path("a.gguf")) == read(box.path("b.gguf")), to)
        for name in ("a.gguf", "b.gguf"):
            os.unlink(box.path(name))
    text = box.run("chat", one, "-p", "define wave", "--temp", "0",
                   "--max-tokens", 8).stdout
    equal(text, box.run("chat", DEMO, "-p", "define wave", "--temp", "0",
                        "--max-tokens", 8).stdout, "the answer")


def refuses(box):
    """Damage is named, and nothing is left."""
    weights = read(os.path.join(DEMO, "consolidated.00.pth"))
    good = one_frame(weights)
    folder = pack(box.path("bad"), DEMO, one_frame)
    path = os.path.join(folder, "consolidated.00.pth.zst")
    cases = (("cut off", good[:len(good) // 2], "E-ZSTD-TRUNCATED"),
             ("flipped", good[:9000] + bytes([good[9000] ^ 0x10]) +
              good[9001:], None),
             ("checksum", good[:-1] + bytes([good[-1] ^ 1]),
              "E-ZSTD-CHECKSUM"),
             ("cut off inside", one_frame(weights[:-100]), None),
             ("two of them", good + good, None),
             ("no weights", one_frame(b"x" * 1000), "E-CONTENT"))
    for what, data, error in cases:
        write(path, data)
        verbs = [("convert", folder, box.path("x.gguf")),
                 ("chat", folder, "-p", "a"), ("verify", folder)]
        # By itself it is an archive of something.
        if what != "no weights":
            verbs.append(("verify", path))
        for verb in verbs:
            run = box.run(*verb, code=8)
            contains(run.stderr, "consolidated.00.pth.zst", what)
            if error is not None:
                contains(run.stderr, error, f"{what}: {verb[0]}")
        for name in ("x.gguf", "x.gguf.partial"):
            check(not os.path.exists(box.path(name)), f"{what}: {name} is left")
    # A frame in the middle of a table.
    data = bytearray(with_table(weights))
    data[len(data) // 2] ^= 0x20
    write(path, bytes(data))
    for verb in (("convert", folder, box.path("x.gguf")),
                 ("chat", folder, "-p", "a")):
        contains(box.run(*verb, code=8).stderr, "zstd", "a bad frame")


def test(box):
    needs("zstd")
    gguf, sources = layouts(box)
    same_everywhere(box, gguf, sources)
    refuses(box)


main(test)
