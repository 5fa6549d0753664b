// SPDX-License-Identifier: Apache-2.0
// Several sequences that go on together, and the tokens that a session keeps.
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inference/model/model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;

using Floats = std::vector<float>;

class SequencesTest : public testing::Test {
 protected:
  void Load(const verify::ModelConfig& config, DType dtype, size_t threads) {
    dirs_.push_back(std::make_unique<tests::TempDir>());
    tests::TinyModel(config, dtype, 3).Write(dirs_.back()->path());
    auto model = Model::Load(dirs_.back()->path(), {.num_threads = threads});
    ASSERT_TRUE(model) << model.error().ToString();
    model_ = std::move(*model);
  }

  Session NewSession(uint64_t max_tokens = 1000) {
    auto session = Session::Create(*model_, max_tokens);
    EXPECT_TRUE(session);
    return std::move(*session);
  }

  // Random ids, some sequences empty, some longer than a block of keys.
  std::vector<std::vector<TokenId>> Prompts(size_t count) {
    std::vector<std::vector<TokenId>> prompts(count);
    for (size_t i = 0; i < count; ++i) {
      for (size_t n = i * i * 9 % 400; n > 0; --n) {
        prompts[i].push_back(static_cast<TokenId>(random_.NextU32() % 288));
      }
    }
    return prompts;
  }

  // Six steps of all sequences together against each alone.
  void ExpectSameBits(size_t count) {
    const auto prompts = Prompts(count);
    std::vector<Session> together;
    std::vector<Session> alone;
    std::vector<Session*> all;
    for (const auto& prompt : prompts) {
      together.push_back(NewSession());
      alone.push_back(NewSession());
      if (prompt.empty()) continue;
      ASSERT_TRUE(together.back().Append(prompt));
      ASSERT_TRUE(alone.back().Append(prompt));
    }
    for (Session& session : together) all.push_back(&session);
    for (int step = 0; step < 6; ++step) {
      std::vector<TokenId> ids(count);
      for (TokenId& id : ids) {
        id = static_cast<TokenId>(random_.NextU32() % 288);
      }
      const auto done = Session::AppendEach(all, ids);
      ASSERT_TRUE(done) << done.error().ToString();
      for (size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(alone[i].Append({&ids[i], 1}));
        const auto expected = alone[i].logits();
        const auto found = together[i].logits();
        ASSERT_EQ(Floats(found.begin(), found.end()),
                  Floats(expected.begin(), expected.end()))
            << "sequence " << i << " of " << count << ", step " << step;
        ASSERT_EQ(together[i].position(), alone[i].position());
      }
    }
  }

  std::vector<std::unique_ptr<tests::TempDir>> dirs_;
  std::unique_ptr<Model> model_;
  tests::TestRandom random_{21};
};

TEST_F(SequencesTest, SeveralTogetherHaveTheBitsOfEachAlone) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    Load(tests::TinyModelConfig(), dtype, 2);
    for (const size_t count : {1u, 2u, 5u, 9u}) ExpectSameBits(count);
  }
  auto config = tests::TinyModelConfig();
  config.names = verify::NameScheme::kGguf;
  Load(config, DType::kQ8_0, 3);
  ExpectSameBits(4);
  config = tests::TinyModelConfig();
  config.num_experts = 0;
  config.sliding_window = 40;
  Load(config, DType::kBF16, 2);
  ExpectSameBits(7);
}

// More than are looked at together by the output matrix.
TEST_F(SequencesTest, ManyTogether) {
  Load(tests::TinyModelConfig(), DType::kBF16, 2);
  std::vector<Session> sessions;
  std::vector<Session*> all;
  std::vector<TokenId> ids;
  for (size_t i = 0; i < 130; ++i) {
    sessions.push_back(NewSession(4));
    ids.push_back(static_cast<TokenId>(i));
  }
  for (Session& session : sessions) all.push_back(&session);
  ASSERT_TRUE(Session::AppendEach(all, ids));
  for (const size_t i : {0u, 127u, 128u, 129u}) {
    Session alone = NewSession(4);
    ASSERT_TRUE(alone.Append({&ids[i], 1}));
    const auto expected = alone.logits();
    const auto found = sessions[i].logits();
    EXPECT_EQ(Floats(found.begin(), found.end()),
              Floats(expected.begin(), expected.end()));
  }
}

