// SPDX-License-Identifier: Apache-2.0
// SHA-256: FIPS 180-4 section 6.2. The instructions: Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2, SHA256RNDS2 to
// SHA256MSG2.
#include "verify/digest/sha256_lane.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "verify/digest/sha_extensions.h"

namespace verify {
namespace {

constexpr Sha256State kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                  0xa54ff53a, 0x510e527f, 0x9b05688c,
                                  0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__)

// FIPS 180-4 section 4.2.2.
alignas(16) constexpr std::array<uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// Four rounds are a step; a block is 16 of them.
constexpr int kSteps = 16;

// One message within a block: its working variables as the instructions want
// them, each first letter in the highest place, and the words of the schedule
// for this step and the three after it.
struct Lane {
  __m128i abef;
  __m128i cdgh;
  __m128i words[4];
};

template <int kStep>
LODESTONE_SHA_INLINE void Step(Lane& lane) {
  __m128i& word = lane.words[kStep % 4];
  const __m128i sum =
      _mm_add_epi32(word, _mm_load_si128(reinterpret_cast<const __m128i*>(
                              kRoundConstants.data() + 4 * kStep)));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
  lane.abef =
      _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
  if constexpr (kStep + 4 < kSteps) {
    const __m128i next = lane.words[(kStep + 1) % 4];
    const __m128i third = lane.words[(kStep + 2) % 4];
    const __m128i fourth = lane.words[(kStep + 3) % 4];
    word =
        _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(word, next),
                                           _mm_alignr_epi8(fourth, third, 4)),
                             fourth);
  }
}

LODESTONE_SHA_INLINE void Load(Lane& lane, const std::byte* block) {
  // Big-endian words, the first one to the bottom.
  const __m128i swapped =
      _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; ++i) {
    lane.words[i] = _mm_shuffle_epi8(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i), swapped);
  }
}

template <int kStep, typename... Lanes>
LODESTONE_SHA_INLINE void StepOfEach(Lanes&... lanes) {
  (Step<kStep>(lanes), ...);
}

template <int... kStep, typename... Lanes>
LODESTONE_SHA_INLINE void AllSteps(std::integer_sequence<int, kStep...>,
                                   Lanes&... lanes) {
  (StepOfEach<kStep>(lanes...), ...);
}

LODESTONE_SHA_INLINE __m128i Pack(uint32_t first, uint32_t second,
                                  uint32_t third, uint32_t fourth) {
  return _mm_set_epi32(static_cast<int>(first), static_cast<int>(second),
                       static_cast<int>(third), static_cast<int>(fourth));
}

LODESTONE_SHA_INLINE void ToLane(const Sha256State& state, Lane& lane) {
  lane.abef = Pack(state[0], state[1], state[4], state[5]);
  lane.cdgh = Pack(state[2], state[3], state[6], state[7]);
}

LODESTONE_SHA_INLINE void ToState(const Lane& lane, Sha256State& state) {
  state = {static_cast<uint32_t>(_mm_extract_epi32(lane.abef, 3)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.abef, 2)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.cdgh, 3)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.cdgh, 2)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.abef, 1)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.abef, 0)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.cdgh, 1)),
           static_cast<uint32_t>(_mm_extract_epi32(lane.cdgh, 0))};
}

LODESTONE_SHA_INLINE void AddBack(Lane& lane, __m128i abef, __m128i cdgh) {
  lane.abef = _mm_add_epi32(lane.abef, abef);
  lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
}

LODESTONE_SHA_TARGET void Compress(Sha256State& state, const std::byte* bytes,
                                   size_t num_blocks) {
  Lane lane;
  ToLane(state, lane);
  for (size_t i = 0; i < num_blocks; ++i) {
    const __m128i abef = lane.abef;
    const __m128i cdgh = lane.cdgh;
    Load(lane, bytes + i * kSha256BlockBytes);
    AllSteps(std::make_integer_sequence<int, kSteps>(), lane);
    AddBack(lane, abef, cdgh);
  }
  ToState(lane, state);
}

LODESTONE_SHA_TARGET void CompressBoth(Sha256State& a_state,
                                       const std::byte* a_bytes,
                                       Sha256State& b_state,
                                       const std::byte* b_bytes,
                                       size_t num_blocks) {
  Lane a;
  Lane b;
  ToLane(a_state, a);
  ToLane(b_state, b);
  for (size_t i = 0; i < num_blocks; ++i) {
    const __m128i a_abef = a.abef;
    const __m128i a_cdgh = a.cdgh;
    const __m128i b_abef = b.abef;
    const __m128i b_cdgh = b.cdgh;
    Load(a, a_bytes + i * kSha256BlockBytes);
    Load(b, b_bytes + i * kSha256BlockBytes);
    AllSteps(std::make_integer_sequence<int, kSteps>(), a, b);
    AddBack(a, a_abef, a_cdgh);
    AddBack(b, b_abef, b_cdgh);
  }
  ToState(a, a_state);
  ToState(b, b_state);
}

