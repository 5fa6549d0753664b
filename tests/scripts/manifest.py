# SPDX-License-Identifier: Apache-2.0
"""The Lodestone manifest from publishing to verifying: one text for one
content, versions that grow, signatures, rollback (D11), clocks (D14)."""
import hashlib
import json
import os
import re
import shutil
import subprocess

from harness import (check, contains, equal, flip_byte, main, needs, read,
                     write)

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


def inspected(box):
    path = box.path("models", "plain.manifest.json")
    document = box.run("inspect", path, "--json").document
    equal(document["kind"], "manifest", "kind")
    equal(document["name"], "plain", "name")
    equal(document["version"], 1, "version")
    equal(document["signature"], None, "signature")
    equal(len(document["files"]), 3, "files")
    text = box.run("inspect", path).stdout
    contains(text, "nobody signed it", "for people")
    contains(text, document["files"][2]["sha256"], "for people")
    # What is no manifest, and what breaks a rule.
    good = read(path).decode()
    for change, code, says in (
            (lambda t: t.replace('"README.md"', '"../README.md"'), 8,
             "../README.md"),
            (lambda t: t.replace('"version": 1', '"version": 1, "version": 2'),
             8, "twice"),
            (lambda t: t + " ", 8, "canonical"),
            (lambda t: t.replace('"format_version": 1', '"format_version": 2'),
             9, "version 2"),
            (lambda t: t.replace('  "model"', '  "hidden": 1,\n  "model"'), 9,
             "hidden"),
            (lambda t: re.sub("urn:btih:.", "urn:btih:f", t), 8, "magnet"),
            (lambda t: t[:200], 8, "manifest"), (lambda t: "{" * 5000, 8, "")):
        file = write(box.path("bad.manifest.json"), change(good))
        box.fails("inspect", file, code=code, says=says)


def found_by_verify(box):
    """Its sums are held against the bytes; the level says what that is."""
    path = model(box, "checked")
    publish(box, path, "--format", "v1")
    equal(box.run("verify", path, "--json").result["summary"]["level"],
          "sha256", "an unsigned manifest is a list of sums")
    flip_byte(os.path.join(path, "sub", "weights.bin"), 30000)
    box.fails("verify", path, code=6, says="weights.bin")
    flip_byte(os.path.join(path, "sub", "weights.bin"), 30000)
    # Moved away, it is still found where torrents are kept.
    os.rename(path + ".manifest.json", box.path("moved.manifest.json"))
    equal(box.run("verify", path, "--json").result["summary"]["level"],
          "sha256", "kept with the torrent")
    # For somebody else, by name.
    other = box.user("stranger")
    equal(box.run("verify", path, "--against", box.path("moved.manifest.json"),
                  "--json", env=other).result["summary"]["level"], "sha256",
          "--against")
    os.remove(os.path.join(path, "README.md"))
    box.fails("verify", path, "--against", box.path("moved.manifest.json"),
              code=6, says="README.md", env=other)


def make_keys(box):
    """One of each kind, made by the tools that others use."""
    needs("minisign", "openssl")
    keys = {}
    for name in ("ann", "eve"):
        secret, public = box.path(name + ".key"), box.path(name + ".pub")
        subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", secret],
                       check=True, stdout=subprocess.DEVNULL)
        os.chmod(secret, 0o600)
        keys[name] = (secret, public)
    for name in ("p256", "p384"):
        secret, public = box.path(name + ".key"), box.path(name + ".pub")
        curve = {"p256": "prime256v1", "p384": "secp384r1"}[name]
        subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey",
                        "-noout", "-out", secret], check=True)
        os.chmod(secret, 0o600)
        subprocess.run(["openssl", "ec", "-in", secret, "-pubout", "-out",
                        public], check=True, stderr=subprocess.DEVNULL)
        keys[name] = (secret, public)
    return keys


def trusting(box, name, *keys):
    """A user who trusts these keys."""
    env = box.user(name)
    for number, (_, public) in enumerate(keys):
        box.run("keys", "trust", public, "--name", f"key{number}", env=env)
    return env


