// SPDX-License-Identifier: Apache-2.0
#include "tests/support/oms_builder.h"

#include "verify/base/base64.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace tests {

using verify::AsBytes;
using verify::Json;

Json OmsStatementParts() {
  const auto resource = [](std::string_view name, std::string_view content) {
    Json parts;
    parts["name"] = std::string(name);
    parts["digest"] = verify::HexEncode(verify::Sha256(AsBytes(content)));
    parts["algorithm"] = "sha256";
    return parts;
  };
  Json statement;
  statement["_type"] = "https://in-toto.io/Statement/v1";
  statement["subject"] = Json::array({Json::object()});
  statement["subject"][0]["name"] = "model";
  statement["predicateType"] = "https://model_signing/signature/v1.0";
  statement["predicate"]["resources"] =
      Json::array({resource("a.bin", "aaa"), resource("b/c.json", "{}")});
  Json& how = statement["predicate"]["serialization"];
  how["method"] = "files";
  how["hash_type"] = "sha256";
  how["allow_symlinks"] = false;
  how["ignore_paths"] = Json::array();
  SetOmsRoot(statement);
  return statement;
}

void SetOmsRoot(Json& statement) {
  std::string digests;
  for (const Json& resource : statement["predicate"]["resources"]) {
    const auto bytes = verify::HexDecode(resource["digest"].get<std::string>());
    if (bytes.has_value()) digests += verify::AsText(*bytes);
  }
  statement["subject"][0]["digest"]["sha256"] =
      verify::HexEncode(verify::Sha256(AsBytes(digests)));
}

Json OmsBundleParts(std::string_view payload, const verify::EcPrivateKey& key,
                    std::string_view payload_type) {
  const std::string pae = "DSSEv1 " + std::to_string(payload_type.size()) +
                          " " + std::string(payload_type) + " " +
                          std::to_string(payload.size()) + " " +
                          std::string(payload);
  const auto signature = key.Sign(AsBytes(pae));
  Json bundle;
  bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json";
  bundle["verificationMaterial"]["publicKey"]["hint"] =
      key.public_key().fingerprint();
  bundle["verificationMaterial"]["tlogEntries"] = Json::array();
  Json& envelope = bundle["dsseEnvelope"];
  envelope["payload"] = verify::Base64Encode(AsBytes(payload));
  envelope["payloadType"] = std::string(payload_type);
  envelope["signatures"] = Json::array({Json::object()});
  envelope["signatures"][0]["sig"] = verify::Base64Encode(signature.value());
  envelope["signatures"][0]["keyid"] = "";
  return bundle;
}

std::string OmsBundleText(const Json& statement,
                          const verify::EcPrivateKey& key) {
  return OmsBundleParts(statement.dump(), key).dump();
}

}  // namespace tests
