# SPDX-License-Identifier: Apache-2.0
"""model.sig both ways: what the program signs holds for an independent
verifier (oms_oracle), what that one signs holds here, and one wrong thing at a
time is refused with 7, or 9 where it is well formed and not implemented; bytes
that differ from what is signed are 6. Cases D2, D4, D5, D6, D8, D9, D12, D14.
"""
import base64
import copy
import json
import os
import shutil
import subprocess

import oms_oracle
from harness import (SOURCE, check, contains, equal, flip_byte, main, write)
from oms_oracle import CURVES, make_key

GOLDEN = os.path.join(SOURCE, "tests/golden/oms")


def model(box, *parts):
    """A folder with names whose order tells bytes from path components."""
    folder = box.path(*parts)
    for name, text in (("a-b", "1"), ("a/b", "2"), ("a.b", "3"),
                       ("weights.bin", "w" * 100_000), ("empty", ""),
                       ("caf\u00e9/\U0001F999.json", "{}"),
                       (".gitattributes", "x")):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, text)
    return folder


def verify(box, folder, *more, code=0, id=None, **options):
    args = ("verify", folder, "--level", "signature", *more)
    if code == 0:
        return box.run(*args, "--json", **options)
    return box.fails(*args, code=code, id=id, **options)


def level_of(run):
    return run.result["summary"]["level"]


def test_both_ways(box):
    for curve in CURVES:
        folder = model(box, curve)
        secret, public = make_key(box.folder, "key-" + curve, curve)
        run = box.run("keys", "sign", folder, "--key", secret)
        signature = os.path.join(folder, "model.sig")
        equal(run.last_line, signature, "the last line")
        names = oms_oracle.verify(folder, signature, public)
        equal(names, ["a-b", "a.b", "a/b", "caf\u00e9/\U0001F999.json",
                      "empty", "weights.bin"], "what is signed")
        run = verify(box, folder, "--key", public)
        equal(level_of(run), "trusted-key", f"level\n{run}")
        run = box.run("verify", folder, "--level", "signature", "--key", public)
        contains(run.stderr, "signed by key-" + curve, "signer")
        contains(run.stderr, oms_oracle.hint_of(public), "fingerprint")
        os.remove(signature)
        oms_oracle.sign(folder, secret, public)
        equal(level_of(verify(box, folder, "--key", public)), "trusted-key",
              "level")
        # Beside the folder, by name.
        os.rename(signature, folder + ".sig")
        equal(level_of(verify(box, folder, "--key", public)), "trusted-key",
              "level")
        os.remove(folder + ".sig")
        equal(level_of(verify(box, folder)), "unverified", "level")


def changed(statement, change):
    statement = copy.deepcopy(statement)
    change(statement)
    return statement


def refused_statements(statement):
    """What is signed, and wrong; exit code and error id."""
    def put(*path):
        *way, last, value = path

        def change(parts):
            for step in way:
                parts = parts[step]
            parts[last] = value
        return change

    how = ("predicate", "serialization")
    first = ("predicate", "resources", 0)
    for what, code, id, change in (
            ("_type", 7, "E-OMS-STATEMENT", put("_type", "x")),
            ("predicateType", 7, "E-OMS-STATEMENT",
             put("predicateType", "https://model_signing/Digests/v0.1")),
            ("two subjects", 7, "E-OMS-STATEMENT",
             lambda s: s["subject"].append(s["subject"][0])),
            ("no subject", 7, "E-OMS-STATEMENT", put("subject", [])),
            ("extra key", 7, "E-OMS-STATEMENT", put("more", 1)),
            ("extra key in serialization", 7, "E-OMS-STATEMENT",
             put(*how, "more", 1)),
            ("root digest", 7, "E-OMS-STATEMENT",
             put("subject", 0, "digest", {"sha256": "0" * 64})),
            ("digest", 7, "E-OMS-STATEMENT", put(*first, "digest", "1" * 64)),
            ("order", 7, "E-OMS-STATEMENT",
             lambda s: s["predicate"]["resources"].reverse()),
            ("method", 7, "E-OMS-STATEMENT", put(*how, "method", "tree")),
            ("symlinks", 7, "E-OMS-STATEMENT",
             put(*how, "allow_symlinks", True)),
            ("shards", 9, "E-OMS-METHOD", put(*how, "method", "shards")),
            ("blake3", 9, "E-OMS-METHOD", put(*how, "hash_type", "blake3")),
            ("blake2b", 9, "E-OMS-METHOD", put(*first, "algorithm", "blake2b")),
            ("name ../", 7, "E-OMS-STATEMENT", put(*first, "name", "../a")),
            ("name /", 7, "E-OMS-STATEMENT", put(*first, "name", "/etc/x")),
            ("name ./", 7, "E-OMS-STATEMENT", put(*first, "name", "./a-b")),
            ("name twice", 7, "E-OMS-STATEMENT", put(*first, "name", "a.b")),
            ("name by case", 7, "E-OMS-STATEMENT", put(*first, "name", "A.B")),
            ("ignore ../", 7, "E-OMS-STATEMENT",
             put(*how, "ignore_paths", ["../x"]))):
        yield what, code, id, changed(statement, change)


