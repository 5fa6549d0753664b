// SPDX-License-Identifier: Apache-2.0
// Incremental MD5, SHA-1, SHA-2 and BLAKE2b. MD5 finds accidents only and SHA-1
// is what BitTorrent v1 has; neither says who made a file.
// Tested by tests/verify/digest/digest_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"

// OpenSSL's, so that its headers stay out of ours.
struct evp_md_ctx_st;

namespace verify {

using Md5Digest = std::array<std::byte, 16>;
using Sha1Digest = std::array<std::byte, 20>;
using Sha256Digest = std::array<std::byte, 32>;

// What the digest of a whole file is made with. kBlake2b: 512 bits. kGitBlob:
// the id that git gives a file, SHA-1 over GitBlobHeader() and the content.
enum class SumAlgorithm {
  kMd5,
  kSha1,
  kSha256,
  kSha384,
  kSha512,
  kBlake2b,
  kGitBlob
};
inline constexpr size_t kNumSumAlgorithms = 7;
std::string_view SumAlgorithmName(SumAlgorithm algorithm);  // "md5"
// Of its digests: 16 to 64.
size_t SumBytes(SumAlgorithm algorithm);

// A set of them, walked through in the order of the enumeration.
class SumSet {
 public:
  SumSet() = default;
  SumSet(std::initializer_list<SumAlgorithm> algorithms) {
    for (const SumAlgorithm algorithm : algorithms) Add(algorithm);
  }

  void Add(SumAlgorithm algorithm) { bits_ |= Bit(algorithm); }
  void Add(SumSet other) { bits_ |= other.bits_; }
  bool Has(SumAlgorithm algorithm) const {
    return (bits_ & Bit(algorithm)) != 0;
  }
  bool HasAll(SumSet other) const { return (other.bits_ & ~bits_) == 0; }
  bool empty() const { return bits_ == 0; }
  std::vector<SumAlgorithm> List() const;

  bool operator==(const SumSet&) const = default;

 private:
  static uint32_t Bit(SumAlgorithm algorithm) {
    return uint32_t{1} << static_cast<uint32_t>(algorithm);
  }

  uint32_t bits_ = 0;
};

namespace internal {

struct DigestContextDeleter {
  void operator()(evp_md_ctx_st* context) const;
};

// `algorithm`: OpenSSL's name. Aborts where the system has no such digest or
// no memory for it.
class DigestContext {
 public:
  explicit DigestContext(const char* algorithm);
  void Update(ByteSpan bytes);
  // Writes the digest and starts anew.
  void Finish(std::byte* out);
  void Reset();

 private:
  std::unique_ptr<evp_md_ctx_st, DigestContextDeleter> context_;
};

}  // namespace internal

// One running digest. Finish() gives the digest of all bytes since the start
// or the last Finish() and starts anew, without another allocation. Movable;
// thread-compatible.
template <size_t kBytes>
class Hasher {
 public:
  using Digest = std::array<std::byte, kBytes>;

  Hasher() : context_(Algorithm()) {}

  void Update(ByteSpan bytes) { context_.Update(bytes); }
  Digest Finish() {
    Digest digest;
    context_.Finish(digest.data());
    return digest;
  }
  // Forgets all bytes so far.
  void Reset() { context_.Reset(); }

 private:
  static constexpr const char* Algorithm() {
    static_assert(kBytes == 16 || kBytes == 20 || kBytes == 32);
    return kBytes == 16 ? "MD5" : kBytes == 20 ? "SHA1" : "SHA256";
  }

  internal::DigestContext context_;
};

// "blob 12" and a zero byte: what goes before the content of `size_bytes`.
std::string GitBlobHeader(uint64_t size_bytes);

// The same for an algorithm that is known at run time only. For kGitBlob the
// header is the first thing to be hashed.
class SumHasher {
 public:
  explicit SumHasher(SumAlgorithm algorithm);

  void Update(ByteSpan bytes) { context_.Update(bytes); }
  std::vector<std::byte> Finish();

 private:
  size_t size_bytes_;
  internal::DigestContext context_;
};

using Md5Hasher = Hasher<16>;
using Sha1Hasher = Hasher<20>;
using Sha256Hasher = Hasher<32>;

Md5Digest Md5(ByteSpan bytes);
Sha1Digest Sha1(ByteSpan bytes);
Sha256Digest Sha256(ByteSpan bytes);

}  // namespace verify
