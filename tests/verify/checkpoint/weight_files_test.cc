// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/weight_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;

class Folder {
 public:
  explicit Folder(const std::vector<std::string>& names) {
    for (const std::string& name : names) dir_.Write(name, "x");
  }
  const std::string& path() const { return dir_.path(); }
  std::string File(const std::string& name) const { return dir_.File(name); }

 private:
  TempDir dir_;
};

std::vector<std::string> Names(const Result<WeightSet>& set) {
  EXPECT_TRUE(set) << set.error().ToString();
  std::vector<std::string> names;
  if (!set) return names;
  for (const std::string& file : set->files) {
    names.push_back(std::filesystem::path(file).filename().string());
  }
  return names;
}

TEST(WeightFilesTest, FindsTheOneSetOfAFolder) {
  const std::vector<std::vector<std::string>> sets = {
      {"consolidated.00.pth"},
      {"consolidated.safetensors"},
      {"model.safetensors"},
      {"any name.gguf"},
      {"consolidated.00.pth", "consolidated.01.pth"},
      {"consolidated.00.pt", "consolidated.01.pt", "consolidated.02.pt"},
      {"consolidated-00001-of-00002.safetensors",
       "consolidated-00002-of-00002.safetensors"},
      {"a-b-00001-of-00002.gguf", "a-b-00002-of-00002.gguf"},
      {"one-00001-of-00001.gguf"},
  };
  for (const auto& names : sets) {
    std::vector<std::string> all = names;
    all.insert(all.end(), {"params.json", "tokenizer.model", "README.md",
                           "model-00001-of-00002.safetensors"});
    const Folder folder(all);
    EXPECT_EQ(Names(ChooseWeightSet(folder.path())), names);
    for (const std::string& name : names) {
      EXPECT_EQ(Names(WeightSetOf(folder.File(name))), names) << name;
    }
  }
}

TEST(WeightFilesTest, AnIndexStandsForItsShards) {
  const Folder folder(
      {"model.safetensors.index.json", "model-00001-of-00002.safetensors"});
  const auto set = ChooseWeightSet(folder.path());
  EXPECT_EQ(Names(set),
            std::vector<std::string>{"model.safetensors.index.json"});
  EXPECT_TRUE(set->is_index);
  const std::string shard = "model-00001-of-00002.safetensors";
  EXPECT_EQ(Names(WeightSetOf(folder.File(shard))),
            std::vector<std::string>{shard});
}

TEST(WeightFilesTest, OrdersPartsByNumber) {
  const Folder folder({"m-2-of-10.gguf", "m-10-of-10.gguf", "m-1-of-10.gguf",
                       "m-3-of-10.gguf", "m-4-of-10.gguf", "m-5-of-10.gguf",
                       "m-6-of-10.gguf", "m-7-of-10.gguf", "m-8-of-10.gguf",
                       "m-9-of-10.gguf"});
  const auto names = Names(ChooseWeightSet(folder.path()));
  ASSERT_EQ(names.size(), 10u);
  EXPECT_EQ(names[0], "m-1-of-10.gguf");
  EXPECT_EQ(names[1], "m-2-of-10.gguf");
  EXPECT_EQ(names[9], "m-10-of-10.gguf");
}

TEST(WeightFilesTest, C5NamesThePartThatIsMissing) {
  const struct {
    std::vector<std::string> names;
    std::string missing;
  } cases[] = {
      {{"consolidated.00.pth", "consolidated.02.pth"}, "consolidated.01.pth"},
      {{"consolidated.03.pt"}, "consolidated.00.pt"},
      {{"consolidated-00001-of-00003.safetensors",
        "consolidated-00002-of-00003.safetensors"},
       "consolidated-00003-of-00003.safetensors"},
      {{"m-00002-of-00002.gguf"}, "m-00001-of-00002.gguf"},
  };
  for (const auto& c : cases) {
    const Folder folder(c.names);
    ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kNotFound, c.missing,
                kShardMissing);
  }
  const Folder folder({"m-00002-of-00002.gguf"});
  ExpectError(WeightSetOf(folder.File("m-00002-of-00002.gguf")),
              ErrorCode::kNotFound, "m-00001-of-00002.gguf", kShardMissing);
}

TEST(WeightFilesTest, RefusesSeveralSets) {
  const Folder folder({"consolidated.00.pth", "consolidated.00.pt",
                       "consolidated.safetensors", "m-1-of-2.gguf",
                       "m-2-of-2.gguf", "m-1-of-3.gguf"});
  ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kInvalidArgument,
              "more than once: consolidated.00.pt, consolidated.00.pth, "
              "consolidated.safetensors, m-1-of-2.gguf, m-1-of-3.gguf");
  const auto sets = ListWeightSets(folder.path());
  ASSERT_TRUE(sets);
  EXPECT_EQ(sets->size(), 5u);
  // A file that is named needs no choice.
  EXPECT_EQ(Names(WeightSetOf(folder.File("m-2-of-2.gguf"))),
            (std::vector<std::string>{"m-1-of-2.gguf", "m-2-of-2.gguf"}));
}

TEST(WeightFilesTest, OneNumberTwiceIsNoSet) {
  const Folder folder({"consolidated.0.pth", "consolidated.00.pth"});
  ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kInvalidArgument,
              "twice", "E-SHARDS");
}

TEST(WeightFilesTest, NamesThatAreNoParts) {
  for (const char* const name :
       {"m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "-1-of-2.gguf",
        "m-1-of-99999999999999999999.gguf", "m-x-of-2.gguf", "m-of-2.gguf",
        "m-1-of-20000.gguf"}) {
    const Folder folder({name});
    EXPECT_EQ(Names(ChooseWeightSet(folder.path())),
              std::vector<std::string>{name});
  }
  for (const char* const name :
       {"consolidated.x.pth", "consolidated..pth", "consolidated.pth",
        "consolidated.99999999999.pth", "other.00.pth",
        "consolidated-x-00001-of-00001.safetensors"}) {
    const Folder folder({name});
    ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kNotFound,
                "no weights in this folder");
  }
}

}  // namespace
}  // namespace verify
