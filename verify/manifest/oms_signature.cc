// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/oms_signature.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "verify/base/base64.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr std::string_view kMediaType =
    "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr std::string_view kPayloadType = "application/vnd.in-toto+json";
constexpr uint64_t kMaxBundleValues = 100'000;
constexpr size_t kMaxCertificates = 16;

Unexpected Refuse(std::string_view what) {
  return Fail(ErrorCode::kUntrusted, StrCat("bundle: ", what))
      .Id("E-OMS-BUNDLE")
      .Hint("do not trust this signature; ask its publisher for another");
}

Unexpected NotImplemented(std::string_view what, std::string_view hint) {
  return Fail(ErrorCode::kUnsupported, StrCat("bundle: ", what))
      .Id("E-OMS-METHOD")
      .Hint(hint);
}

Result<void> AllowKeys(const Json& object, std::string_view where,
                       std::initializer_list<std::string_view> keys) {
  if (!object.is_object()) return Refuse(StrCat(where, " is no object"));
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return Refuse(StrCat("key \"", EscapeForTerminal(key, 64), "\" in ",
                           where, " is not allowed"));
    }
  }
  return {};
}

Result<const Json*> Member(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return Refuse(StrCat("no \"", key, "\""));
  return &*it;
}

Result<std::string> Text(const Json& object, const char* key) {
  ASSIGN_OR_RETURN(const Json* value, Member(object, key));
  if (!value->is_string()) return Refuse(StrCat("\"", key, "\" is no text"));
  return value->get_ref<const std::string&>();
}

Result<void> Expect(const Json& object, const char* key,
                    std::string_view expected) {
  ASSIGN_OR_RETURN(const std::string value, Text(object, key));
  if (value == expected) return {};
  return Refuse(StrCat("\"", key, "\" is \"", EscapeForTerminal(value, 128),
                       "\", not \"", expected, "\""));
}

Result<std::vector<std::byte>> Bytes(const Json& object, const char* key) {
  ASSIGN_OR_RETURN(const std::string text, Text(object, key));
  auto bytes = Base64Decode(text);
  if (!bytes.has_value() || bytes->empty()) {
    return Refuse(StrCat("\"", key, "\" is no base64"));
  }
  return std::move(*bytes);
}

bool IsFingerprint(std::string_view text) {
  return text.size() == 2 * sizeof(Sha256Digest) && AsciiLower(text) == text &&
         HexDecode(text).has_value();
}

Result<void> ParseCertificates(const Json& chain, OmsBundle& bundle) {
  RETURN_IF_ERROR(AllowKeys(chain, "x509CertificateChain", {"certificates"}));
  ASSIGN_OR_RETURN(const Json* list, Member(chain, "certificates"));
  if (!list->is_array() || list->empty() || list->size() > kMaxCertificates) {
    return Refuse(
        StrCat("\"certificates\" is no list of 1 to ", kMaxCertificates));
  }
  for (const Json& certificate : *list) {
    RETURN_IF_ERROR(AllowKeys(certificate, "a certificate", {"rawBytes"}));
    ASSIGN_OR_RETURN(auto der, Bytes(certificate, "rawBytes"));
    bundle.certificates.push_back(std::move(der));
  }
  return {};
}

Result<void> ParseMaterial(const Json& material, OmsBundle& bundle) {
  RETURN_IF_ERROR(AllowKeys(material, "verificationMaterial",
                            {"publicKey", "x509CertificateChain", "certificate",
                             "tlogEntries", "timestampVerificationData"}));
  const size_t num_methods = material.count("publicKey") +
                             material.count("x509CertificateChain") +
                             material.count("certificate");
  if (num_methods != 1) {
    return Refuse(
        StrCat("verificationMaterial holds ", num_methods,
               " of publicKey, x509CertificateChain and certificate, not one"));
  }
  size_t num_entries = 0;
  if (const auto log = material.find("tlogEntries"); log != material.end()) {
    if (!log->is_array()) return Refuse("\"tlogEntries\" is no list");
    num_entries = log->size();
  }
  if (material.contains("certificate")) {
    if (num_entries == 0) {
      return Refuse("a keyless certificate without an entry in a log");
    }
    return NotImplemented(
        "signed without a key of its own (sigstore keyless): not verified here",
        "model_signing verify sigstore --signature FILE --identity WHO "
        "--identity_provider URL FOLDER");
  }
  if (material.contains("x509CertificateChain")) {
    bundle.method = OmsBundle::Method::kCertificate;
    return ParseCertificates(material["x509CertificateChain"], bundle);
  }
  const Json& key = material["publicKey"];
  if (key.is_object() && key.contains("rawBytes") && !key.contains("hint")) {
    return NotImplemented(
        "it holds its key, as before version 1.1 of the format",
        "ask for a signature made by a newer tool, or use model_signing "
        "verify key");
  }
  RETURN_IF_ERROR(AllowKeys(key, "publicKey", {"hint"}));
  if (!key.contains("hint")) return {};
  ASSIGN_OR_RETURN(bundle.hint, Text(key, "hint"));
  if (!IsFingerprint(bundle.hint)) {
    return Refuse(StrCat("the hint \"", EscapeForTerminal(bundle.hint, 80),
                         "\" is no SHA-256 in 64 lower-case digits"));
  }
  return {};
}