def refused_bundles(bundle):
    """What is around the signed bytes, and wrong."""
    def put(value, *path):
        parts = copy.deepcopy(bundle)
        inner = parts
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        return parts

    envelope = bundle["dsseEnvelope"]
    signature = envelope["signatures"][0]
    der = base64.b64decode(signature["sig"])
    for what, id, parts in (
            ("mediaType", "E-OMS-BUNDLE", put("x", "mediaType")),
            ("extra key", "E-OMS-BUNDLE", put(1, "more")),
            ("extra key in the key", "E-OMS-BUNDLE",
             put(1, "verificationMaterial", "publicKey", "more")),
            ("payloadType", "E-OMS-BUNDLE",
             put("application/json", "dsseEnvelope", "payloadType")),
            ("second signature", "E-OMS-BUNDLE",
             put([signature, signature], "dsseEnvelope", "signatures")),
            ("no signature", "E-OMS-BUNDLE",
             put([], "dsseEnvelope", "signatures")),
            ("base64", "E-OMS-BUNDLE",
             put(envelope["payload"][:-1], "dsseEnvelope", "payload")),
            ("hint of nobody", "E-OMS-HINT",
             put("0" * 64, "verificationMaterial", "publicKey", "hint")),
            ("payload", "E-SIGNATURE",
             put(base64.b64encode(base64.b64decode(envelope["payload"]) +
                                  b" ").decode(), "dsseEnvelope", "payload")),
            ("DER with a byte more", "E-SIGNATURE",
             put(base64.b64encode(der + b"\0").decode(), "dsseEnvelope",
                 "signatures", 0, "sig")),
            ("r = 0", "E-SIGNATURE",
             put(base64.b64encode(bytes.fromhex("3006020100020101")).decode(),
                 "dsseEnvelope", "signatures", 0, "sig"))):
        yield what, id, json.dumps(parts)
    yield ("key twice", "E-OMS-BUNDLE",
           '{"mediaType":"x",' + json.dumps(bundle)[1:])
    yield "bytes behind", "E-OMS-BUNDLE", json.dumps(bundle) + "{}"
    yield "nothing", "E-OMS-BUNDLE", ""
    yield "no JSON", "E-OMS-BUNDLE", "\x00\x01"


