// SPDX-License-Identifier: Apache-2.0
// GGUF in several files.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "inference/convert/plan_gguf.h"
#include "tests/inference/convert/convert_fixture.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/gguf_reader.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using tests::ReadFile;
using tests::TempDir;
using verify::DType;
using verify::StrCat;

class SplitTest : public testing::Test {
 protected:
  SplitTest() : input_(WriteMistralFolder(dir_, "in", tests::TinyConfig())) {
    fs::create_directory(dir_.File("out"));
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_.File("out"))) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TempDir dir_;
  const std::string input_;
};

TEST_F(SplitTest, WritesFilesOfAtMostThatSize) {
  constexpr uint64_t kLimit = 60'000;
  const std::string whole = dir_.File("whole.gguf");
  ASSERT_TRUE(ConvertNow({.input = input_, .output = whole}));
  const auto outcome = ConvertNow({.input = input_,
                                   .output = dir_.File("out/m.gguf"),
                                   .split_bytes = kLimit});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  const auto names = Names();
  const size_t count = names.size();
  ASSERT_GT(count, 3u);
  ASSERT_LT(count, 10u);
  EXPECT_EQ(outcome->num_files, count);
  EXPECT_EQ(outcome->path,
            dir_.File(StrCat("out/m-00001-of-0000", count, ".gguf")));
  uint64_t num_tensors = 0;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(names[i], StrCat("m-0000", i + 1, "-of-0000", count, ".gguf"));
    const std::string path = dir_.File("out/" + names[i]);
    EXPECT_LE(fs::file_size(path), kLimit);
    const auto file = verify::ReadOnlyFile::Open(path);
    ASSERT_TRUE(file);
    const auto part = verify::ReadGguf(*file);
    ASSERT_TRUE(part) << part.error().ToString();
    EXPECT_EQ(part->Unsigned("split.no"), i);
    EXPECT_EQ(part->Unsigned("split.count"), count);
    EXPECT_EQ(part->Unsigned("split.tensors.count"), 23u);  // 3 + 2 * 10
    EXPECT_EQ(part->String("general.architecture") != nullptr, i == 0);
    EXPECT_GE(part->tensors.size(), 1u);
    num_tensors += part->tensors.size();
  }
  EXPECT_EQ(num_tensors, 23u);
  // From any of them the whole comes back.
  const std::string again = dir_.File("again.gguf");
  ASSERT_TRUE(
      ConvertNow({.input = dir_.File("out/" + names[1]), .output = again}));
  EXPECT_TRUE(ReadFile(again) == ReadFile(whole));
}

TEST_F(SplitTest, GivesEachTensorAFileIfNoTwoFit) {
  const auto outcome = ConvertNow({.input = input_,
                                   .output = dir_.File("out/m.gguf"),
                                   .to = DType::kQ8_0,
                                   .split_bytes = 1});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(Names().size(), 23u);
}

TEST_F(SplitTest, IsOneFileIfItFits) {
  const std::string whole = dir_.File("whole.gguf");
  ASSERT_TRUE(ConvertNow({.input = input_, .output = whole}));
  const auto outcome = ConvertNow({.input = input_,
                                   .output = dir_.File("out/m.gguf"),
                                   .split_bytes = 100'000'000});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(Names(), (std::vector<std::string>{"m.gguf"}));
  EXPECT_TRUE(ReadFile(outcome->path) == ReadFile(whole));
}

TEST_F(SplitTest, ReplacesNoFileUnasked) {
  ConvertOptions options{.input = input_,
                         .output = dir_.File("out/m.gguf"),
                         .split_bytes = 60'000};
  const auto first = ConvertNow(options);
  ASSERT_TRUE(first);
  const auto names = Names();
  dir_.Write("out/" + names[2], "precious");
  const auto refused = ConvertNow(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "E-EXISTS");
  EXPECT_EQ(ReadFile(dir_.File("out/" + names[2])), "precious");
  EXPECT_EQ(Names(), names);
  options.overwrite = true;
  EXPECT_TRUE(ConvertNow(options));
  EXPECT_EQ(Names(), names);
  EXPECT_EQ(ReadFile(dir_.File("out/" + names[2])).substr(0, 4), "GGUF");
}

}  // namespace
}  // namespace inference
