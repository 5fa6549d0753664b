// SPDX-License-Identifier: Apache-2.0
// How keys and values of a sequence are kept: one row of numbers for each
// position. Tested by tests/inference/ops/kernels_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace inference {

enum class KvType {
  kF16,   // halves
  kQ8_0,  // blocks of 32 bytes with a half as their scale, as GGUF's type
};

// "f16", "q8_0".
std::string_view KvTypeName(KvType type);
std::optional<KvType> ParseKvType(std::string_view name);

// Numbers that share a scale; 1 where each stands for itself.
inline constexpr size_t kKvBlock = 32;
constexpr size_t KvBlockElements(KvType type) {
  return type == KvType::kQ8_0 ? kKvBlock : 1;
}
// Bytes of `n` numbers, a whole number of blocks.
constexpr size_t KvBytes(KvType type, size_t n) {
  return type == KvType::kQ8_0 ? n / kKvBlock * (kKvBlock + sizeof(uint16_t))
                               : n * sizeof(uint16_t);
}

}  // namespace inference