def test_refused(box):
    folder = model(box, "refused")
    secret, public = make_key(box.folder, "key")
    _, other = make_key(box.folder, "other")
    signature = os.path.join(folder, "model.sig")
    oms_oracle.sign(folder, secret, public)
    with open(signature, encoding="utf-8") as file:
        bundle = json.load(file)
    statement = oms_oracle.statement_of(folder, {"model.sig"})
    # Without a key known the form is held to the rules all the same.
    for what, code, id, wrong in refused_statements(statement):
        oms_oracle.sign(folder, secret, public, statement=wrong)
        run = verify(box, folder, "--key", public, code=code, id=id)
        verify(box, folder, code=code, id=id)
        check(len(run.error["message"]) > 20, f"{what}: no reason\n{run}")
    for what, id, text in refused_bundles(bundle):
        write(signature, text)
        verify(box, folder, "--key", public, code=7, id=id)
    with open(signature, "w", encoding="utf-8") as file:
        json.dump(bundle, file)
    verify(box, folder, "--key", public)
    # D6: other keys, other curves, other kinds.
    verify(box, folder, "--key", other, code=7, id="E-WRONG-KEY")
    secret384, public384 = make_key(box.folder, "p384", "secp384r1")
    verify(box, folder, "--key", public384, code=7, id="E-WRONG-KEY")
    crossed = oms_oracle.bundle_of(
        base64.b64decode(bundle["dsseEnvelope"]["payload"]), secret384,
        public384)
    crossed["verificationMaterial"] = bundle["verificationMaterial"]
    with open(signature, "w", encoding="utf-8") as file:
        json.dump(crossed, file)
    verify(box, folder, "--key", public, code=7, id="E-SIGNATURE")
    ed25519 = box.path("ed25519.pub")
    write(box.path("ed25519.pem"),
          oms_oracle.openssl("genpkey", "-algorithm", "ed25519").decode())
    oms_oracle.openssl("pkey", "-in", box.path("ed25519.pem"), "-pubout",
                       "-out", ed25519)
    verify(box, folder, "--key", ed25519, code=7, id="E-KEY-TYPE")


def test_content(box):
    folder = model(box, "content")
    secret, public = make_key(box.folder, "key")
    weights = os.path.join(folder, "weights.bin")
    oms_oracle.sign(folder, secret, public)
    # D4: bytes that differ from a signed digest are a mismatch.
    flip_byte(weights, 5000)
    run = verify(box, folder, "--key", public, code=6, id="E-MISMATCH")
    contains(run.error["message"], "weights.bin", "the file")
    flip_byte(weights, 5000)
    os.rename(weights, box.path("away"))
    verify(box, folder, "--key", public, code=6)
    # D9: a link in place of a signed file, though it leads to the same bytes.
    os.symlink(box.path("away"), weights)
    verify(box, folder, "--key", public, code=7, id="E-SYMLINK")
    os.remove(weights)
    os.rename(box.path("away"), weights)
    os.rename(os.path.join(folder, "a"), box.path("away"))
    os.symlink(box.path("away"), os.path.join(folder, "a"))
    verify(box, folder, "--key", public, code=7, id="E-SYMLINK")
    os.remove(os.path.join(folder, "a"))
    os.rename(box.path("away"), os.path.join(folder, "a"))
    # D2: what is there and not signed.
    extra = write(os.path.join(folder, "extra.txt"), "x")
    verify(box, folder, "--key", public, code=7, id="E-UNSIGNED-EXTRA")
    os.remove(extra)
    # D8: what the signer left out is not signed, however it was left out.
    oms_oracle.sign(folder, secret, public, left_out=["weights.bin"])
    verify(box, folder, "--key", public, code=7, id="E-UNSIGNED-USED")
    # D12: a key that nobody chose to trust adds nothing.
    oms_oracle.sign(folder, secret, public)
    run = box.run("verify", folder, "--level", "signature")
    contains(run.stderr, "signed by unknown key " + oms_oracle.hint_of(public),
             "what is said")
    check("verified" not in run.stderr + run.stdout, f"called verified\n{run}")
    equal(level_of(verify(box, folder)), "unknown-key", "level")
    for flag in (["--require-signature"], ["--require", "signed"]):
        verify(box, folder, *flag, code=7, id="E-UNSIGNED")
        verify(box, folder, *flag, "--key", public)
    # Once it is trusted, it need not be given; and then no more.
    box.run("keys", "trust", public, "--name", "publisher")
    run = box.run("verify", folder, "--level", "signature",
                  "--require-signature")
    contains(run.stderr, "signed by publisher", "signer")
    box.run("keys", "untrust", "publisher")
    verify(box, folder, "--require-signature", code=7, id="E-UNSIGNED")
    # Elsewhere, by name.
    moved = box.path("elsewhere.sig")
    os.rename(os.path.join(folder, "model.sig"), moved)
    verify(box, folder, "--signature", moved, "--key", public,
           "--require-signature")
    verify(box, folder, "--signature", box.path("none"), code=3)


