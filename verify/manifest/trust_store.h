// SPDX-License-Identifier: Apache-2.0
// The public keys that a user accepts: one file each in a folder that nobody
// else may write to. A key that is not there is never trusted, whatever is
// signed by it. Tested by tests/verify/manifest/trust_store_test.cc, fuzzed by
// tests/fuzz/public_key_fuzz.cc.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "verify/base/result.h"
#include "verify/manifest/certificate.h"
#include "verify/manifest/ec_key.h"
#include "verify/manifest/minisign.h"

namespace verify {

// A key of any kind with the name by which the user knows it.
struct AcceptedKey {
  std::string name;
  std::string path;  // its file; empty if it came as text
  std::variant<EcPublicKey, MinisignPublicKey, RootCertificate> key;

  // What tells it from others, for people: the SHA-256 of an EC key's PEM or
  // of a certificate in lower-case hex; of minisign the key id in upper-case
  // hex, which chooses a key and proves none.
  std::string Fingerprint() const;
  std::string_view Type() const;  // "p256", "p384", "p521", minisign, root
  // As its file holds it.
  std::string FileText() const;
  // What one pastes into another command: PEM, or minisign's short form.
  std::string Portable() const;
  // The same key, whatever its name.
  bool SameKey(const AcceptedKey& other) const;
};

// A minisign public key (file or short form), a PEM public key, or a PEM
// certificate. Errors: kCorrupt (E-KEY), kUntrusted (E-KEY-TYPE), as the
// readers of each kind say; kInvalidArgument (E-SECRET-KEY: it is a secret
// one).
Result<AcceptedKey> ParseAcceptedKey(std::string_view text,
                                     std::string_view name);

// Letters, digits, '.', '_' and '-', not first '.' or '-', at most 64.
bool IsKeyName(std::string_view name);

class TrustStore {
 public:
  // Reads all *.pub in the folder; none if there is no folder. What is not
  // read is said in refused(): a key or folder that somebody else owns or may
  // write to, a link, a file that is no key. Errors: kIo.
  static Result<TrustStore> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const std::vector<AcceptedKey>& keys() const { return keys_; }  // by name
  const std::vector<Error>& refused() const { return refused_; }

  // By name or fingerprint (in any case); null if there is none. Valid until
  // the store changes.
  const AcceptedKey* Find(std::string_view name_or_fingerprint) const;

  // Writes the key's file; that it is there already by this name is no error.
  // Errors: kInvalidArgument (E-KEY-NAME: no fit name, or another key has it),
  // kIo.
  Result<void> Add(AcceptedKey key);
  // Deletes the file of a key that Find gave.
  Result<void> Remove(const std::string& name);

 private:
  std::string folder_;
  std::vector<AcceptedKey> keys_;
  std::vector<Error> refused_;
};

// Makes the folder with mode 0700 if it is not there.
Result<void> MakeKeysFolder(const std::string& folder);

}  // namespace verify
