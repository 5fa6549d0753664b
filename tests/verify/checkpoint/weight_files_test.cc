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

TEST(WeightFilesTest, AnyFileMayBeCompressed) {
  const std::vector<std::vector<std::string>> sets = {
      {"consolidated.00.pth.zst"},
      {"model.safetensors.zstd"},
      {"consolidated.00.pth", "consolidated.01.pth.zst"},
      {"a-00001-of-00002.gguf.zst", "a-00002-of-00002.gguf.zst"},
  };
  for (const auto& names : sets) {
    std::vector<std::string> all = names;
    all.insert(all.end(), {"params.json", "other.zst", "notes.json.zst",
                           "model.safetensors.index.json.zst"});
    const Folder folder(all);
    EXPECT_EQ(Names(ChooseWeightSet(folder.path())), names);
    for (const std::string& name : names) {
      EXPECT_EQ(Names(WeightSetOf(folder.File(name))), names) << name;
    }
  }
}

TEST(WeightFilesTest, WhatIsNotCompressedGoesFirst) {
  const Folder same({"model.safetensors", "model.safetensors.zst"});
  EXPECT_EQ(Names(ChooseWeightSet(same.path())),
            std::vector<std::string>{"model.safetensors"});
  // By its name it can still be had.
  EXPECT_EQ(Names(WeightSetOf(same.File("model.safetensors.zst"))),
            std::vector<std::string>{"model.safetensors.zst"});
  const Folder other(
      {"model.gguf", "consolidated.00.pth.zst", "consolidated.01.pth.zst"});
  EXPECT_EQ(Names(ChooseWeightSet(other.path())),
            std::vector<std::string>{"model.gguf"});
  const auto sets = ListWeightSets(other.path());
  ASSERT_TRUE(sets);
  EXPECT_EQ(sets->size(), 1u);
  const Folder two({"a.gguf.zst", "b.gguf.zst"});
  ExpectError(ChooseWeightSet(two.path()), ErrorCode::kInvalidArgument,
              "a.gguf.zst, b.gguf.zst");
  const Folder lacking({"consolidated.01.pth.zst"});
  ExpectError(ChooseWeightSet(lacking.path()), ErrorCode::kNotFound,
              "consolidated.00.pth", kShardMissing);
}