#else

void Compress(Sha256State&, const std::byte*, size_t) { std::abort(); }

void CompressBoth(Sha256State&, const std::byte*, Sha256State&,
                  const std::byte*, size_t) {
  std::abort();
}

#endif

}  // namespace

bool Sha256Lane::Pairs() { return internal::HasShaExtensions(); }

Sha256Lane::Sha256Lane(Method method) {
  if (method == Method::kPlain || !internal::HasShaExtensions()) {
    plain_.emplace();
  }
  Reset();
}

void Sha256Lane::Reset() {
  if (plain_.has_value()) plain_->Reset();
  state_ = kInitial;
  size_bytes_ = 0;
}

// Completes the block that was begun, or as much of it as there is; what is
// left of the bytes begins with a block.
ByteSpan Sha256Lane::FillPartial(ByteSpan bytes) {
  const auto have = static_cast<size_t>(size_bytes_ % kSha256BlockBytes);
  if (have == 0) return bytes;
  const size_t size = std::min(bytes.size(), kSha256BlockBytes - have);
  if (size == 0) return bytes;
  std::memcpy(partial_.data() + have, bytes.data(), size);
  size_bytes_ += size;
  if (have + size == kSha256BlockBytes) Compress(state_, partial_.data(), 1);
  return bytes.subspan(size);
}

void Sha256Lane::Update(ByteSpan bytes) {
  if (plain_.has_value()) {
    plain_->Update(bytes);
    return;
  }
  bytes = FillPartial(bytes);
  if (bytes.empty()) return;
  const size_t num_blocks = bytes.size() / kSha256BlockBytes;
  if (num_blocks > 0) Compress(state_, bytes.data(), num_blocks);
  const ByteSpan rest = bytes.subspan(num_blocks * kSha256BlockBytes);
  std::copy(rest.begin(), rest.end(), partial_.begin());
  size_bytes_ += bytes.size();
}

void Sha256Lane::UpdateBoth(Sha256Lane& a, ByteSpan a_bytes, Sha256Lane& b,
                            ByteSpan b_bytes) {
  if (!a.plain_.has_value() && !b.plain_.has_value()) {
    a_bytes = a.FillPartial(a_bytes);
    b_bytes = b.FillPartial(b_bytes);
    const size_t num_blocks =
        std::min(a_bytes.size(), b_bytes.size()) / kSha256BlockBytes;
    if (num_blocks > 0) {
      const size_t size = num_blocks * kSha256BlockBytes;
      CompressBoth(a.state_, a_bytes.data(), b.state_, b_bytes.data(),
                   num_blocks);
      a.size_bytes_ += size;
      b.size_bytes_ += size;
      a_bytes = a_bytes.subspan(size);
      b_bytes = b_bytes.subspan(size);
    }
  }
  a.Update(a_bytes);
  b.Update(b_bytes);
}

Sha256Lane::Tail Sha256Lane::MakeTail() const {
  constexpr size_t kLengthBytes = 8;
  const auto have = static_cast<size_t>(size_bytes_ % kSha256BlockBytes);
  Tail tail;
  std::copy_n(partial_.begin(), have, tail.bytes.begin());
  tail.bytes[have] = std::byte{0x80};
  tail.num_blocks = have + 1 + kLengthBytes <= kSha256BlockBytes ? 1 : 2;
  const size_t end = tail.num_blocks * kSha256BlockBytes;
  const uint64_t bits = size_bytes_ * 8;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    tail.bytes[end - 1 - i] = static_cast<std::byte>(bits >> (8 * i));
  }
  return tail;
}

Sha256Digest Sha256Lane::TakeDigest() {
  Sha256Digest digest;
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::byte>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  Reset();
  return digest;
}

Sha256Digest Sha256Lane::Finish() {
  if (plain_.has_value()) return plain_->Finish();
  const Tail tail = MakeTail();
  Compress(state_, tail.bytes.data(), tail.num_blocks);
  return TakeDigest();
}

std::array<Sha256Digest, 2> Sha256Lane::FinishBoth(Sha256Lane& a,
                                                   Sha256Lane& b) {
  if (a.plain_.has_value() || b.plain_.has_value()) {
    return {a.Finish(), b.Finish()};
  }
  const Tail a_tail = a.MakeTail();
  const Tail b_tail = b.MakeTail();
  if (a_tail.num_blocks != b_tail.num_blocks) return {a.Finish(), b.Finish()};
  CompressBoth(a.state_, a_tail.bytes.data(), b.state_, b_tail.bytes.data(),
               a_tail.num_blocks);
  return {a.TakeDigest(), b.TakeDigest()};
}

}  // namespace verify