TEST_F(SequencesTest, TogetherTheyRefuseWhatOneWouldAndStayAsTheyWere) {
  Load(tests::TinyModelConfig(), DType::kBF16, 2);
  Session a = NewSession(3);
  Session b = NewSession(1);
  const TokenId five = 5;
  ASSERT_TRUE(a.Append({&five, 1}));
  ASSERT_TRUE(b.Append({&five, 1}));
  const std::vector<TokenId> ids = {6, 7};
  const auto refused = [&](const std::vector<Session*>& sessions,
                           const std::vector<TokenId>& tokens, ErrorCode code) {
    const auto done = Session::AppendEach(sessions, tokens);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, code) << done.error().ToString();
    EXPECT_EQ(a.position(), 1u);
    EXPECT_EQ(b.position(), 1u);
  };
  refused({&a, &b}, ids, ErrorCode::kLimit);  // b is full
  refused({&a, &a}, ids, ErrorCode::kInvalidArgument);
  refused({&a}, ids, ErrorCode::kInvalidArgument);
  refused({}, {}, ErrorCode::kInvalidArgument);
  refused({&a}, {288}, ErrorCode::kInvalidArgument);
  verify::CancelToken cancel;
  cancel.Cancel();
  Session* const one[] = {&a};
  const auto stopped =
      Session::AppendEach(one, std::vector<TokenId>{6}, &cancel);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(a.position(), 1u);
  EXPECT_EQ(a.tokens().size(), 1u);

  const auto first = std::move(model_);
  Load(tests::TinyModelConfig(), DType::kBF16, 2);
  Session other = NewSession(3);
  refused({&a, &other}, ids, ErrorCode::kInvalidArgument);
  EXPECT_EQ(other.position(), 0u);
}

TEST_F(SequencesTest, KeepsItsTokens) {
  Load(tests::TinyModelConfig(), DType::kBF16, 2);
  Session session = NewSession(6);
  const std::vector<TokenId> ids = {5, 6, 7, 8};
  const auto holds = [&](const std::vector<TokenId>& expected) {
    const auto tokens = session.tokens();
    EXPECT_EQ(std::vector<TokenId>(tokens.begin(), tokens.end()), expected);
    EXPECT_EQ(session.position(), expected.size());
  };
  holds({});
  ASSERT_TRUE(session.Append(ids));
  holds({5, 6, 7, 8});
  ASSERT_TRUE(session.Rewind(2));
  holds({5, 6});
  ASSERT_FALSE(session.Rewind(3));
  holds({5, 6});
  ASSERT_TRUE(
      session.AppendScored(ids, 0, [](size_t, std::span<const float>) {}));
  holds({5, 6, 5, 6, 7, 8});
  EXPECT_FALSE(session.Append(ids));
  holds({5, 6, 5, 6, 7, 8});
  EXPECT_EQ(session.max_tokens(), 6u);
}

// A guess that is thrown away must not cost keys: windows of every kind of
// position, rewound by as much as a guess may have.
TEST_F(SequencesTest, RewindsWithinAWindowThatHasGoneRound) {
  auto config = tests::TinyModelConfig();
  config.sliding_window = 30;
  config.num_experts = 0;
  Load(config, DType::kBF16, 2);
  Session straight = NewSession(3000);
  Session back = NewSession(3000);
  std::vector<TokenId> ids(1500);
  for (TokenId& id : ids) id = static_cast<TokenId>(random_.NextU32() % 288);
  const std::vector<TokenId> wrong(16, 9);
  for (size_t at = 0; at < ids.size(); at += 100) {
    const auto part = std::span(ids).subspan(at, 100);
    ASSERT_TRUE(straight.Append(part));
    ASSERT_TRUE(back.Append(part));
    ASSERT_TRUE(back.Append(wrong));
    ASSERT_TRUE(back.Rewind(at + 100));
  }
  const TokenId next = 17;
  ASSERT_TRUE(straight.Append({&next, 1}));
  ASSERT_TRUE(back.Append({&next, 1}));
  const auto expected = straight.logits();
  const auto found = back.logits();
  EXPECT_EQ(Floats(found.begin(), found.end()),
            Floats(expected.begin(), expected.end()));
}

}  // namespace
}  // namespace inference
