// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/manifest/ec_key.h"
#include "verify/manifest/minisign.h"
#include "verify/manifest/trust_store.h"

// Key files of every kind, public and secret (in the clear: a passphrase takes
// seconds of scrypt by design). A key that is accepted is read again from its
// own file as the same key.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (verify::IsMinisignSecret(text) && !verify::IsEncryptedMinisign(text)) {
    (void)verify::MinisignSecretKey::Parse(text, verify::Secret());
  }
  if (verify::IsPrivatePem(text) && !verify::IsEncryptedPem(text)) {
    (void)verify::EcPrivateKey::FromPem(text, verify::Secret());
  }
  const auto key = verify::ParseAcceptedKey(text, "k");
  if (!key) return 0;
  const auto again = verify::ParseAcceptedKey(key->FileText(), "k");
  if (!again || !again->SameKey(*key) ||
      again->Fingerprint() != key->Fingerprint()) {
    std::abort();
  }
  return 0;
}
