// SPDX-License-Identifier: Apache-2.0
#include "verify/container/xxh64.h"

#include <array>
#include <bit>

namespace verify {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

constexpr uint64_t Round(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

}  // namespace

uint64_t Xxh64(ByteSpan bytes) {
  const uint64_t length = bytes.size();
  uint64_t hash = kPrime5;
  if (bytes.size() >= 32) {
    std::array<uint64_t, 4> lanes = {kPrime1 + kPrime2, kPrime2, 0,
                                     uint64_t{0} - kPrime1};
    for (; bytes.size() >= 32; bytes = bytes.subspan(32)) {
      for (size_t i = 0; i < lanes.size(); ++i) {
        lanes[i] = Round(lanes[i], LoadLe<uint64_t>(bytes.subspan(8 * i)));
      }
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) +
           std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const uint64_t lane : lanes) {
      hash = (hash ^ Round(0, lane)) * kPrime1 + kPrime4;
    }
  }
  hash += length;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    hash ^= Round(0, LoadLe<uint64_t>(bytes));
    hash = std::rotl(hash, 27) * kPrime1 + kPrime4;
  }
  if (bytes.size() >= 4) {
    hash ^= LoadLe<uint32_t>(bytes) * kPrime1;
    hash = std::rotl(hash, 23) * kPrime2 + kPrime3;
    bytes = bytes.subspan(4);
  }
  for (const std::byte byte : bytes) {
    hash ^= std::to_integer<uint64_t>(byte) * kPrime5;
    hash = std::rotl(hash, 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace verify
