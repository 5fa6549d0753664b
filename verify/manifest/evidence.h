// SPDX-License-Identifier: Apache-2.0
// One source that says what files should be, whatever its form: a list of
// sums, a signed bundle, a manifest. The comparison with the bytes is made once
// over all of them (evidence_check.h). Data only.
#pragma once

#include <string>
#include <vector>

#include "verify/manifest/published_sums.h"
#include "verify/manifest/report.h"

namespace verify {

struct Evidence {
  // As the user knows it: "SHA256SUMS", "model.sig".
  std::string source;
  // What a file gains whose bytes are those that are stated: kTrustedKey or
  // kUnknownKey for a signed source, else what its algorithm is worth.
  TrustLevel level = TrustLevel::kUnverified;
  // Who signed: fingerprint or key id in hex, and the name under which the
  // user trusts the key. Empty where nobody did.
  std::string signer_key;
  std::string signer_name;
  std::vector<PublishedSum> sums;
  // It states all files there are: one that it does not name is unsigned, and
  // under a trusted key that is an error.
  bool exhaustive = false;
  // Names that the source itself leaves out of what it covers: unsigned. A
  // folder's name stands for all that is in it.
  std::vector<std::string> ignored = {};
  // Files that have to be there, of which it does not say what they are like.
  std::vector<std::string> required = {};
};

}  // namespace verify
