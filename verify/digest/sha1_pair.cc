// SPDX-License-Identifier: Apache-2.0
// SHA-1: FIPS 180-4 section 6.1. The instructions: Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2, SHA1RNDS4 to SHA1MSG2.
#include "verify/digest/sha1_pair.h"

#include <cstdlib>
#include <utility>

#include "verify/digest/sha_extensions.h"

namespace verify {
namespace {

constexpr Sha1State kInitial = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                0xc3d2e1f0};

#if defined(__x86_64__)

// Four rounds are a step; a block is 20 of them.
constexpr int kSteps = 20;
constexpr int kStepsPerFunction = 5;

// One message within a block. `words` holds the words of the schedule for this
// step and the three after it, the first word of each in its highest lane.
struct Lane {
  __m128i abcd;
  __m128i e;  // before step 0: e itself; then abcd as it was a step before
  __m128i words[4];
};

template <int kStep>
LODESTONE_SHA_INLINE void Step(Lane& lane) {
  __m128i& word = lane.words[kStep % 4];
  const __m128i e = kStep == 0 ? _mm_add_epi32(lane.e, word)
                               : _mm_sha1nexte_epu32(lane.e, word);
  lane.e = lane.abcd;
  lane.abcd = _mm_sha1rnds4_epu32(lane.abcd, e, kStep / kStepsPerFunction);
  if constexpr (kStep + 4 < kSteps) {
    const __m128i next = lane.words[(kStep + 1) % 4];
    const __m128i third = lane.words[(kStep + 2) % 4];
    const __m128i fourth = lane.words[(kStep + 3) % 4];
    word = _mm_sha1msg2_epu32(
        _mm_xor_si128(_mm_sha1msg1_epu32(word, next), third), fourth);
  }
}

LODESTONE_SHA_INLINE void Load(Lane& lane, const std::byte* block) {
  // Big-endian words, the first one to the top: all 16 bytes reversed.
  const __m128i reversed =
      _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  for (int i = 0; i < 4; ++i) {
    lane.words[i] = _mm_shuffle_epi8(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i), reversed);
  }
}

template <int... kStep>
LODESTONE_SHA_INLINE void AllSteps(Lane& first, Lane& second,
                                   std::integer_sequence<int, kStep...>) {
  ((Step<kStep>(first), Step<kStep>(second)), ...);
}

LODESTONE_SHA_INLINE void ToLane(const Sha1State& state, Lane& lane) {
  lane.abcd =
      _mm_set_epi32(static_cast<int>(state[0]), static_cast<int>(state[1]),
                    static_cast<int>(state[2]), static_cast<int>(state[3]));
  lane.e = _mm_set_epi32(static_cast<int>(state[4]), 0, 0, 0);
}

LODESTONE_SHA_INLINE void ToState(const Lane& lane, Sha1State& state) {
  state[0] = static_cast<uint32_t>(_mm_extract_epi32(lane.abcd, 3));
  state[1] = static_cast<uint32_t>(_mm_extract_epi32(lane.abcd, 2));
  state[2] = static_cast<uint32_t>(_mm_extract_epi32(lane.abcd, 1));
  state[3] = static_cast<uint32_t>(_mm_extract_epi32(lane.abcd, 0));
  state[4] = static_cast<uint32_t>(_mm_extract_epi32(lane.e, 3));
}

// After the last step `e` holds abcd of the step before, whose first word,
// rotated, is the last one of the state.
LODESTONE_SHA_INLINE void AddBack(Lane& lane, __m128i abcd, __m128i e) {
  lane.e = _mm_sha1nexte_epu32(lane.e, e);
  lane.abcd = _mm_add_epi32(lane.abcd, abcd);
}

LODESTONE_SHA_TARGET void Compress(std::array<Sha1State, 2>& states,
                                   const std::byte* first,
                                   const std::byte* second, size_t num_blocks) {
  Lane a;
  Lane b;
  ToLane(states[0], a);
  ToLane(states[1], b);
  for (size_t i = 0; i < num_blocks; ++i) {
    const __m128i a_abcd = a.abcd;
    const __m128i a_e = a.e;
    const __m128i b_abcd = b.abcd;
    const __m128i b_e = b.e;
    Load(a, first + i * kSha1BlockBytes);
    Load(b, second + i * kSha1BlockBytes);
    AllSteps(a, b, std::make_integer_sequence<int, kSteps>());
    AddBack(a, a_abcd, a_e);
    AddBack(b, b_abcd, b_e);
  }
  ToState(a, states[0]);
  ToState(b, states[1]);
}

#else

void Compress(std::array<Sha1State, 2>&, const std::byte*, const std::byte*,
              size_t) {
  std::abort();
}

#endif

}  // namespace

bool Sha1Pair::Supported() { return internal::HasShaExtensions(); }

void Sha1Pair::Reset() {
  states_.fill(kInitial);
  size_bytes_ = 0;
}

void Sha1Pair::Update(ByteSpan first, ByteSpan second) {
  if (first.size() != second.size() || first.size() % kSha1BlockBytes != 0) {
    std::abort();
  }
  Compress(states_, first.data(), second.data(),
           first.size() / kSha1BlockBytes);
  size_bytes_ += first.size();
}

std::array<Sha1Digest, 2> Sha1Pair::Finish() {
  std::array<std::byte, kSha1BlockBytes> padding{};
  padding[0] = std::byte{0x80};
  const uint64_t bits = size_bytes_ * 8;
  for (size_t i = 0; i < 8; ++i) {
    padding[kSha1BlockBytes - 1 - i] = static_cast<std::byte>(bits >> (8 * i));
  }
  Compress(states_, padding.data(), padding.data(), 1);
  std::array<Sha1Digest, 2> digests;
  for (size_t lane = 0; lane < 2; ++lane) {
    for (size_t i = 0; i < digests[lane].size(); ++i) {
      digests[lane][i] =
          static_cast<std::byte>(states_[lane][i / 4] >> (24 - 8 * (i % 4)));
    }
  }
  Reset();
  return digests;
}

}  // namespace verify
