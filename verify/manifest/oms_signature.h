// SPDX-License-Identifier: Apache-2.0
// model.sig: an OpenSSF Model Signing 1.0 bundle. Three layers, from outside: a
// Sigstore bundle (who signed), a DSSE envelope (the signature) and the in-toto
// statement of oms_statement.h (which files). Signing methods: key, and
// certificate under a root that the user gives; keyless is recognised and
// refused. Format: docs/formats/model_sig.md.
// Tested by tests/verify/manifest/oms_signature_test.cc, fuzzed by
// tests/fuzz/oms_bundle_fuzz.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/manifest/ec_key.h"
#include "verify/manifest/oms_statement.h"

namespace verify {

inline constexpr size_t kMaxOmsBundleBytes = 64u << 20;
inline constexpr std::string_view kOmsFileName = "model.sig";

struct OmsBundle {
  enum class Method { kKey, kCertificate };
  Method method = Method::kKey;
  // kKey: the fingerprint of the key in lower-case hex, or empty. It chooses a
  // key and proves none.
  std::string hint;
  // kCertificate: in DER, that of the signer first.
  std::vector<std::vector<std::byte>> certificates;
  std::vector<std::byte> payload;    // what is signed, as it was encoded
  std::vector<std::byte> signature;  // DER
};

// DSSE's pre-authentication encoding: the bytes that a signature is over.
std::string DssePae(std::string_view payload_type, std::string_view payload);

// Parses the two outer layers; the payload is not looked at.
// Errors: kUntrusted (E-OMS-BUNDLE, with what is wrong), kUnsupported
// (E-OMS-METHOD: keyless; a key inside the bundle, as before version 1.1).
Result<OmsBundle> ParseOmsBundle(std::string_view text);

// Whether the bundle's signature is one of `key` over its payload. The hint is
// not looked at. Errors: kUntrusted (E-SIGNATURE).
Result<void> CheckOmsSignature(const OmsBundle& bundle, const EcPublicKey& key);

// A whole bundle by method "key" over the files of the statement.
// Errors: those of WriteOmsStatement, kInternal.
Result<std::string> SignOms(const OmsStatement& statement,
                            const EcPrivateKey& key);

}  // namespace verify