Result<void> ParseEnvelope(const Json& envelope, OmsBundle& bundle) {
  RETURN_IF_ERROR(AllowKeys(envelope, "dsseEnvelope",
                            {"payload", "payloadType", "signatures"}));
  RETURN_IF_ERROR(Expect(envelope, "payloadType", kPayloadType));
  ASSIGN_OR_RETURN(bundle.payload, Bytes(envelope, "payload"));
  ASSIGN_OR_RETURN(const Json* signatures, Member(envelope, "signatures"));
  if (!signatures->is_array() || signatures->size() != 1) {
    return Refuse(StrCat("\"signatures\" holds ",
                         signatures->is_array() ? signatures->size() : 0,
                         " signatures, not one"));
  }
  const Json& signature = signatures->front();
  RETURN_IF_ERROR(AllowKeys(signature, "a signature", {"sig", "keyid"}));
  if (const auto id = signature.find("keyid"); id != signature.end()) {
    // The key is named elsewhere: nothing may stand here.
    const bool nothing = id->is_null() || (id->is_string() && *id == "");
    if (!nothing) return Refuse("\"keyid\" is not empty");
  }
  ASSIGN_OR_RETURN(bundle.signature, Bytes(signature, "sig"));
  return {};
}

}  // namespace

std::string DssePae(std::string_view payload_type, std::string_view payload) {
  return StrCat("DSSEv1 ", payload_type.size(), " ", payload_type, " ",
                payload.size(), " ", payload);
}

Result<OmsBundle> ParseOmsBundle(std::string_view text) {
  JsonLimits limits;
  limits.max_bytes = kMaxOmsBundleBytes;
  limits.max_values = kMaxBundleValues;
  const auto root = ParseJson(text, limits);
  if (!root) return Refuse(root.error().ToString());
  RETURN_IF_ERROR(
      AllowKeys(*root, "the bundle",
                {"mediaType", "verificationMaterial", "dsseEnvelope"}));
  RETURN_IF_ERROR(Expect(*root, "mediaType", kMediaType));
  ASSIGN_OR_RETURN(const Json* material, Member(*root, "verificationMaterial"));
  ASSIGN_OR_RETURN(const Json* envelope, Member(*root, "dsseEnvelope"));
  OmsBundle bundle;
  RETURN_IF_ERROR(ParseEnvelope(*envelope, bundle));
  RETURN_IF_ERROR(ParseMaterial(*material, bundle));
  return bundle;
}

Result<void> CheckOmsSignature(const OmsBundle& bundle,
                               const EcPublicKey& key) {
  return key.Verify(AsBytes(DssePae(kPayloadType, AsText(bundle.payload))),
                    bundle.signature);
}

Result<std::string> SignOms(const OmsStatement& statement,
                            const EcPrivateKey& key) {
  ASSIGN_OR_RETURN(const std::string payload, WriteOmsStatement(statement));
  ASSIGN_OR_RETURN(const auto signature,
                   key.Sign(AsBytes(DssePae(kPayloadType, payload))));
  using Ordered = nlohmann::ordered_json;
  const Ordered bundle = {
      {"mediaType", std::string(kMediaType)},
      {"verificationMaterial",
       {{"publicKey", {{"hint", key.public_key().fingerprint()}}},
        {"tlogEntries", Ordered::array()}}},
      {"dsseEnvelope",
       {{"payload", Base64Encode(AsBytes(payload))},
        {"payloadType", std::string(kPayloadType)},
        {"signatures", Ordered::array({{{"sig", Base64Encode(signature)},
                                        {"keyid", ""}}})}}}};
  std::string text = bundle.dump();
  text.push_back('\n');
  if (text.size() > kMaxOmsBundleBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("the signature would have ", text.size(), " bytes, ",
                       kMaxOmsBundleBytes, " are allowed"))
        .Id("E-SIGN-FILES");
  }
  return text;
}

}  // namespace verify
