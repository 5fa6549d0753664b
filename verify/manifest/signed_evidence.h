// SPDX-License-Identifier: Apache-2.0
// Who signed, and what that says of files: a model.sig held against the keys
// that a user accepts. Tested by tests/verify/manifest/signed_evidence_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "verify/base/result.h"
#include "verify/manifest/evidence.h"
#include "verify/manifest/minisign.h"
#include "verify/manifest/oms_signature.h"
#include "verify/manifest/trust_store.h"

namespace verify {

// A signature that is right, or that nobody can judge here.
struct SignatureFinding {
  // kTrustedKey, or kUnknownKey: by a key that is not accepted. What an
  // unknown key is said to have signed may have been written by anyone.
  TrustLevel level = TrustLevel::kUnknownKey;
  // Fingerprint or key id; empty if the signature does not say.
  std::string key;
  // The name of the accepted key; of a certificate under an accepted root its
  // subject too. Empty if unknown.
  std::string name;
  // minisign: of the file, if the key is known.
  Blake2b512Digest digest{};
  // minisign: what the signer states besides the file, if the key is known.
  std::string trusted_comment;
};

// The keys to hold signatures against. They must outlive it.
struct AcceptedKeys {
  std::span<const AcceptedKey> stored;
  // For this run, besides: where there are any, what is signed by no accepted
  // key is an error and not an unknown key.
  std::span<const AcceptedKey> given;
  int64_t now_s = 0;  // since 1970, for certificates
};

// A whole model.sig. The evidence states all files of a folder, names
// relative to it; `source` is its name for people.
// Errors: kUntrusted (a broken bundle or statement, a wrong signature, a hint
// that is not that of the key; E-WRONG-KEY: by none of the keys given),
// kUnsupported (keyless, shards, another digest).
Result<Evidence> CheckOmsBundle(std::string_view text, std::string_view source,
                                const AcceptedKeys& keys);

// What a bundle says of files, by a signer that was found by other means.
// Errors: those of ParseOmsStatement.
Result<Evidence> OmsEvidence(const OmsBundle& bundle, std::string_view source,
                             const SignatureFinding& signer);

// A signature file of minisign over a file with this digest. Errors:
// kUntrusted, E-WRONG-KEY as above.
Result<SignatureFinding> CheckMinisig(const Minisig& minisig,
                                      const Blake2b512Digest& digest,
                                      const AcceptedKeys& keys);

// Whether an accepted key could have made it: only then its file need be read.
bool IsKnownMinisigner(const Minisig& minisig, const AcceptedKeys& keys);

}  // namespace verify
