// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/digest.h"

#include <openssl/evp.h>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace verify {
namespace internal {

void DigestContextDeleter::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

DigestContext::DigestContext(const char* algorithm)
    : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  // Fetched once here: later starts reuse what the context holds.
  EVP_MD* const digest = EVP_MD_fetch(nullptr, algorithm, nullptr);
  CHECK(digest != nullptr);
  CHECK(EVP_DigestInit_ex2(context_.get(), digest, nullptr) == 1);
  EVP_MD_free(digest);  // the context keeps its own reference
}

void DigestContext::Update(ByteSpan bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

void DigestContext::Finish(std::byte* out) {
  CHECK(EVP_DigestFinal_ex(context_.get(),
                           reinterpret_cast<unsigned char*>(out),
                           nullptr) == 1);
  Reset();
}

void DigestContext::Reset() {
  CHECK(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) == 1);
}

}  // namespace internal

namespace {

struct Algorithm {
  std::string_view name;
  const char* openssl_name;
  size_t size_bytes;
};

// As SumAlgorithm counts.
constexpr std::array<Algorithm, kNumSumAlgorithms> kAlgorithms = {
    {{"md5", "MD5", 16},
     {"sha1", "SHA1", 20},
     {"sha256", "SHA256", 32},
     {"sha384", "SHA384", 48},
     {"sha512", "SHA512", 64},
     {"blake2b", "BLAKE2B-512", 64},
     {"git-blob", "SHA1", 20}}};

const Algorithm& Describe(SumAlgorithm algorithm) {
  return kAlgorithms[static_cast<size_t>(algorithm)];
}

template <typename AnyHasher>
auto DigestOf(ByteSpan bytes) {
  AnyHasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

}  // namespace

std::string_view SumAlgorithmName(SumAlgorithm algorithm) {
  return Describe(algorithm).name;
}

size_t SumBytes(SumAlgorithm algorithm) {
  return Describe(algorithm).size_bytes;
}

std::vector<SumAlgorithm> SumSet::List() const {
  std::vector<SumAlgorithm> algorithms;
  for (size_t i = 0; i < kNumSumAlgorithms; ++i) {
    const auto algorithm = static_cast<SumAlgorithm>(i);
    if (Has(algorithm)) algorithms.push_back(algorithm);
  }
  return algorithms;
}

std::string GitBlobHeader(uint64_t size_bytes) {
  return StrCat("blob ", size_bytes, '\0');
}

SumHasher::SumHasher(SumAlgorithm algorithm)
    : size_bytes_(SumBytes(algorithm)),
      context_(Describe(algorithm).openssl_name) {}

std::vector<std::byte> SumHasher::Finish() {
  std::vector<std::byte> digest(size_bytes_);
  context_.Finish(digest.data());
  return digest;
}

Md5Digest Md5(ByteSpan bytes) { return DigestOf<Md5Hasher>(bytes); }
Sha1Digest Sha1(ByteSpan bytes) { return DigestOf<Sha1Hasher>(bytes); }
Sha256Digest Sha256(ByteSpan bytes) { return DigestOf<Sha256Hasher>(bytes); }

}  // namespace verify