def signed(box, keys):
    """D12: trusted, unknown, broken; the signature of either kind."""
    for kind, suffix in (("ann", ".minisig"), ("p256", ".sig"),
                         ("p384", ".sig")):
        path = model(box, "signed-" + kind, kind)
        summary = publish(box, path, "--sign", keys[kind][0], "--format", "v1",
                          env=box.user("publisher-" + kind))
        manifest = path + ".manifest.json"
        signature = manifest + suffix
        equal(summary["signature"], signature, "signature")
        equal(loaded(manifest)["publisher"]["key"], summary["signer_key"],
              "the key is named in what it signs")
        if kind == "ann":
            subprocess.run(["minisign", "-V", "-p", keys[kind][1], "-m",
                            manifest], check=True, stdout=subprocess.DEVNULL)
        friend = trusting(box, "friend-" + kind, keys[kind])
        run = box.run("verify", path, "--json", env=friend)
        equal(run.result["summary"]["level"], "trusted-key", f"level\n{run}")
        equal(box.run("inspect", manifest, "--json", env=friend)
              .document["signature"]["trusted"], True, "inspected")
        stranger = trusting(box, "stranger-" + kind, keys["eve"])
        run = box.run("verify", path, env=stranger, code=None)
        check("signed by trusted key" not in run.stderr + run.stdout,
              f"D12: an unknown key\n{run}")
        contains(run.stderr + run.stdout, "unknown key", "D12: is said")
        # One bit of the manifest, of the signature, of a file.
        for file, place, code in ((manifest, 60, None), (signature, 120, 7),
                                  (os.path.join(path, "README.md"), 1, 6)):
            flip_byte(file, place)
            run = box.run("verify", path, "--json", env=friend, code=None)
            check(run.code in ((7, 8) if code is None else (code,)),
                  f"{file} at {place}: {run.code}\n{run}")
            flip_byte(file, place)
        # A file that nobody signed.
        extra = write(os.path.join(path, "extra.bin"), "x")
        box.fails("verify", path, code=7, says="extra.bin", env=friend)
        os.remove(extra)
        box.run("verify", path, env=friend)

    # Signed by somebody else than it says: eve's signature of ann's text.
    path = box.path("models", "signed-ann")
    manifest = path + ".manifest.json"
    subprocess.run(["minisign", "-S", "-s", keys["eve"][0], "-m", manifest],
                   check=True, stdout=subprocess.DEVNULL)
    both = trusting(box, "both", keys["ann"], keys["eve"])
    box.fails("verify", path, code=7, id="E-MANIFEST-KEY", env=both)
    # A bundle over another file says nothing of this one.
    shutil.copy(box.path("models", "signed-p256.manifest.json.sig"),
                box.path("models", "signed-p384.manifest.json.sig"))
    box.fails("verify", box.path("models", "signed-p384"), code=7,
              env=trusting(box, "p256-and-p384", keys["p256"], keys["p384"]))
    # No key, a public one, one that others can read.
    path = box.path("models", "plain")
    for key, says in ((keys["ann"][1], "public"), (box.path("absent"), ""),
                      (write(box.path("junk"), "junk"), "")):
        box.run("publish", path, "--sign", key, "--output",
                box.path("never.torrent"), code=None)
        check(not os.path.exists(box.path("never.torrent")), f"signed by {key}")


def rollback(box, keys):
    """D11: a release that was seen is never followed by an older one, nor by
    another one of the same number; D14: the clock is said, and opens no way."""
    publisher = box.user("publisher-rollback")
    path = model(box, "release")
    manifest = path + ".manifest.json"
    files = (manifest, manifest + ".minisig", path + ".torrent")

    def release(number, *extra):
        write(os.path.join(path, "README.md"), f"release {number}")
        publish(box, path, "--sign", keys["ann"][0], "--overwrite",
                "--manifest-version", str(number), *extra, env=publisher)
        kept = box.path(f"release-{number}-{len(extra)}")
        os.makedirs(kept)
        for file in (*files, os.path.join(path, "README.md")):
            shutil.copy(file, kept)
        return kept

    def offer(kept):
        for file in files:
            shutil.copy(os.path.join(kept, os.path.basename(file)), file)
        shutil.copy(os.path.join(kept, "README.md"), path)

    old, new = release(1), release(2)
    friend = trusting(box, "friend-rollback", keys["ann"])
    seen = os.path.join(friend["XDG_DATA_HOME"], "lodestone",
                        "seen-manifests.json")
    offer(old)
    box.run("verify", path, env=friend)
    equal([entry["version"] for entry in loaded(seen)["seen"]], [1], "seen")
    offer(new)
    # What failed was not seen.
    flip_byte(os.path.join(path, "README.md"), 0)
    box.fails("verify", path, code=6, env=friend)
    equal([entry["version"] for entry in loaded(seen)["seen"]], [1], "seen")
    flip_byte(os.path.join(path, "README.md"), 0)
    box.run("verify", path, env=friend)
    equal([entry["version"] for entry in loaded(seen)["seen"]], [2], "seen")
    offer(old)
    box.fails("verify", path, code=7, id="E-ROLLBACK", says="version 1",
              env=friend)
    box.fails("inspect", manifest, code=7, id="E-ROLLBACK", env=friend)
    # Who has seen nothing cannot know.
    box.run("verify", path, env=trusting(box, "newcomer", keys["ann"]))
    # Two manifests of one number.
    write(os.path.join(publisher["XDG_DATA_HOME"], "lodestone",
                       "seen-manifests.json"), '{"format":1,"seen":[]}')
    os.remove(manifest)
    offer(release(2, "--license", "MIT"))
    box.fails("verify", path, code=7, id="E-ROLLBACK",
              says="one version is one manifest", env=friend)
    offer(new)
    box.run("verify", path, env=friend)

    # Memory that cannot be read is not taken for no memory.
    text = read(seen)
    write(seen, "broken")
    box.fails("verify", path, code=8, id="E-SEEN", env=friend)
    write(seen, text)

    # Stale is a warning, whatever the signature; so is the future.
    offer(release(3, "--expires", "2001-01-31", "--no-date"))
    run = box.run("verify", path, "--json", env=friend)
    warnings = {event["code"]: event["message"]
                for event in run.of_type("warning")}
    contains(warnings.get("MANIFEST_CLOCK", ""), "stale", "D11")
    equal(run.result["summary"]["level"], "trusted-key", "D11: still signed")
    publisher["SOURCE_DATE_EPOCH"] = "4000000000"
    offer(release(4))
    run = box.run("verify", path, "--json", env=friend)
    warnings = {event["code"]: event["message"]
                for event in run.of_type("warning")}
    contains(warnings.get("MANIFEST_CLOCK", ""), "clock of this machine",
             "D14: the clock is said")
    # No clock makes an old release new.
    offer(old)
    box.fails("verify", path, code=7, id="E-ROLLBACK", env=friend)


def test(box):
    keys = make_keys(box)
    what_it_says(box)
    configuration(box)
    versions(box)
    inspected(box)
    found_by_verify(box)
    signed(box, keys)
    rollback(box, keys)


main(test)
