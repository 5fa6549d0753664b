// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/blake2b.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace verify {
namespace {

constexpr size_t kBlockBytes = 128;
constexpr size_t kRounds = 12;

// RFC 7693, 2.6: those of SHA-512.
constexpr std::array<uint64_t, 8> kStart = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// RFC 7693, 2.7; rounds 10 and 11 take the first two rows again.
constexpr std::array<std::array<uint8_t, 16>, 10> kSchedule = {{
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}};

using State = std::array<uint64_t, 8>;
using Block = std::array<uint64_t, 16>;

void Mix(Block& v, size_t a, size_t b, size_t c, size_t d, uint64_t x,
         uint64_t y) {
  v[a] += v[b] + x;
  v[d] = std::rotr(v[d] ^ v[a], 32);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 24);
  v[a] += v[b] + y;
  v[d] = std::rotr(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 63);
}

// `count`: bytes up to the end of this block.
void Compress(State& h, const Block& m, uint64_t count, bool last) {
  Block v{};
  for (size_t i = 0; i < 8; ++i) {
    v[i] = h[i];
    v[i + 8] = kStart[i];
  }
  v[12] ^= count;
  if (last) v[14] = ~v[14];
  for (size_t round = 0; round < kRounds; ++round) {
    const auto& s = kSchedule[round % kSchedule.size()];
    for (size_t i = 0; i < 4; ++i) {
      Mix(v, i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
    }
    for (size_t i = 0; i < 4; ++i) {
      Mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4,
          m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
  }
  for (size_t i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[i + 8];
}

}  // namespace

Blake2b256Digest Blake2b256(ByteSpan bytes) {
  State h = kStart;
  // The parameter block: depth 1, fanout 1, no key, 32 bytes of output.
  h[0] ^= 0x01010000 ^ sizeof(Blake2b256Digest);
  size_t offset = 0;
  while (true) {
    const size_t size = std::min(kBlockBytes, bytes.size() - offset);
    Block block{};
    if (size > 0) std::memcpy(block.data(), bytes.data() + offset, size);
    offset += size;
    const bool last = offset == bytes.size();
    Compress(h, block, offset, last);
    if (last) break;
  }
  Blake2b256Digest digest;
  std::memcpy(digest.data(), h.data(), digest.size());
  return digest;
}

}  // namespace verify
