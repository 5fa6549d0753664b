// SPDX-License-Identifier: Apache-2.0
// Bytes that are wiped when they are no longer used: passphrases and secret
// keys. Tested through tests/verify/manifest/minisign_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/bytes.h"

namespace verify {

// Movable; a copy is made by name, so that there are no more than need be.
class Secret {
 public:
  Secret() = default;
  explicit Secret(size_t num_bytes) : bytes_(num_bytes) {}
  explicit Secret(ByteSpan bytes) : bytes_(bytes.begin(), bytes.end()) {}
  explicit Secret(std::string_view text) : Secret(AsBytes(text)) {}
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {
    other.bytes_.clear();
  }
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(); }

  Secret Copy() const { return Secret(ByteSpan(bytes_)); }
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }
  std::span<std::byte> bytes() { return bytes_; }
  ByteSpan bytes() const { return bytes_; }
  std::string_view text() const { return AsText(bytes_); }

 private:
  void Wipe();

  // Never grows, so that no copy is left behind by a reallocation.
  std::vector<std::byte> bytes_;
};

// Overwrites bytes in a way that is not optimised away.
void WipeBytes(std::span<std::byte> bytes);

}  // namespace verify
