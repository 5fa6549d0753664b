// SPDX-License-Identifier: Apache-2.0
// A payload on disk and what the hash engine must say of it. For the engine's
// tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"
#include "verify/base/progress.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/digest/hash_engine.h"
#include "verify/digest/merkle.h"

namespace tests {

inline constexpr uint64_t kMiB = 1u << 20;

struct Payload {
  TempDir dir;
  verify::HashRequest request;
  std::vector<std::string> contents;  // of files and pads
  std::string joined;

  void AddFile(std::string content) {
    verify::HashFile file;
    file.path = dir.Write(verify::StrCat("f", contents.size()), content);
    file.size_bytes = content.size();
    file.sums.Add(verify::SumAlgorithm::kMd5);
    file.want_merkle = true;
    Append(file, std::move(content));
  }
  void AddPad(size_t size) {
    verify::HashFile file;
    file.size_bytes = size;
    file.sums = {};
    Append(file, std::string(size, '\0'));
  }
  // What one plain loop over the joined bytes gives.
  std::vector<verify::Sha1Digest> ExpectedPieces() const {
    std::vector<verify::Sha1Digest> pieces;
    const std::string_view all = joined;
    for (size_t at = 0; at < all.size(); at += request.piece_length) {
      pieces.push_back(
          verify::Sha1(verify::AsBytes(all.substr(at, request.piece_length))));
    }
    return pieces;
  }

 private:
  void Append(const verify::HashFile& file, std::string content) {
    request.files.push_back(file);
    joined += content;
    contents.push_back(std::move(content));
  }
};

inline verify::Result<verify::HashOutcome> Hash(
    const verify::HashRequest& request,
    verify::ProgressSink* progress = nullptr) {
  const verify::CancelToken cancel;
  return verify::HashFiles(request, cancel, progress);
}

// What OpenSSL gives for all bytes at once.
inline std::map<verify::SumAlgorithm, std::vector<std::byte>> PlainSums(
    verify::ByteSpan bytes, verify::SumSet wanted) {
  std::map<verify::SumAlgorithm, std::vector<std::byte>> sums;
  for (const verify::SumAlgorithm algorithm : wanted.List()) {
    verify::SumHasher hasher(algorithm);
    if (algorithm == verify::SumAlgorithm::kGitBlob) {
      hasher.Update(verify::AsBytes(verify::GitBlobHeader(bytes.size())));
    }
    hasher.Update(bytes);
    sums[algorithm] = hasher.Finish();
  }
  return sums;
}

inline void ExpectAllRight(const Payload& payload,
                           const verify::HashOutcome& outcome) {
  ASSERT_EQ(outcome.files.size(), payload.contents.size());
  for (size_t i = 0; i < payload.contents.size(); ++i) {
    const verify::HashFile& file = payload.request.files[i];
    const verify::FileDigests& digests = outcome.files[i];
    const verify::ByteSpan bytes = verify::AsBytes(payload.contents[i]);
    EXPECT_EQ(digests.state, verify::FileState::kOk)
        << i << " " << digests.error;
    EXPECT_EQ(digests.actual_size_bytes, bytes.size()) << i;
    if (file.path.empty()) {
      EXPECT_TRUE(digests.sums.empty()) << i;
      continue;
    }
    EXPECT_EQ(digests.sums, PlainSums(bytes, file.sums)) << i;
    EXPECT_EQ(digests.merkle_root.has_value(),
              file.want_merkle && !bytes.empty())
        << i;
    if (digests.merkle_root.has_value()) {
      EXPECT_EQ(*digests.merkle_root, verify::MerkleHasher().SubtreeRoot(bytes))
          << i;
    }
  }
  if (payload.request.piece_length > 0) {
    EXPECT_EQ(outcome.piece_digests, payload.ExpectedPieces());
  }
}

class RecordedProgress final : public verify::ProgressSink {
 public:
  explicit RecordedProgress(std::function<void()> at_first = {})
      : at_first_(std::move(at_first)) {}

  void OnProgress(std::string_view item, uint64_t done_bytes,
                  uint64_t total_bytes) override {
    {
      const std::scoped_lock lock(mu_);
      items_.insert(std::string(item));
      most_ = std::max(most_, done_bytes);
      total_ = total_bytes;
    }
    if (at_first_ && !called_.exchange(true)) at_first_();
  }

  std::set<std::string> items_;
  uint64_t most_ = 0;
  uint64_t total_ = 0;

 private:
  std::mutex mu_;
  std::function<void()> at_first_;
  std::atomic<bool> called_{false};
};

}  // namespace tests
