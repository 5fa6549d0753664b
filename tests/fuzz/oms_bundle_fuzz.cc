// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "verify/base/path_policy.h"
#include "verify/manifest/certificate.h"
#include "verify/manifest/oms_signature.h"

namespace {

// What comes out of a statement can be used as it is: names that stay in the
// folder, digests of SHA-256, and the same again when it is written.
void CheckStatement(verify::ByteSpan payload) {
  auto statement = verify::ParseOmsStatement(payload);
  if (!statement) return;
  std::vector<std::string_view> parts;
  for (const auto& resource : statement->resources) {
    if (verify::CheckPath(resource.name, parts).has_value() ||
        resource.digest.size() != 32) {
      std::abort();
    }
  }
  const auto text = verify::WriteOmsStatement(*statement);
  if (!text) std::abort();
  const auto again = verify::ParseOmsStatement(verify::AsBytes(*text));
  if (!again || again->resources.size() != statement->resources.size()) {
    std::abort();
  }
}

}  // namespace

// A bundle, or where the first byte is 'S' the statement in one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('S')) {
    CheckStatement(verify::AsBytes(text.substr(1)));
    return 0;
  }
  const auto bundle = verify::ParseOmsBundle(text);
  if (!bundle) return 0;
  if (bundle->payload.empty() || bundle->signature.empty()) std::abort();
  CheckStatement(bundle->payload);
  if (bundle->method == verify::OmsBundle::Method::kCertificate) {
    const auto signer = verify::ReadChainSigner(bundle->certificates);
    if (signer) (void)verify::CheckOmsSignature(*bundle, signer->key);
  }
  return 0;
}
