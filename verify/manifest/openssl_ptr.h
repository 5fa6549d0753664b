// SPDX-License-Identifier: Apache-2.0
// Owners of OpenSSL's objects, for .cc files of this folder alone.
// Tested through tests/verify/manifest/ec_key_test.cc.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "verify/base/result.h"
#include "verify/base/text.h"

namespace verify::internal {

template <auto kFree>
struct OpenSslDeleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using BioPtr = std::unique_ptr<BIO, OpenSslDeleter<BIO_free_all>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpenSslDeleter<EVP_MD_CTX_free>>;
using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, OpenSslDeleter<ECDSA_SIG_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDeleter<X509_free>>;

// Reads from memory that it does not own.
inline BioPtr BioOf(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string TakeText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, size > 0 ? static_cast<size_t>(size) : 0};
}

// For what fails by no input: memory, or a system without the algorithm.
inline Unexpected FailOpenSsl(std::string_view what) {
  const unsigned long code = ERR_get_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Fail(ErrorCode::kInternal,
              StrCat(what, ": ", reason == nullptr ? "refused" : reason));
}

inline const unsigned char* Raw(const void* bytes) {
  return static_cast<const unsigned char*>(bytes);
}
inline unsigned char* Raw(void* bytes) {
  return static_cast<unsigned char*>(bytes);
}

}  // namespace verify::internal
