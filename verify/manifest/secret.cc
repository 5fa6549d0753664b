// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/secret.h"

#include <openssl/crypto.h>

#include <utility>

namespace verify {

void WipeBytes(std::span<std::byte> bytes) {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Wipe();
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

void Secret::Wipe() {
  WipeBytes(bytes_);
  bytes_.clear();
}

}  // namespace verify
