// SPDX-License-Identifier: Apache-2.0
#include "inference/model/session_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/model/model_identity.h"
#include "tests/support/double_forward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "verify/base/bytes.h"
#include "verify/container/xxh64.h"
#include "verify/digest/digest.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::DType;
using verify::ErrorCode;

// Places in the head, from docs/formats/session.md.
constexpr size_t kActivationsAt = 12;
constexpr size_t kModelAt = 16;
constexpr size_t kKernelsAt = 48;
constexpr size_t kNoteBytesAt = 64;
constexpr size_t kNumTokensAt = 72;
constexpr size_t kFirstRowAt = 80;
constexpr size_t kRowBytesAt = 88;
constexpr size_t kNumLayersAt = 96;
constexpr size_t kHeadSumAt = 104;
constexpr size_t kHeadBytes = 112;

std::vector<TokenId> SomeIds(size_t count, uint64_t seed) {
  return tests::RandomIds(count, 288, seed);
}

std::vector<float> LogitsAfter(Session& session, TokenId id) {
  EXPECT_TRUE(session.Append({&id, 1}));
  const auto logits = session.logits();
  return {logits.begin(), logits.end()};
}

class SessionFileTest : public testing::Test {
 protected:
  std::unique_ptr<Model> Load(const verify::ModelConfig& config,
                              uint64_t seed = 5, ModelOptions options = {}) {
    dirs_.push_back(std::make_unique<tests::TempDir>());
    tests::TinyModel(config, DType::kBF16, seed).Write(dirs_.back()->path());
    options.num_threads = 2;
    auto model = Model::Load(dirs_.back()->path(), options);
    EXPECT_TRUE(model) << model.error().ToString();
    return std::move(*model);
  }

  // A session of the plain tiny model with some tokens in it, in a file.
  void SaveOne() {
    model_ = Load(tests::TinyModelConfig());
    auto session = Session::Create(*model_, 40);
    ASSERT_TRUE(session);
    ASSERT_TRUE(session->Append(SomeIds(9, 1)));
    ASSERT_TRUE(SessionFile::Save(*session, path_, "a note"));
    bytes_ = tests::ReadFile(path_);
  }

  verify::Result<SessionFile::Loaded> Reload(const std::string& bytes,
                                             uint64_t max_tokens = 40) {
    dir_.Write("session", bytes);
    return SessionFile::Load(*model_, path_, max_tokens);
  }

  // With one number changed and the head's sum made right again.
  template <typename T>
  std::string WithNumber(size_t at, T value) const {
    std::string changed = bytes_;
    std::memcpy(changed.data() + at, &value, sizeof(value));
    const uint64_t sum = verify::Xxh64(
        verify::AsBytes(std::string_view(changed).substr(0, kHeadSumAt)));
    std::memcpy(changed.data() + kHeadSumAt, &sum, sizeof(sum));
    return changed;
  }

  tests::TempDir dir_;
  const std::string path_ = dir_.File("session");
  std::vector<std::unique_ptr<tests::TempDir>> dirs_;
  std::unique_ptr<Model> model_;
  std::string bytes_;
};

TEST_F(SessionFileTest, GoesOnWithTheSameBits) {
  for (const uint64_t window : {0u, 20u}) {
    auto config = tests::TinyModelConfig();
    if (window != 0) config.sliding_window = window;
    const auto model = Load(config);
    for (const size_t length : {1u, 9u, 300u, 900u}) {
      auto session = Session::Create(*model, 2000);
      ASSERT_TRUE(session);
      ASSERT_TRUE(session->Append(SomeIds(length, length)));
      ASSERT_TRUE(SessionFile::Save(*session, path_, "note"));
      // A context of another size, too.
      for (const uint64_t max_tokens : {2000u, 905u}) {
        auto loaded = SessionFile::Load(*model, path_, max_tokens);
        ASSERT_TRUE(loaded) << loaded.error().ToString();
        EXPECT_EQ(loaded->note, "note");
        EXPECT_EQ(loaded->session.position(), length);
        EXPECT_EQ(loaded->session.max_tokens(), max_tokens);
        const auto tokens = loaded->session.tokens();
        EXPECT_EQ(std::vector<TokenId>(tokens.begin(), tokens.end()),
                  SomeIds(length, length));
        ASSERT_TRUE(session->Rewind(length));
        for (const TokenId id : {7, 8, 9}) {
          ASSERT_EQ(LogitsAfter(loaded->session, id), LogitsAfter(*session, id))
              << "window " << window << ", " << length << " tokens";
        }
      }
    }
  }
}

