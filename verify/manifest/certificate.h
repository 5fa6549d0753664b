// SPDX-License-Identifier: Apache-2.0
// Chains of X.509 certificates under one root that the user gave: the root of
// a company that signs its models. The roots of the system, made for web
// sites, are never used. Tested by tests/verify/manifest/certificate_test.cc,
// fuzzed by tests/fuzz/public_key_fuzz.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/manifest/ec_key.h"

// OpenSSL's, so that its headers stay out of ours.
struct x509_st;

namespace verify {

// Cheap to copy; never changes. Thread-safe.
class RootCertificate {
 public:
  // From a PEM "CERTIFICATE", the only one in the text.
  // Errors: kCorrupt (E-KEY), kUntrusted (E-KEY-TYPE: it may not sign others).
  static Result<RootCertificate> FromPem(std::string_view pem);

  // SHA-256 of its DER in hex.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& subject() const { return subject_; }  // as text
  const std::string& pem() const { return pem_; }          // written again
  x509_st* get() const { return certificate_.get(); }

 private:
  RootCertificate() = default;

  std::shared_ptr<x509_st> certificate_;  // owned by all copies together
  std::string fingerprint_;
  std::string subject_;
  std::string pem_;
};

// The signer of a chain: its key, proven by the root or not.
struct ChainSigner {
  EcPublicKey key;
  std::string subject;  // as text; still to be escaped
};

// Reads the signer's certificate alone; proves nothing.
// Errors: kUntrusted (E-CERTIFICATE: no certificate, E-KEY-TYPE).
Result<ChainSigner> ReadChainSigner(
    const std::vector<std::vector<std::byte>>& chain);

// Whether the chain (DER, the signer's first) leads to `root` and is valid at
// `now_s` (seconds since 1970), and its signer may sign: digitalSignature or
// the purpose code signing. kUntrusted (E-CERTIFICATE-ROOT: it leads to
// another root; E-CERTIFICATE) with the reason; of a
// certificate that is not valid now it says the clock it was held against.
Result<ChainSigner> VerifyChain(
    const std::vector<std::vector<std::byte>>& chain,
    const RootCertificate& root, int64_t now_s);

}  // namespace verify
