// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_json.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Json;

Fingerprint Made(bool dense = false) {
  auto config = tests::TinyModelConfig();
  if (dense) {
    config.num_experts = 0;
    config.num_experts_per_token = 0;
  }
  const tests::TempDir dir;
  tests::TinyModel(config, verify::DType::kBF16).Write(dir.path());
  const auto model = Model::Load(
      dir.path(), {.num_threads = 1, .activations = Activations::kExact});
  EXPECT_TRUE(model);
  const verify::CancelToken cancel;
  auto made = MakeFingerprint(**model, cancel);
  EXPECT_TRUE(made) << made.error().ToString();
  return std::move(*made);
}

verify::Error ErrorOf(const std::function<void(Json&)>& change) {
  static const Json kGood = FingerprintToJson(Made());
  Json json = kGood;
  change(json);
  const auto read = FingerprintFromJson(json);
  EXPECT_FALSE(read) << json.dump().substr(0, 200);
  if (read) return {};
  EXPECT_EQ(read.error().id, "E-FINGERPRINT-FORM");
  return read.error();
}

TEST(FingerprintJsonTest, ReadsWhatItWrites) {
  for (const bool dense : {false, true}) {
    const Fingerprint made = Made(dense);
    const auto read = ParseFingerprint(FormatFingerprint(made));
    ASSERT_TRUE(read) << read.error().ToString();
    EXPECT_EQ(*read, made);
    const auto again = FingerprintFromJson(FingerprintToJson(made));
    ASSERT_TRUE(again) << again.error().ToString();
    EXPECT_EQ(*again, made);
  }
}

TEST(FingerprintJsonTest, KeepsTheWindow) {
  Fingerprint made = Made();
  made.model.sliding_window = 4096;
  const auto read = ParseFingerprint(FormatFingerprint(made));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->model.sliding_window, 4096u);
}

TEST(FingerprintJsonTest, RefusesAMissingAndAnUnknownKeyEverywhere) {
  const Json good = FingerprintToJson(Made());
  for (const char* pointer :
       {"", "/model", "/tokenizer", "/tokenizer/prompts/1", "/types",
        "/embedding", "/layers/1", "/layers/0/types", "/layers/0/gate",
        "/layers/1/experts/3", "/run", "/run/logits/2"}) {
    const Json::json_pointer at(pointer);
    const std::string some_key = good.at(at).begin().key();
    EXPECT_EQ(ErrorOf([&](Json& j) { j[at]["other"] = 1; }).code,
              ErrorCode::kCorrupt);
    const auto error = ErrorOf([&](Json& j) { j[at].erase(some_key); });
    EXPECT_NE(error.message.find("missing"), std::string::npos)
        << error.message;
    ErrorOf([&](Json& j) { j[at] = nullptr; });
    ErrorOf([&](Json& j) { j[at] = Json::array(); });
  }
}

