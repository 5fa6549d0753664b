// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/digest.h"

#include <openssl/evp.h>

#include "verify/base/check.h"

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

template <typename AnyHasher>
auto DigestOf(ByteSpan bytes) {
  AnyHasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

}  // namespace

Md5Digest Md5(ByteSpan bytes) { return DigestOf<Md5Hasher>(bytes); }
Sha1Digest Sha1(ByteSpan bytes) { return DigestOf<Sha1Hasher>(bytes); }
Sha256Digest Sha256(ByteSpan bytes) { return DigestOf<Sha256Hasher>(bytes); }

}  // namespace verify
