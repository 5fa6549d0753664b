// SPDX-License-Identifier: Apache-2.0
#include "verify/container/crc32.h"

#include <array>

namespace verify {
namespace {

// kTables[k][b]: CRC of byte b followed by k zero bytes, so that eight bytes
// are folded in one step.
constexpr std::array<std::array<uint32_t, 256>, 8> MakeTables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t value = b;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    }
    tables[0][b] = value;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t b = 0; b < 256; ++b) {
      const uint32_t before = tables[k - 1][b];
      tables[k][b] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr auto kTables = MakeTables();

}  // namespace

uint32_t Crc32(ByteSpan bytes, uint32_t crc) {
  uint32_t value = ~crc;
  while (bytes.size() >= 8) {
    const uint32_t low = LoadLe<uint32_t>(bytes) ^ value;
    const uint32_t high = LoadLe<uint32_t>(bytes.subspan(4));
    value = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^
            kTables[5][(low >> 16) & 0xff] ^ kTables[4][low >> 24] ^
            kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
            kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) {
    value = (value >> 8) ^
            kTables[0][(value ^ std::to_integer<uint32_t>(byte)) & 0xff];
  }
  return ~value;
}

}  // namespace verify