TEST(FingerprintJsonTest, RefusesValuesOutOfBounds) {
  struct Case {
    const char* pointer;
    Json value;
  };
  const Json big = uint64_t{1} << 63;
  for (const Case& c :
       {Case{"/version", 0},
        Case{"/version", "1"},
        Case{"/format", "lodestone"},
        Case{"/kernels", std::string(33, 'a')},
        Case{"/kernels", 3},
        Case{"/model/dim", 0},
        Case{"/model/dim", -1},
        Case{"/model/dim", 64.5},
        Case{"/model/num_layers", 3},
        Case{"/model/num_layers", big},
        Case{"/model/num_experts", 5},
        Case{"/model/num_experts_per_token", 0},
        Case{"/model/num_experts_per_token", 5},
        Case{"/model/vocab_size", 8},
        Case{"/model/norm_eps", 0},
        Case{"/model/norm_eps", -1e-5},
        Case{"/model/rope_theta", "1e6"},
        Case{"/model/sliding_window", 0},
        Case{"/tokenizer/pieces", "ab"},
        Case{"/tokenizer/pieces", std::string(64, 'g')},
        Case{"/tokenizer/pieces", std::string(64, 'A')},
        Case{"/tokenizer/prompts", Json::array()},
        Case{"/tokenizer/prompts/0/text", std::string(1025, 'a')},
        Case{"/tokenizer/prompts/0/ids/0", -1},
        Case{"/tokenizer/prompts/0/ids/0", 288},
        Case{"/types/output", Json::array()},
        Case{"/types/output", {"bf17"}},
        Case{"/types/output", {"bf16", "f32"}},
        Case{"/types/output", {"bf16", "bf16"}},
        Case{"/embedding/e", 201},
        Case{"/embedding/e", -201},
        Case{"/embedding/e", big},
        Case{"/embedding/v/0", (1 << 30) + 1},
        Case{"/embedding/v/0", -(1 << 30) - 1},
        Case{"/embedding/v/0", 0.5},
        Case{"/embedding/v/0", nullptr},
        Case{"/embedding/v", {1, 2, 3}},
        Case{"/layers/0/experts", Json::array()},
        Case{"/layers/0/residual", Json::array()},
        Case{"/layers/0/routed/0", 4},
        Case{"/layers/0/routed", {1, 2}},
        Case{"/layers/0/routed_weights/0", 1001},
        Case{"/layers/0/bits", "0123"},
        Case{"/layers/0/gate/v", {1, 2}},
        Case{"/run/ids", Json::array()},
        Case{"/run/ids/0", 288},
        Case{"/run/ids", std::vector<int>(513, 1)},
        Case{"/run/positions", Json::array()},
        Case{"/run/positions/0", 100000},
        Case{"/run/positions", {3, 3}},
        Case{"/run/positions", {5}},
        Case{"/run/continuation/0", 288},
        Case{"/run/continuation", std::vector<int>(65, 1)},
        Case{"/run/logits", Json::array()},
        Case{"/run/logits/0/depth", 0},
        Case{"/run/logits/0/position", 0},
        Case{"/run/logits/0/ids/7", 288},
        Case{"/run/logits/0/ids", {1}}}) {
    const auto error = ErrorOf(
        [&](Json& j) { j.at(Json::json_pointer(c.pointer)) = c.value; });
    EXPECT_FALSE(error.message.empty()) << c.pointer;
  }
}

TEST(FingerprintJsonTest, SaysThatAnotherVersionIsNotRead) {
  const auto error = ErrorOf([](Json& j) { j["version"] = 2; });
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
}

TEST(FingerprintJsonTest, RefusesWhatIsNoJsonOrTooMuch) {
  EXPECT_EQ(ParseFingerprint("{").error().id, "E-FINGERPRINT-FORM");
  EXPECT_EQ(
      ParseFingerprint(std::string(kMaxFingerprintBytes + 1, ' ')).error().code,
      ErrorCode::kLimit);
  std::string deep(100, '[');
  EXPECT_EQ(ParseFingerprint(deep).error().code, ErrorCode::kLimit);
  EXPECT_EQ(ParseFingerprint(R"({"format": "a", "format": "b"})").error().id,
            "E-FINGERPRINT-FORM");
}

// Never a crash, whatever is cut off or changed; what is still accepted is
// within the bounds that a check relies on.
TEST(FingerprintJsonTest, SurvivesCutsAndFlips) {
  const std::string good = FormatFingerprint(Made());
  for (size_t length = 0; length + 3 < good.size(); length += 97) {
    EXPECT_FALSE(ParseFingerprint(good.substr(0, length))) << length;
  }
  for (size_t i = 0; i < good.size(); i += 31) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    if (const auto read = ParseFingerprint(changed)) {
      EXPECT_EQ(read->layers.size(), read->model.num_layers);
    }
  }
}

}  // namespace
}  // namespace inference
