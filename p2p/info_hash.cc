// SPDX-License-Identifier: Apache-2.0
#include "p2p/info_hash.h"

#include <openssl/evp.h>

#include <cstring>
#include <span>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

// Fails only where the system has no memory or no such digest.
template <size_t N>
std::array<std::byte, N> Digest(const EVP_MD* algorithm,
                                verify::ByteSpan bytes) {
  std::array<unsigned char, N> raw{};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), raw.data(), &size, algorithm,
                   nullptr) == 1);
  CHECK(size == N);
  std::array<std::byte, N> digest{};
  std::memcpy(digest.data(), raw.data(), N);
  return digest;
}

}  // namespace

InfoHashV1 ComputeInfoHashV1(verify::ByteSpan info) {
  return Digest<20>(EVP_sha1(), info);
}

InfoHashV2 ComputeInfoHashV2(verify::ByteSpan info) {
  return Digest<32>(EVP_sha256(), info);
}

std::string InfoHashes::Key() const {
  if (v1.has_value()) return verify::HexEncode(*v1);
  CHECK(v2.has_value());
  return verify::HexEncode(std::span(*v2).first(20));
}

}  // namespace p2p