TEST_F(SessionFileTest, KeysAsBytesAreSavedAsBytes) {
  auto config = tests::TinyModelConfig();
  config.head_dim = 32;
  ModelOptions options;
  options.kv = KvType::kQ8_0;
  const auto bytes = Load(config, 5, options);
  auto session = Session::Create(*bytes, 400);
  ASSERT_TRUE(session);
  ASSERT_TRUE(session->Append(SomeIds(300, 1)));
  ASSERT_TRUE(SessionFile::Save(*session, path_, ""));
  auto loaded = SessionFile::Load(*bytes, path_, 400);
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(LogitsAfter(loaded->session, 7), LogitsAfter(*session, 7));

  // The same model that keeps halves.
  options.kv = KvType::kF16;
  const auto halves = Load(config, 5, options);
  ExpectError(SessionFile::Load(*halves, path_, 400), ErrorCode::kMismatch,
              "keeps keys and values as q8_0, here it is f16",
              "E-SESSION-ENGINE");
}

// The last token again: the logits that the file does not hold.
TEST_F(SessionFileTest, LogitsOfTheLastTokenComeBack) {
  SaveOne();
  auto loaded = Reload(bytes_);
  ASSERT_TRUE(loaded);
  auto session = Session::Create(*model_, 40);
  ASSERT_TRUE(session);
  const auto ids = SomeIds(9, 1);
  ASSERT_TRUE(session->Append(std::span(ids).first(8)));
  ASSERT_TRUE(loaded->session.Rewind(8));
  EXPECT_EQ(LogitsAfter(loaded->session, ids[8]),
            LogitsAfter(*session, ids[8]));
}

TEST_F(SessionFileTest, AnEmptySessionIsASession) {
  model_ = Load(tests::TinyModelConfig());
  auto session = Session::Create(*model_, 40);
  ASSERT_TRUE(session);
  ASSERT_TRUE(SessionFile::Save(*session, path_));
  const auto loaded = SessionFile::Load(*model_, path_, 40);
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->session.position(), 0u);
  EXPECT_EQ(loaded->note, "");
}

// By hand: head, note, 9 ids, keys and values of 2 layers with 32 halves each,
// and SHA-256.
TEST_F(SessionFileTest, HasTheSizeAndTheModeThatAreStated) {
  SaveOne();
  EXPECT_EQ(bytes_.size(), kHeadBytes + 6 + 9 * 4 + 9 * 2 * 2 * 32 * 2 + 32);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const auto all = verify::AsBytes(bytes_);
  const auto sum = verify::Sha256(all.first(all.size() - 32));
  EXPECT_TRUE(std::equal(sum.begin(), sum.end(), all.last(32).begin()));
}

TEST_F(SessionFileTest, TruncatedAnywhereIsRefused) {
  SaveOne();
  for (size_t size = 0; size < bytes_.size(); size += size < 300 ? 1 : 61) {
    const auto loaded = Reload(bytes_.substr(0, size));
    ASSERT_FALSE(loaded) << size;
    ASSERT_EQ(loaded.error().id, "E-SESSION") << size;
    ASSERT_EQ(loaded.error().code, ErrorCode::kCorrupt) << size;
    ASSERT_FALSE(loaded.error().hint.empty());
  }
  EXPECT_FALSE(Reload(bytes_ + "x"));
}

TEST_F(SessionFileTest, AFlippedBitAnywhereIsRefused) {
  SaveOne();
  for (size_t at = 0; at < bytes_.size(); at += at < 300 ? 1 : 61) {
    std::string changed = bytes_;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    const auto loaded = Reload(changed);
    ASSERT_FALSE(loaded) << at;
    ASSERT_EQ(loaded.error().id, "E-SESSION") << at;
  }
}

