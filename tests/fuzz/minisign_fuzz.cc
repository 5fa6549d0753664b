// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/manifest/minisign.h"

// What is read is written again as the same signature, and it is right under no
// key that has nothing to do with it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto minisig = verify::Minisig::Parse(text);
  if (!minisig) return 0;
  const auto again = verify::Minisig::Parse(minisig->FileText());
  if (!again || again->id != minisig->id ||
      again->signature != minisig->signature ||
      again->trusted_comment != minisig->trusted_comment) {
    std::abort();
  }
  verify::MinisignPublicKey nobody;  // no key of the corpus
  nobody.id = minisig->id;
  nobody.key[0] = std::byte{2};
  const auto digest = verify::Blake2b512(verify::AsBytes(text));
  if (verify::VerifyMinisig(*minisig, nobody, digest)) std::abort();
  return 0;
}
