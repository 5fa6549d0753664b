// SPDX-License-Identifier: Apache-2.0
// Payload for tests: the same on every machine for the same seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tests {

// Bytes that differ with the seed and repeat with no power of two.
inline std::string Content(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : text) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

}  // namespace tests