TEST(WeightFilesTest, PathHereFindsTheCompressedForm) {
  const Folder folder({"a", "a.zst", "b.zstd"});
  EXPECT_EQ(PathHere(folder.File("a")), folder.File("a"));
  EXPECT_EQ(PathHere(folder.File("b")), folder.File("b.zstd"));
  EXPECT_EQ(PathHere(folder.File("c")), folder.File("c"));
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

// The pieces of each file of a set, by their names.
std::vector<std::vector<std::string>> Pieces(const Result<WeightSet>& set) {
  EXPECT_TRUE(set) << set.error().ToString();
  std::vector<std::vector<std::string>> names;
  if (!set) return names;
  for (const auto& of_file : set->pieces) {
    names.emplace_back();
    for (const std::string& piece : of_file) {
      names.back().push_back(std::filesystem::path(piece).filename().string());
    }
  }
  return names;
}

TEST(WeightFilesTest, PutsPiecesInOrder) {
  const struct {
    std::string whole;
    std::vector<std::string> pieces;  // in order
  } cases[] = {
      {"consolidated.00.pth",
       {"consolidated.00.pth-split0", "consolidated.00.pth-split1"}},
      {"m.gguf",
       {"m.gguf-split0", "m.gguf-split1", "m.gguf-split2", "m.gguf-split3",
        "m.gguf-split4", "m.gguf-split5", "m.gguf-split6", "m.gguf-split7",
        "m.gguf-split8", "m.gguf-split9", "m.gguf-split10"}},
      {"m.gguf", {"m.gguf-split-a", "m.gguf-split-b"}},
      {"m.gguf", {"m.gguf-split-aa", "m.gguf-split-ab", "m.gguf-split-ac"}},
      {"model.safetensors",
       {"model.safetensors.part1of2", "model.safetensors.part2of2"}},
  };
  for (const auto& c : cases) {
    const Folder folder(c.pieces);
    for (const auto& set :
         {ChooseWeightSet(folder.path()), WeightSetOf(folder.File(c.whole)),
          WeightSetOf(folder.File(c.pieces.back()))}) {
      EXPECT_EQ(Names(set), std::vector<std::string>{c.whole});
      EXPECT_EQ(Pieces(set), std::vector<std::vector<std::string>>{c.pieces});
      EXPECT_TRUE(set && set->in_pieces());
    }
  }
}

// A file of a set may be whole and the next in pieces.
TEST(WeightFilesTest, AnyFileOfASetMayBeInPieces) {
  const Folder folder({"consolidated.00.pth", "consolidated.01.pth-split0",
                       "consolidated.01.pth-split1"});
  const auto set = ChooseWeightSet(folder.path());
  EXPECT_EQ(Names(set), (std::vector<std::string>{"consolidated.00.pth",
                                                  "consolidated.01.pth"}));
  EXPECT_EQ(
      Pieces(set),
      (std::vector<std::vector<std::string>>{
          {}, {"consolidated.01.pth-split0", "consolidated.01.pth-split1"}}));
}

TEST(WeightFilesTest, C5NamesThePieceThatIsMissing) {
  const struct {
    std::vector<std::string> names;
    std::string missing;
  } cases[] = {
      {{"m.gguf-split0", "m.gguf-split2"}, "m.gguf-split1"},
      {{"m.gguf-split1"}, "m.gguf-split0"},
      {{"m.gguf-split-ab"}, "m.gguf-split-aa"},
      {{"m.gguf.part1of3", "m.gguf.part2of3"}, "m.gguf.part3of3"},
      {{"consolidated.00.pth-split0", "consolidated.02.pth"},
       "consolidated.01.pth"},
  };
  for (const auto& c : cases) {
    const Folder folder(c.names);
    ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kNotFound, c.missing,
                kShardMissing);
    ExpectError(WeightSetOf(folder.File(c.names.front())), ErrorCode::kNotFound,
                c.missing, kShardMissing);
  }
}

TEST(WeightFilesTest, AWholeFileIsNotItsPieces) {
  const Folder folder({"m.gguf", "m.gguf.part1of2", "m.gguf.part2of2"});
  ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kInvalidArgument,
              "more than once: m.gguf, m.gguf.part1of2");
  EXPECT_EQ(Pieces(WeightSetOf(folder.File("m.gguf"))),
            std::vector<std::vector<std::string>>{{}});
  EXPECT_EQ(Pieces(WeightSetOf(folder.File("m.gguf.part2of2"))),
            (std::vector<std::vector<std::string>>{
                {"m.gguf.part1of2", "m.gguf.part2of2"}}));
  // Two ways to cut one part of a set are that part twice.
  const Folder twice({"consolidated.00.pth", "consolidated.01.pth-split0",
                      "consolidated.01.pth.part1of1"});
  ExpectError(ChooseWeightSet(twice.path()), ErrorCode::kInvalidArgument,
              "twice", "E-SHARDS");
}

TEST(WeightFilesTest, NamesThatAreNoPieces) {
  for (const char* const name :
       {"m.gguf-split", "m.gguf-split-", "m.gguf-split-abc", "m.gguf-split-A",
        "m.gguf-split01", "m.gguf-split99999", "m.gguf.part0of2",
        "m.gguf.part3of2", "m.gguf.part1of", "m.gguf.part01of2",
        "m.gguf.part1of20000", "notes.txt-split0", ".part1of2",
        "model.safetensors.index.json-split0"}) {
    const Folder folder({name});
    ExpectError(ChooseWeightSet(folder.path()), ErrorCode::kNotFound,
                "no weights in this folder");
  }
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
