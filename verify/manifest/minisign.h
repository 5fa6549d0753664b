// SPDX-License-Identifier: Apache-2.0
// minisign: one Ed25519 signature over one file, beside it as NAME.minisig.
// Only the prehashed form (BLAKE2b-512 of the file) is made and accepted, and
// the global signature over the trusted comment must be right too. Format:
// docs/formats/minisign.md. Tested by tests/verify/manifest/minisign_test.cc,
// fuzzed by tests/fuzz/minisign_fuzz.cc and tests/fuzz/public_key_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/manifest/secret.h"

namespace verify {

using MinisignKeyId = std::array<std::byte, 8>;
using Blake2b512Digest = std::array<std::byte, 64>;

inline constexpr size_t kMaxMinisigBytes = 16u << 10;
// Lines of comments, without their prefix.
inline constexpr size_t kMaxUntrustedComment = 1024;
inline constexpr size_t kMaxTrustedComment = 8192;
// Of scrypt, for the passphrase of a secret key.
inline constexpr uint64_t kMaxScryptBytes = uint64_t{1} << 30;

// As minisign prints it: 16 upper-case digits of the little-endian number.
std::string MinisignKeyIdText(const MinisignKeyId& id);

struct MinisignPublicKey {
  MinisignKeyId id{};
  std::array<std::byte, 32> key{};

  // From a key file (a comment and a line) or the line alone, "RWQ...".
  // Errors: kCorrupt (E-KEY).
  static Result<MinisignPublicKey> Parse(std::string_view text);

  std::string ShortForm() const;  // "RWQ..."
  // A key file of two lines.
  std::string FileText() const;

  bool operator==(const MinisignPublicKey&) const = default;
};

struct Minisig {
  MinisignKeyId id{};
  std::array<std::byte, 64> signature{};
  std::array<std::byte, 64> global_signature{};
  std::string untrusted_comment;
  std::string trusted_comment;  // trusted once VerifyMinisig says so

  // Exactly four lines. Errors: kUntrusted (E-MINISIG: not of this form;
  // E-MINISIG-LEGACY: the form over the whole file), with what is wrong.
  static Result<Minisig> Parse(std::string_view text);

  std::string FileText() const;
};

// Both signatures of `minisig` under `key`, the file's by its digest.
// Errors: kUntrusted (E-MINISIG: another key, another file, a comment that was
// changed).
Result<void> VerifyMinisig(const Minisig& minisig, const MinisignPublicKey& key,
                           const Blake2b512Digest& digest);

// BLAKE2b-512 over a file, read once in large blocks; memory does not grow with
// it. `progress` may be null. Errors: kIo, kCorrupt (truncated), kCancelled.
Result<Blake2b512Digest> Blake2bOfFile(const ReadOnlyFile& file,
                                       const CancelToken& cancel,
                                       ProgressSink* progress);
Blake2b512Digest Blake2b512(ByteSpan bytes);

// Movable; wiped when it goes.
class MinisignSecretKey {
 public:
  static Result<MinisignSecretKey> Generate();
  // A secret key file. `passphrase` is used if the key is encrypted.
  // Errors: kCorrupt (E-KEY), kInvalidArgument (E-PASSPHRASE: none given, or a
  // wrong one), kLimit (E-KEY-LIMIT: scrypt would take more than
  // kMaxScryptBytes of memory or too long).
  static Result<MinisignSecretKey> Parse(std::string_view text,
                                         const Secret& passphrase);

  const MinisignPublicKey& public_key() const { return public_; }

  // A secret key file; not encrypted if the passphrase is empty.
  Result<Secret> FileText(const Secret& passphrase) const;

  // Errors: kInvalidArgument (E-COMMENT: a comment that cannot be printed, is
  // no UTF-8 or too long).
  Result<Minisig> Sign(const Blake2b512Digest& digest,
                       std::string_view trusted_comment) const;

 private:
  MinisignSecretKey() = default;

  MinisignPublicKey public_;
  Secret key_;  // the seed, then the public key
};

// Whether the text looks like a minisign secret key file; of one that does,
// whether it is encrypted.
bool IsMinisignSecret(std::string_view text);
bool IsEncryptedMinisign(std::string_view text);

}  // namespace verify
