// SPDX-License-Identifier: Apache-2.0
#include "p2p/selection.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tests {
namespace {

using p2p::GlobMatches;
using p2p::Metainfo;
using p2p::Selection;
using p2p::SelectionRequest;
using verify::ErrorCode;

Metainfo MakeMetainfo(const std::vector<std::string>& paths) {
  Metainfo metainfo;
  metainfo.name = "model";
  metainfo.piece_length = 16384;
  uint64_t offset = 0;
  for (const std::string& path : paths) {
    p2p::MetainfoFile file;
    file.path = path;
    file.size_bytes = 100;
    file.offset = offset;
    file.is_pad = path.starts_with(".pad/");
    offset += file.size_bytes;
    metainfo.files.push_back(file);
  }
  return metainfo;
}

using Strings = std::vector<std::string>;

SelectionRequest Request(Strings select, Strings exclude = {},
                         Strings files = {},
                         std::vector<uint32_t> indices = {}) {
  SelectionRequest request;
  request.select = std::move(select);
  request.exclude = std::move(exclude);
  request.files = std::move(files);
  request.indices = std::move(indices);
  return request;
}

// The names of what is chosen, with a blank between.
std::string Chosen(const Metainfo& metainfo, const Selection& selection) {
  std::string names;
  for (size_t i = 0; i < selection.files.size(); ++i) {
    if (!selection.files[i]) continue;
    names += (names.empty() ? "" : " ") + metainfo.files[i].path;
  }
  return names;
}

struct GlobCase {
  const char* glob;
  const char* path;
  bool fits;
};

TEST(GlobTest, FollowsTheDialectThatTheHeaderStates) {
  const GlobCase cases[] = {
      {"*.json", "config.json", true},
      {"*.json", "sub/config.json", true},  // without '/': the last part
      {"*.json", "config.jsonl", false},
      {"*.JSON", "config.json", false},  // case counts
      {"sub/*.json", "sub/config.json", true},
      {"sub/*.json", "sub/deep/config.json", false},  // * stops at '/'
      {"sub/**", "sub/deep/config.json", true},
      {"sub/", "sub/deep/config.json", true},
      {"sub/", "subway/config.json", false},
      {"**/config.json", "config.json", true},  // no folder at all
      {"**/config.json", "a/b/config.json", true},
      {"a/**/b", "a/b", true},
      {"a/**/b", "a/x/y/b", true},
      {"a/**/b", "a/xb", false},
      {"a**b", "axyb", true},
      {"model-????\?-of-*.safetensors", "model-00001-of-00003.safetensors",
       true},
      {"model-????\?-of-*.safetensors", "model-1-of-3.safetensors", false},
      {"shard[0-3].bin", "shard2.bin", true},
      {"shard[0-3].bin", "shard4.bin", false},
      {"shard[!0-3].bin", "shard4.bin", true},
      {"shard[^0-3].bin", "shard3.bin", false},
      {"x[]]y", "x]y", true},  // a ] that comes first is meant itself
      {"x[!]]y", "x]y", false},
      {"x[a-]y", "x-y", true},
      {"?", "\xc3\xa9", true},  // one character of two bytes
      {"??", "\xc3\xa9", false},
      {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
      {"\\*", "*", true},
      {"\\*", "x", false},
      {"", "x", false},
      {"[a", "a", false},  // malformed: fits nothing
      {"a\\", "a", false},
      {"[b-a]", "a", false},
      {"*", "", true},
  };
  for (const GlobCase& c : cases) {
    EXPECT_EQ(GlobMatches(c.glob, c.path), c.fits) << c.glob << " " << c.path;
  }
}

TEST(GlobTest, TakesTimeOfTheProductAtMost) {
  // Doubling steps per star would never end.
  const std::string text(2000, 'a');
  std::string glob;
  for (int i = 0; i < 200; ++i) glob += "*a";
  EXPECT_TRUE(GlobMatches(glob, text));
  EXPECT_FALSE(GlobMatches(glob + "b", text));
  EXPECT_FALSE(GlobMatches(std::string(p2p::kMaxGlobBytes + 1, '*'), "a"));
}

TEST(SelectFilesTest, ChoosesByGlobIndexAndName) {
  const Metainfo metainfo = MakeMetainfo(
      {"LICENSE", "a, b.txt", "data/x.bin", ".pad/12", "data/y.bin"});
  struct Case {
    SelectionRequest request;
    std::string chosen;
  };
  const Case cases[] = {
      {{}, "LICENSE a, b.txt data/x.bin data/y.bin"},
      {Request({"LIC*"}), "LICENSE"},
      {Request({"LIC*", "y.bin"}), "LICENSE data/y.bin"},
      {Request({}, {"data/"}), "LICENSE a, b.txt"},
      {Request({"data/*"}, {"x.bin"}), "data/y.bin"},
      {Request({}, {}, {"0"}), "LICENSE"},
      {Request({}, {}, {"2-4"}), "data/x.bin data/y.bin"},  // 3 is padding
      {Request({}, {}, {"0,data/y.bin"}), "LICENSE data/y.bin"},
      {Request({}, {}, {"a, b.txt"}), "a, b.txt"},  // a comma in a name
      {Request({}, {}, {}, {0, 4}), "LICENSE data/y.bin"},
      {Request({"LICENSE"}, {}, {}, {4}), "LICENSE data/y.bin"},
  };
  for (const Case& c : cases) {
    const auto selection = p2p::SelectFiles(metainfo, c.request);
    ASSERT_TRUE(selection) << selection.error().ToString();
    EXPECT_EQ(Chosen(metainfo, *selection), c.chosen);
  }
}

TEST(SelectFilesTest, SaysWhatFitsNothingAndListsTheFiles) {
  const Metainfo metainfo = MakeMetainfo({"LICENSE", ".pad/12", "y.bin"});
  struct Case {
    SelectionRequest request;
    std::string says;
  };
  const Case cases[] = {
      {Request({"*.gguf"}), "--select \"*.gguf\" fits no file"},
      {Request({}, {"*.gguf"}), "--exclude \"*.gguf\" fits no file"},
      {Request({"[a"}), "not a pattern"},
      {Request({}, {}, {"license"}), "--files \"license\" is no index or file"},
      {Request({}, {}, {"3"}), "the last file is number 2"},
      {Request({}, {}, {"1"}), "file 1 is padding"},
      {Request({}, {}, {"2-1"}), "is no index or file"},
      {Request({}, {}, {"99999999999"}), "is no index or file"},
      {Request({}, {}, {""}), "is no index or file"},
      {Request({}, {}, {}, {7}), "so=7"},
      {Request({}, {"*"}), "no file of the torrent is left"},
  };
  for (const Case& c : cases) {
    const auto selection = p2p::SelectFiles(metainfo, c.request);
    ASSERT_FALSE(selection) << c.says;
    EXPECT_EQ(selection.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(selection.error().id, "E-SELECT");
    EXPECT_NE(selection.error().message.find(c.says), std::string::npos)
        << selection.error().message;
    if (c.says != "not a pattern") {
      EXPECT_NE(selection.error().hint.find("0 LICENSE, 2 y.bin"),
                std::string::npos)
          << selection.error().hint;
    }
  }
}

TEST(SelectFilesTest, ShardBringsIndexConfigurationAndTokenizer) {
  const Metainfo metainfo =
      MakeMetainfo({"README.md", "config.json", "m-00001-of-00002.safetensors",
                    "m-00002-of-00002.safetensors", "m.safetensors.index.json",
                    "other/config.json", "tokenizer.json"});
  const auto one = p2p::SelectFiles(metainfo, Request({"m-00002*"}));
  ASSERT_TRUE(one);
  EXPECT_EQ(Chosen(metainfo, *one),
            "config.json m-00002-of-00002.safetensors "
            "m.safetensors.index.json tokenizer.json");
  // The index was not asked for, so it does not pull the other shard.
  EXPECT_TRUE(one->shard_indexes.empty());
  const auto without =
      p2p::SelectFiles(metainfo, Request({"m-00002*"}, {"tokenizer*"}));
  ASSERT_TRUE(without);
  EXPECT_EQ(Chosen(metainfo, *without),
            "config.json m-00002-of-00002.safetensors "
            "m.safetensors.index.json");
  // so= of a magnet is meant to the letter.
  const auto exact = p2p::SelectFiles(metainfo, Request({}, {}, {}, {3}));
  ASSERT_TRUE(exact);
  EXPECT_EQ(Chosen(metainfo, *exact), "m-00002-of-00002.safetensors");
}

TEST(SelectFilesTest, ChosenIndexPullsItsShards) {
  const Metainfo metainfo =
      MakeMetainfo({"sub/a.safetensors", "sub/b.safetensors", "a.safetensors",
                    "sub/m.safetensors.index.json"});
  const SelectionRequest request = Request({"*.index.json"});
  auto selection = p2p::SelectFiles(metainfo, request);
  ASSERT_TRUE(selection);
  ASSERT_EQ(selection->shard_indexes, std::vector<size_t>{3});
  // Names are in the folder of the index.
  ASSERT_TRUE(
      p2p::AddShards(metainfo, request, 3, {"a.safetensors"}, *selection));
  EXPECT_EQ(Chosen(metainfo, *selection),
            "sub/a.safetensors sub/m.safetensors.index.json");
  const auto lacks =
      p2p::AddShards(metainfo, request, 3, {"c.safetensors"}, *selection);
  ASSERT_FALSE(lacks);
  EXPECT_EQ(lacks.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(lacks.error().id, "E-SHARD");
  EXPECT_NE(lacks.error().message.find("c.safetensors"), std::string::npos);
  // Excluded stays excluded.
  SelectionRequest no_b = request;
  no_b.exclude = {"b.safetensors"};
  ASSERT_TRUE(p2p::AddShards(metainfo, no_b, 3, {"b.safetensors"}, *selection));
  EXPECT_FALSE(selection->files[1]);
}

TEST(SelectionTest, CountsFilesAndBytes) {
  const Metainfo metainfo = MakeMetainfo({"a", ".pad/5", "b"});
  const auto all = p2p::SelectFiles(metainfo, {});
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->IsAll(metainfo));
  EXPECT_EQ(all->NumWanted(), 2u);
  EXPECT_EQ(all->WantedBytes(metainfo), 200u);
  const auto one = p2p::SelectFiles(metainfo, Request({"b"}));
  ASSERT_TRUE(one);
  EXPECT_FALSE(one->IsAll(metainfo));
  EXPECT_EQ(one->WantedBytes(metainfo), 100u);
}

}  // namespace
}  // namespace tests
