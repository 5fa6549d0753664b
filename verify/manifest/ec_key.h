// SPDX-License-Identifier: Apache-2.0
// ECDSA keys on P-256, P-384 and P-521 in the PEM files that OpenSSL writes:
// what signs and verifies a model.sig. The curve chooses the digest (SHA-256,
// SHA-384, SHA-512). Format: docs/formats/model_sig.md.
// Tested by tests/verify/manifest/ec_key_test.cc, fuzzed by
// tests/fuzz/public_key_fuzz.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/manifest/secret.h"

// OpenSSL's, so that its headers stay out of ours.
struct evp_pkey_st;

namespace verify {

enum class EcCurve { kP256, kP384, kP521 };
std::string_view EcCurveName(EcCurve curve);  // "P-256"

inline constexpr size_t kMaxKeyFileBytes = 64u << 10;

// Cheap to copy: all copies share one key, which never changes. Thread-safe.
class EcPublicKey {
 public:
  // From a PEM "PUBLIC KEY" (SubjectPublicKeyInfo).
  // Errors: kUntrusted (E-KEY-TYPE: another kind of key or curve: Ed25519,
  // RSA, secp256k1, a curve given by its parameters), kCorrupt (E-KEY).
  static Result<EcPublicKey> FromPem(std::string_view pem);
  // Takes over one reference of a key; the same errors.
  static Result<EcPublicKey> FromOpenSsl(evp_pkey_st* key);

  EcCurve curve() const { return curve_; }
  // The key written again as PEM, whatever form it was read in.
  const std::string& pem() const { return pem_; }
  // SHA-256 of pem() in hex: the hint of a bundle, and what tells keys apart.
  const std::string& fingerprint() const { return fingerprint_; }

  // Whether `signature` (DER of r and s, no byte more) is one of this key over
  // `message`. Errors: kUntrusted (E-SIGNATURE) with what is wrong.
  Result<void> Verify(ByteSpan message, ByteSpan signature) const;

 private:
  EcPublicKey() = default;

  std::shared_ptr<evp_pkey_st> key_;  // owned by all copies together
  EcCurve curve_ = EcCurve::kP256;
  std::string pem_;
  std::string fingerprint_;
};

// Movable; thread-compatible.
class EcPrivateKey {
 public:
  static Result<EcPrivateKey> Generate(EcCurve curve);
  // From PEM: PKCS#8 "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", or SEC1 "EC
  // PRIVATE KEY" (encrypted or not). Errors: kInvalidArgument (E-PASSPHRASE:
  // none given for an encrypted key, or a wrong one), kUntrusted (E-KEY-TYPE),
  // kCorrupt (E-KEY).
  static Result<EcPrivateKey> FromPem(std::string_view pem,
                                      const Secret& passphrase);

  const EcPublicKey& public_key() const { return public_; }

  // PKCS#8; with a passphrase encrypted by AES-256-CBC under a key from scrypt
  // (N 16384, r 8, p 5: what OpenSSL can read by itself). kInternal.
  Result<Secret> ToPem(const Secret& passphrase) const;

  // ECDSA over the curve's digest of `message`, in DER. kInternal.
  Result<std::vector<std::byte>> Sign(ByteSpan message) const;

 private:
  explicit EcPrivateKey(EcPublicKey public_key)
      : public_(std::move(public_key)) {}
  static Result<EcPrivateKey> FromOpenSsl(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;  // of this object alone
  EcPublicKey public_;
};

// Whether the text looks like a PEM of a private key, encrypted or not.
bool IsPrivatePem(std::string_view text);
bool IsEncryptedPem(std::string_view text);

}  // namespace verify
