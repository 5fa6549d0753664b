# SPDX-License-Identifier: Apache-2.0
"""OpenSSF Model Signing 1.0, written a second time from the specification with
Python's standard library and the openssl command: signs folders (with one
thing wrong, if asked) and verifies what the program signed. Shares no code
with it."""
import base64
import hashlib
import json
import os
import subprocess
import tempfile

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
ALWAYS_LEFT_OUT = {".git", ".gitignore", ".gitattributes", ".github"}
# The curve by openssl's name: the digest that goes with it.
CURVES = {"prime256v1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}


class Refused(Exception):
    """The signature is not one that the specification accepts."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def make_key(folder, name, curve="prime256v1"):
    """A key pair by openssl; the paths of the secret and the public file."""
    secret = os.path.join(folder, name + ".pem")
    public = os.path.join(folder, name + ".pub")
    openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", secret)
    os.chmod(secret, 0o600)
    openssl("pkey", "-in", secret, "-pubout", "-out", public)
    return secret, public


def digest_of(public):
    text = openssl("pkey", "-pubin", "-in", public, "-text", "-noout").decode()
    for curve, digest in CURVES.items():
        if "ASN1 OID: " + curve in text:
            return digest
    raise Refused("a key of another kind")


def hint_of(public):
    return hashlib.sha256(
        openssl("pkey", "-pubin", "-in", public, "-pubout")).hexdigest()


def pae(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def digests_of(folder, left_out=()):
    """Relative name to SHA-256 of every file; a link is refused."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(where, name)
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            if relative.split("/")[0] in ALWAYS_LEFT_OUT or any(
                    relative == out or relative.startswith(out + "/")
                    for out in left_out):
                continue
            require(not os.path.islink(path), "a link: " + relative)
            if name in files:
                with open(path, "rb") as file:
                    found[relative] = hashlib.sha256(file.read()).hexdigest()
    return found


def root_of(resources):
    return hashlib.sha256(b"".join(
        bytes.fromhex(item["digest"]) for item in resources)).hexdigest()


def statement_of(folder, left_out=()):
    found = digests_of(folder, left_out)
    # Python compares texts by code points.
    resources = [{"name": name, "digest": found[name], "algorithm": "sha256"}
                 for name in sorted(found)]
    return {"_type": STATEMENT_TYPE,
            "subject": [{"name": os.path.basename(folder),
                         "digest": {"sha256": root_of(resources)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"serialization": {"method": "files",
                                            "hash_type": "sha256",
                                            "allow_symlinks": False,
                                            "ignore_paths": sorted(left_out)},
                          "resources": resources}}


def bundle_of(payload, secret, public, payload_type=PAYLOAD_TYPE):
    with tempfile.NamedTemporaryFile() as file:
        file.write(pae(payload_type, payload))
        file.flush()
        signature = openssl("dgst", "-" + digest_of(public), "-sign", secret,
                            file.name)
    return {"mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint_of(public)},
                                     "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": payload_type,
                "signatures": [{"sig": base64.b64encode(signature).decode(),
                                "keyid": ""}]}}


def sign(folder, secret, public, output=None, left_out=(), statement=None):
    """Writes a model.sig over the folder, or over `statement`."""
    output = output or os.path.join(folder, "model.sig")
    inside = os.path.relpath(output, folder)
    if statement is None:
        statement = statement_of(folder, {*left_out, inside})
    bundle = bundle_of(json.dumps(statement, indent=2).encode(), secret, public)
    with open(output, "w", encoding="utf-8") as file:
        json.dump(bundle, file)


def no_twins(pairs):
    keys = [key for key, _ in pairs]
    require(len(keys) == len(set(keys)), "a key stands twice")
    return dict(pairs)


def verify(folder, signature, public):
    """Raises Refused, or returns the names that are signed."""
    with open(signature, "rb") as file:
        bundle = json.loads(file.read(), object_pairs_hook=no_twins)
    require(set(bundle) == {"mediaType", "verificationMaterial",
                            "dsseEnvelope"}, "keys of the bundle")
    require(bundle["mediaType"] == MEDIA_TYPE, "mediaType")
    material = bundle["verificationMaterial"]
    require(material.get("tlogEntries", []) == [], "tlogEntries")
    require(set(material["publicKey"]) == {"hint"}, "publicKey")
    require(material["publicKey"]["hint"] == hint_of(public), "hint")
    envelope = bundle["dsseEnvelope"]
    require(set(envelope) == {"payload", "payloadType", "signatures"},
            "keys of the envelope")
    require(envelope["payloadType"] == PAYLOAD_TYPE, "payloadType")
    require(len(envelope["signatures"]) == 1, "one signature")
    one = envelope["signatures"][0]
    require(set(one) <= {"sig", "keyid"}, "keys of the signature")
    require(one.get("keyid") in (None, ""), "keyid")
    payload = base64.b64decode(envelope["payload"], validate=True)
    with tempfile.TemporaryDirectory() as work:
        sig, message = os.path.join(work, "sig"), os.path.join(work, "message")
        with open(sig, "wb") as file:
            file.write(base64.b64decode(one["sig"], validate=True))
        with open(message, "wb") as file:
            file.write(pae(PAYLOAD_TYPE, payload))
        said = subprocess.run(
            ["openssl", "dgst", "-" + digest_of(public), "-verify", public,
             "-signature", sig, message], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        require(said.returncode == 0, "the signature")
    statement = json.loads(payload, object_pairs_hook=no_twins)
    require(set(statement) == {"_type", "subject", "predicateType",
                               "predicate"}, "keys of the statement")
    require(statement["_type"] == STATEMENT_TYPE, "_type")
    require(statement["predicateType"] == PREDICATE_TYPE, "predicateType")
    predicate = statement["predicate"]
    require(set(predicate) == {"resources", "serialization"}, "predicate")
    how = predicate["serialization"]
    require(set(how) <= {"method", "hash_type", "allow_symlinks",
                         "ignore_paths"}, "serialization")
    require(how["method"] == "files" and how["hash_type"] == "sha256" and
            how["allow_symlinks"] is False, "serialization")
    resources = predicate["resources"]
    names = [item["name"] for item in resources]
    require(names == sorted(names), "the order of names")
    require(len(names) == len(set(names)) and names, "names")
    require(len(statement["subject"]) == 1 and
            statement["subject"][0]["digest"] == {"sha256": root_of(resources)},
            "the root digest")
    require(all(item["algorithm"] == "sha256" for item in resources),
            "algorithm")
    left_out = set(how.get("ignore_paths", ()))
    if os.path.dirname(os.path.abspath(signature)) == os.path.abspath(folder):
        left_out.add(os.path.basename(signature))
    require({item["name"]: item["digest"] for item in resources} ==
            digests_of(folder, left_out), "the files")
    return names
