// SPDX-License-Identifier: Apache-2.0
// What a model.sig signs: an in-toto statement with the predicate of OpenSSF
// Model Signing 1.0, the files of a folder and their SHA-256. Signed bytes,
// parsed as strictly as the specification allows and somewhat more: what two
// readers could take for two things is refused. Format:
// docs/formats/model_sig.md. Tested by
// tests/verify/manifest/oms_statement_test.cc, fuzzed by
// tests/fuzz/oms_bundle_fuzz.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"
#include "verify/manifest/published_sums.h"

namespace verify {

inline constexpr size_t kMaxOmsResources = 1'000'000;

struct OmsStatement {
  // The folder's name when it was signed; says nothing about its content.
  std::string model_name;
  // In the order of the statement; `list` is empty.
  std::vector<PublishedSum> resources;
  // Paths that the signer left out: files or folders, not covered.
  std::vector<std::string> ignore_paths;
};

// Never part of what is signed: .git, .gitignore, .gitattributes, .github at
// the top of the folder.
bool IsOutsideOmsScope(std::string_view name);

// `payload`: the bytes whose signature was verified.
// Errors: kUntrusted (E-OMS-STATEMENT, with what is wrong and where),
// kUnsupported (E-OMS-METHOD: shards, BLAKE2b, BLAKE3).
Result<OmsStatement> ParseOmsStatement(ByteSpan payload);

// The statement as JSON, its resources sorted by name in the order of code
// points. Errors: kInvalidArgument (a name that a verifier refuses, no file,
// too many files, a digest that is no SHA-256).
Result<std::string> WriteOmsStatement(OmsStatement statement);

// SHA-256 over the digests in the order given.
Sha256Digest OmsRootDigest(const std::vector<PublishedSum>& resources);

}  // namespace verify