def test_others_signatures(box):
    """model_signing 1.1.0 made them."""
    for name, key in (("elliptic-key", "signing-key-pub.pem"),
                      ("certificate", "ca-cert.pem")):
        folder = box.path("golden", name)
        shutil.copytree(os.path.join(GOLDEN, name), folder)
        run = verify(box, folder, "--key", os.path.join(GOLDEN, key))
        levels = {event["path"]: event["status"]
                  for event in run.of_type("file")}
        equal({levels["signme-1"], levels["signme-2"]}, {"ok"}, "status")
        flip_byte(os.path.join(folder, "signme-1"), 2)
        verify(box, folder, "--key", os.path.join(GOLDEN, key), code=6)
    folder = box.path("golden", "elliptic-key")
    for name, code, id in (("valid-sigstore", 9, "E-OMS-METHOD"),
                           ("old-raw-key", 9, "E-OMS-METHOD"),
                           ("invalid-empty", 7, "E-OMS-BUNDLE"),
                           ("invalid-missing-envelope", 7, "E-OMS-BUNDLE"),
                           ("invalid-missing-tlog-entries", 7, "E-OMS-BUNDLE"),
                           ("invalid-missing-verification-material", 7,
                            "E-OMS-BUNDLE"),
                           ("invalid-payload-wrong-predicate", 7, None)):
        path = os.path.join(GOLDEN, "vectors", name + ".bundle.json")
        verify(box, folder, "--signature", path, "--key",
               os.path.join(GOLDEN, "signing-key-pub.pem"), code=code, id=id)


def make_chain(box, days):
    """A root and a signer's certificate valid for `days`, from openssl."""
    root_key, _ = make_key(box.folder, "root")
    leaf_key, leaf_public = make_key(box.folder, "leaf")
    root = box.path("root.crt")
    oms_oracle.openssl("req", "-x509", "-new", "-key", root_key, "-subj",
                       "/CN=root", "-days", "3650", "-addext",
                       "keyUsage=critical,keyCertSign", "-out", root)
    request = oms_oracle.openssl("req", "-new", "-key", leaf_key, "-subj",
                                 "/CN=signer")
    extensions = write(box.path("leaf.ext"),
                       "keyUsage=critical,digitalSignature\n"
                       "extendedKeyUsage=codeSigning\n")
    leaf = oms_oracle.openssl("x509", "-req", "-CA", root, "-CAkey", root_key,
                              "-CAcreateserial", "-days", str(days),
                              "-extfile", extensions, "-outform", "DER",
                              stdin=request)
    return root, leaf, leaf_key, leaf_public


def test_certificates(box):
    folder = model(box, "by-certificate")
    for days, code in ((30, 0), (-1, 7)):
        root, leaf, leaf_key, leaf_public = make_chain(box, days)
        signature = os.path.join(folder, "model.sig")
        oms_oracle.sign(folder, leaf_key, leaf_public)
        with open(signature, encoding="utf-8") as file:
            bundle = json.load(file)
        bundle["verificationMaterial"] = {"x509CertificateChain": {
            "certificates": [{"rawBytes": base64.b64encode(leaf).decode()}]}}
        write(signature, json.dumps(bundle))
        if code == 0:
            run = verify(box, folder, "--key", root)
            equal(level_of(run), "trusted-key", f"level\n{run}")
            continue
        # D14: held against the clock, and no way round it.
        run = verify(box, folder, "--key", root, code=7, id="E-CERTIFICATE")
        contains(run.error["message"], "the clock of this machine says",
                 "message")


def test(box):
    if subprocess.run(["openssl", "version"], stdout=subprocess.PIPE
                      ).returncode != 0:
        raise AssertionError("no openssl command")
    test_both_ways(box.part("ways"))
    test_refused(box.part("refuse"))
    test_content(box.part("bytes"))
    test_others_signatures(box.part("others"))
    test_certificates(box.part("certificates"))


main(test)
