# SPDX-License-Identifier: Apache-2.0
"""The Lodestone manifest from publishing to verifying: one text for one
content, versions that grow."""
import hashlib
import json
import os
import shutil

from harness import check, equal, flip_byte, main, read, write

EPOCH = "1700000000"


def canonical(document):
    """The text of docs/formats/manifest.md, by Python's own writer."""
    return json.dumps(document, sort_keys=True, indent=2,
                      ensure_ascii=False) + "\n"


def model(box, name, text="weights"):
    path = box.path("models", name)
    write(os.path.join(path, "sub", "weights.bin"), (text * 9000).encode())
    write(os.path.join(path, "README.md"), "# " + name)
    write(os.path.join(path, "empty"), "")
    return path


def publish(box, path, *extra, **more):
    run = box.run("publish", path, *extra, "--json", **more)
    return run.result["summary"]


def loaded(path):
    return json.loads(read(path))


def what_it_says(box):
    """Every digest made by other means; the same bytes each time."""
    path = model(box, "plain")
    env = dict(box.env, SOURCE_DATE_EPOCH=EPOCH)
    summary = publish(box, path, "--format", "hybrid", "--license",
                      "Apache-2.0", "--publisher", "Ann", "--expires",
                      "2030-01-01", env=env)
    equal(summary["manifest"], path + ".manifest.json", "beside the payload")
    equal(summary["manifest_version"], 1, "the first version")
    text = read(summary["manifest"]).decode()
    equal(summary["manifest_sha256"], hashlib.sha256(text.encode()).hexdigest(),
          "digest of the manifest")
    manifest = json.loads(text)
    equal(text, canonical(manifest), "canonical text")
    files = {}
    for parent, _, names in os.walk(path):
        for name in names:
            full = os.path.join(parent, name)
            files[os.path.relpath(full, path)] = read(full)
    equal([entry["path"] for entry in manifest["files"]], sorted(files),
          "paths in order")
    for entry in manifest["files"]:
        data = files[entry["path"]]
        equal(entry["size"], len(data), "size")
        equal(entry["sha256"], hashlib.sha256(data).hexdigest(), "sha256")
        equal("pieces_root" in entry, len(data) > 0, "a root where there is one")
    equal(manifest["torrent"]["info_hash_v1"], summary["info_hash_v1"], "v1")
    equal(manifest["torrent"]["info_hash_v2"], summary["info_hash_v2"], "v2")
    equal(manifest["torrent"]["magnet"], summary["magnet"], "magnet")
    equal(manifest["issued"], "2023-11-14T22:13:20Z", "SOURCE_DATE_EPOCH")
    equal(manifest["expires"], "2030-01-01T00:00:00Z", "expires")
    equal(manifest["publisher"], {"name": "Ann"}, "publisher")
    equal(manifest["license"], "Apache-2.0", "licence")
    check("params" not in manifest, "no model, no parameters")

    # Elsewhere, by somebody else: the same bytes.
    twin = box.path("twin", "plain")
    shutil.copytree(path, twin)
    publish(box, twin, "--format", "hybrid", "--license", "Apache-2.0",
            "--publisher", "Ann", "--expires", "2030-01-01",
            env=dict(box.user("twin-user"), SOURCE_DATE_EPOCH=EPOCH))
    equal(read(twin + ".manifest.json").decode(), text, "reproducible")
    publish(box, twin, "--format", "v1", "--no-date", "--output",
            box.path("dateless.torrent"))
    dateless = loaded(box.path("dateless.manifest.json"))
    check("issued" not in dateless, "--no-date")
    check("pieces_root" not in dateless["files"][2], "no v2, no roots")
    run = box.run("publish", twin, "--no-manifest", "--output",
                  box.path("without.torrent"), "--json")
    check("manifest" not in run.result["summary"], "--no-manifest")
    check(not os.path.exists(box.path("without.manifest.json")), "none is there")


def configuration(box):
    """What a model is goes in as well."""
    path = box.demo("published", "demo")
    summary = publish(box, path)
    params = loaded(summary["manifest"])["params"]
    said = loaded(os.path.join(path, "params.json"))
    equal(params["model_dim"], said["dim"], "model_dim")
    equal(params["num_layers"], said["n_layers"], "num_layers")
    equal(params["num_experts"], said["moe"]["num_experts"], "num_experts")
    equal(params["num_experts_per_token"], said["moe"]["num_experts_per_tok"],
          "num_experts_per_token")
    recipe = {"tool": "by hand", "type": "bf16", "source": {"files": {}}}
    file = write(box.path("recipe.json"), json.dumps(recipe))
    publish(box, path, "--recipe", file, "--output", box.path("made.torrent"))
    equal(loaded(box.path("made.manifest.json"))["recipe"], recipe, "recipe")
    for text in ("[]", "{}", "{", "7"):
        write(file, text)
        box.fails("publish", path, "--recipe", file, "--output",
                  box.path("made2.torrent"), code=2, says="--recipe")


def versions(box):
    """They grow with the content, and only then."""
    path = model(box, "growing")
    manifest = path + ".manifest.json"
    equal(publish(box, path)["manifest_version"], 1, "the first")
    first = read(manifest)
    equal(publish(box, path)["manifest_version"], 1, "the same again")
    equal(read(manifest), first, "not even the date is another")
    flip_byte(os.path.join(path, "sub", "weights.bin"), 5)
    box.fails("publish", path, code=5, id="E-EXISTS")
    equal(read(manifest), first, "nothing was replaced")
    equal(publish(box, path, "--overwrite")["manifest_version"], 2, "the next")
    box.fails("publish", path, "--overwrite", "--manifest-version", "1",
              code=2, says="version 2 is known")
    equal(publish(box, path, "--overwrite", "--manifest-version", "9")
          ["manifest_version"], 9, "chosen")
    flip_byte(os.path.join(path, "sub", "weights.bin"), 5)
    equal(publish(box, path, "--overwrite")["manifest_version"], 10, "and on")
    for wrong in ("0", "-1", "x", "1.5"):
        box.fails("publish", path, "--manifest-version", wrong, code=2)
    for wrong in ("tomorrow", "2027-13-01", "1700000000"):
        box.fails("publish", path, "--expires", wrong, "--output",
                  box.path("x.torrent"), code=2, says="--expires")
    write(manifest, "mine")
    box.fails("publish", path, code=5, id="E-EXISTS", says="--no-manifest")
    equal(read(manifest), b"mine", "what is no manifest")


def test(box):
    what_it_says(box)
    configuration(box)
    versions(box)


main(test)