// F6: numbers that a sum does not protect from, since whoever writes the file
// writes the sum.
TEST_F(SessionFileTest, NumbersThatCannotBeAreRefused) {
  SaveOne();
  ASSERT_TRUE(Reload(WithNumber(kNumTokensAt, uint64_t{9})));
  const auto refused = [&](size_t at, uint64_t value, std::string_view part) {
    ExpectError(Reload(WithNumber(at, value)), ErrorCode::kCorrupt, part,
                "E-SESSION");
  };
  for (const uint64_t many :
       {uint64_t{10}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX / 4 + 1}) {
    refused(kNumTokensAt, many, "tokens");
    refused(kRowBytesAt, many, "keys of");
    refused(kNumLayersAt, many, "layers");
  }
  refused(kNoteBytesAt, 7, "bytes, the file has");
  refused(kNoteBytesAt, kMaxSessionNoteBytes + 1, "note");
  refused(kNoteBytesAt, UINT64_MAX, "note");
  refused(kFirstRowAt, 1, "position 1");
  refused(kFirstRowAt, 10, "position 10");
  refused(kFirstRowAt, UINT64_MAX, "position");
  ExpectError(Reload(WithNumber(kActivationsAt, uint32_t{2})),
              ErrorCode::kCorrupt, "activations of kind 2", "E-SESSION");
  ExpectError(Reload(WithNumber(kActivationsAt, uint32_t{2u << 8})),
              ErrorCode::kCorrupt, "keys and values of kind 2", "E-SESSION");
  ExpectError(Reload(WithNumber(8, uint32_t{2})), ErrorCode::kUnsupported,
              "format 2", "E-SESSION");
  // An id outside of the vocabulary, behind head and note.
  std::string changed = bytes_;
  const TokenId outside = 288;
  std::memcpy(changed.data() + kHeadBytes + 6 + 4, &outside, sizeof(outside));
  ExpectError(Reload(changed), ErrorCode::kCorrupt, "token 1 is 288",
              "E-SESSION");
}

TEST_F(SessionFileTest, WhatIsNoSessionIsSaidToBeNone) {
  SaveOne();
  ExpectError(Reload(""), ErrorCode::kCorrupt, "no session", "E-SESSION");
  ExpectError(Reload(std::string(500, 'x')), ErrorCode::kCorrupt,
              "no session file", "E-SESSION");
  EXPECT_EQ(SessionFile::Load(*model_, dir_.File("none"), 40).error().code,
            ErrorCode::kNotFound);
}

TEST_F(SessionFileTest, IsOfOneModelAndOneWayOfComputing) {
  SaveOne();
  ExpectError(Reload(WithNumber(kModelAt, uint64_t{1})), ErrorCode::kMismatch,
              "another model", "E-SESSION-MODEL");
  ExpectError(Reload(WithNumber(kKernelsAt, uint64_t{'X'})),
              ErrorCode::kMismatch, "computed by X", "E-SESSION-ENGINE");
  ExpectError(Reload(WithNumber(kActivationsAt, uint32_t{1})),
              ErrorCode::kMismatch, "float activations", "E-SESSION-ENGINE");
  // In earnest: other weights of the same shapes, and the same with --exact.
  const auto other = Load(tests::TinyModelConfig(), 6);
  ExpectError(SessionFile::Load(*other, path_, 40), ErrorCode::kMismatch,
              "another model", "E-SESSION-MODEL");
  dir_.Write("session", bytes_);
  const auto exact =
      Load(tests::TinyModelConfig(), 5, {.activations = Activations::kExact});
  ExpectError(SessionFile::Load(*exact, path_, 40), ErrorCode::kMismatch,
              "rounded", "E-SESSION-ENGINE");
}

TEST_F(SessionFileTest, NeedsRoomForItsTokens) {
  SaveOne();
  EXPECT_TRUE(Reload(bytes_, 9));
  ExpectError(Reload(bytes_, 8), ErrorCode::kLimit, "9 tokens", "E-CONTEXT");
}

TEST_F(SessionFileTest, KeepsTheOldFileIfItCannotWriteTheNew) {
  SaveOne();
  auto loaded = Reload(bytes_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(SessionFile::Save(loaded->session, path_,
                              std::string(kMaxSessionNoteBytes + 1, ' '))
                .error()
                .code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      SessionFile::Save(loaded->session, dir_.File("no/such")).error().code,
      ErrorCode::kNotFound);
  EXPECT_EQ(tests::ReadFile(path_), bytes_);
}

TEST_F(SessionFileTest, TheIdentityOfAModelIsThatOfItsContent) {
  const auto config = tests::TinyModelConfig();
  const auto identity = IdentifyModel(*Load(config));
  EXPECT_EQ(IdentifyModel(*Load(config)), identity);  // of another folder
  EXPECT_NE(IdentifyModel(*Load(config, 6)), identity);
  auto other = config;
  other.rope_theta = config.rope_theta * (1 + 1e-12);
  EXPECT_NE(IdentifyModel(*Load(other)), identity);
  other = config;
  other.names = verify::NameScheme::kHuggingFace;
  EXPECT_NE(IdentifyModel(*Load(other)), identity);
}

}  // namespace
}  // namespace inference
