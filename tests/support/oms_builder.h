// SPDX-License-Identifier: Apache-2.0
// Bundles of OpenSSF Model Signing with one thing wrong each: parts that a
// test may change before they are signed, or after. Written from the
// specification, apart from the code under test but for the ECDSA itself.
#pragma once

#include <string>
#include <string_view>

#include "verify/base/json.h"
#include "verify/manifest/ec_key.h"

namespace tests {

// A statement over two files: a.bin ("aaa") and b/c.json ("{}").
verify::Json OmsStatementParts();

// Writes the root digest anew, of the resources as they are.
void SetOmsRoot(verify::Json& statement);

// A bundle whose envelope holds `payload`, signed by `key` as `payload_type`.
verify::Json OmsBundleParts(
    std::string_view payload, const verify::EcPrivateKey& key,
    std::string_view payload_type = "application/vnd.in-toto+json");

// Signs the statement as it is; the text of a model.sig.
std::string OmsBundleText(const verify::Json& statement,
                          const verify::EcPrivateKey& key);

}  // namespace tests
