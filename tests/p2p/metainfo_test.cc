// SPDX-License-Identifier: Apache-2.0
// Long because: one table of broken torrents, a case for each rule.
#include "p2p/metainfo.h"

#include <gtest/gtest.h>

#include "tests/p2p/torrent_builder.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using tests::Dict;
using tests::FileSpec;
using tests::Int;
using tests::kPiece;
using tests::Leaf;
using tests::List;
using tests::Str;
using tests::Torrent;
using tests::V1Info;
using tests::V1SingleInfo;
using tests::V2Info;
using verify::AsBytes;
using verify::ErrorCode;

Metainfo MustParse(std::string_view torrent) {
  auto parsed = ParseMetainfo(AsBytes(torrent));
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    return {};
  }
  return std::move(*parsed);
}

void ExpectRefused(std::string_view torrent, ErrorCode code,
                   std::string_view id, std::string_view part) {
  const auto parsed = ParseMetainfo(AsBytes(torrent));
  ASSERT_FALSE(parsed.has_value()) << part;
  EXPECT_EQ(parsed.error().code, code) << parsed.error().message;
  EXPECT_EQ(parsed.error().id, id) << parsed.error().message;
  EXPECT_NE(parsed.error().message.find(part), std::string::npos)
      << parsed.error().message << " has no " << part;
  // One line that a terminal may see.
  EXPECT_EQ(verify::EscapeForTerminal(parsed.error().message, 1 << 20),
            parsed.error().message);
}

void ExpectCorrupt(const Dict& info, std::string_view part) {
  ExpectRefused(Torrent(info), ErrorCode::kCorrupt, "E-TORRENT", part);
}

std::vector<FileSpec> ModelFiles() {
  return {{{"params.json"}, 200, ""}, {{"w", "a.bin"}, 40000, ""}};
}

TEST(MetainfoTest, ReadsV1Folder) {
  const Metainfo metainfo = MustParse(
      Dict()
          .Set("announce", Str("udp://a.example:1/announce"))
          .Set(
              "announce-list",
              List({List({Str("udp://b.example:1"), Str("http://c.example/a")}),
                    List({Str("udp://a.example:1/announce"), Str("")})}))
          .Set("comment", Str("a\xFF model"))
          .Set("creation date", Int(1))
          .Set("info", V1Info(ModelFiles()).Set("private", Int(1)).Encode())
          .Set("url-list", Str("https://d.example/"))
          .Encode());
  EXPECT_EQ(metainfo.name, "model");
  EXPECT_FALSE(metainfo.single_file);
  ASSERT_EQ(metainfo.files.size(), 2u);
  EXPECT_EQ(metainfo.files[1].path, "w/a.bin");
  EXPECT_EQ(metainfo.files[1].size_bytes, 40000u);
  EXPECT_EQ(metainfo.files[1].offset, 200u);
  EXPECT_EQ(metainfo.total_bytes(), 40200u);
  EXPECT_EQ(metainfo.num_pieces(), 3u);
  EXPECT_EQ(metainfo.piece_digests.size(), 3u);
  EXPECT_TRUE(metainfo.is_private);
  EXPECT_EQ(metainfo.comment, "a\xEF\xBF\xBD model");
  EXPECT_EQ(metainfo.trackers,
            (std::vector<std::string>{"udp://b.example:1", "http://c.example/a",
                                      "udp://a.example:1/announce"}));
  EXPECT_EQ(metainfo.web_seeds, std::vector<std::string>{"https://d.example/"});
  EXPECT_TRUE(metainfo.warnings.empty());
  EXPECT_TRUE(metainfo.info_hashes.v1.has_value());
  EXPECT_FALSE(metainfo.info_hashes.v2.has_value());
}

TEST(MetainfoTest, ReadsV1File) {
  const Dict info = V1SingleInfo("model.gguf", 16384);
  const Metainfo metainfo = MustParse(Torrent(info));
  EXPECT_TRUE(metainfo.single_file);
  EXPECT_EQ(metainfo.name, "model.gguf");
  ASSERT_EQ(metainfo.files.size(), 1u);
  EXPECT_EQ(metainfo.files[0].path, "model.gguf");
  EXPECT_EQ(metainfo.num_pieces(), 1u);
  // The info dictionary alone gives the same.
  const auto alone = ParseInfoDictionary(AsBytes(info.Encode()));
  ASSERT_TRUE(alone.has_value());
  EXPECT_EQ(alone->info_hashes, metainfo.info_hashes);
}

TEST(MetainfoTest, InfoHashIsOverTheRawBytes) {
  // By hand: sha1sum and sha256sum of the same text.
  const std::string v1 =
      "d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:"
      "ppppppppppppppppppppe";
  const Metainfo one = MustParse("d4:info" + v1 + "e");
  EXPECT_EQ(verify::HexEncode(*one.info_hashes.v1),
            "5780fed8f6a0e2d31f25f640f48395c74f365a8e");
  const std::string v2 =
      "d9:file treed1:ad0:d6:lengthi5e11:pieces root32:"
      "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrreee12:meta versioni2e4:name1:a"
      "12:piece lengthi16384ee";
  const Metainfo two = MustParse("d4:info" + v2 + "e");
  EXPECT_EQ(verify::HexEncode(*two.info_hashes.v2),
            "95c49231cd7ffd83b3872185603eb9c37197692ca1f054d48bafbee9ddf2d06b");
  EXPECT_FALSE(two.info_hashes.v1.has_value());
  EXPECT_TRUE(two.single_file);
}

TEST(MetainfoTest, A9TruncationAndFlipsNeverCrash) {
  const std::string whole = Torrent(V1Info(ModelFiles()));
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = ParseMetainfo(AsBytes(whole.substr(0, size)));
    ASSERT_FALSE(parsed.has_value()) << size;
    EXPECT_EQ(parsed.error().id, "E-TORRENT");
  }
  const InfoHashes original = MustParse(whole).info_hashes;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto parsed = ParseMetainfo(AsBytes(flipped));
      // What still keeps every rule is another torrent.
      if (parsed) {
        EXPECT_NE(parsed->info_hashes, original) << flipped;
      } else {
        EXPECT_FALSE(parsed.error().id.empty());
      }
    }
  }
}

// Case A9.
TEST(MetainfoTest, A9RefusesWhatIsNoCanonicalBencode) {
  const std::string good = Torrent(V1SingleInfo("a", 5));
  for (const auto& [torrent, part] :
       std::vector<std::pair<std::string, std::string>>{
           {"", "no bytes at all"},
           {"hello", "neither integer"},
           {"<html>", "neither integer"},
           {good + "\n", "behind the end"},
           {good.substr(0, 10), ""},
           {"d4:infod6:lengthi05ee", "begins with 0"},
           {"d4:infod6:lengthi-0ee", "begins with 0"},
           {"d4:infod6:lengthi99999999999999999999ee", "beyond 64 bits"},
           {"d4:infod4:name1:a6:lengthi5eee", "out of order"},
           {"d4:infod4:name1:a4:name1:aee", "twice"},
           {"d4:infod4:name99999999999999999999:a", "remain"},
           {"le", "no dictionary"},
           {"de", "no \"info\""},
           {"d4:info0:e", "info is no dictionary"},
       }) {
    ExpectRefused(torrent, ErrorCode::kCorrupt, "E-TORRENT", part);
  }
  ExpectRefused(std::string(1000, 'l') + std::string(1000, 'e'),
                ErrorCode::kLimit, "E-TORRENT", "deep");
  ExpectRefused(std::string(kMaxMetainfoBytes + 1, 'l'), ErrorCode::kLimit,
                "E-TORRENT", "bytes of metainfo");
}

// Case A10.
TEST(MetainfoTest, A10RefusesBadSizes) {
  constexpr int64_t kHuge = INT64_MAX;
  ExpectCorrupt(V1SingleInfo("a", 5).Set("length", Int(-1)),
                "\"length\" is -1");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("length", Str("5")), "no number");
  ExpectCorrupt(V1SingleInfo("a", 0), "no content");
  ExpectCorrupt(V1Info({}), "no content");
  ExpectCorrupt(V1Info({{{"a"}, 0, ""}}), "no content");
  for (const int64_t length :
       {int64_t{0}, int64_t{-16384}, int64_t{1}, int64_t{8192}, int64_t{16383},
        int64_t{49152}, int64_t{1} << 30, kHuge}) {
    ExpectCorrupt(V1SingleInfo("a", 5).Set("piece length", Int(length)),
                  "piece length");
  }
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("piece length"), "piece length");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("pieces"), "\"pieces\"");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("pieces", Int(1)), "\"pieces\"");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("pieces", Str("")), "\"pieces\"");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("pieces", Str(std::string(21, 'p'))),
                "\"pieces\" holds 21");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("pieces", Str(std::string(40, 'p'))),
                "\"pieces\" holds 40");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("length"), "neither");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("files", "le"), "both");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("name"), "\"name\"");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("length").Set("files", "de"),
                "no list");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("length").Set("files", "l0:e"),
                "no dictionary");
  ExpectCorrupt(
      V1SingleInfo("a", 5).Erase("length").Set("files", "ld6:lengthi5eee"),
      "\"path\"");
  ExpectCorrupt(V1SingleInfo("a", 5).Erase("length").Set(
                    "files", "ld6:lengthi5e4:pathli1eeee"),
                "no text");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("private", Str("1")), "private");
  // Sizes that are right one by one and overflow together.
  Dict entry;
  entry.Set("length", Int(kHuge)).Set("path", List({Str("a")}));
  Dict other;
  other.Set("length", Int(kHuge)).Set("path", List({Str("b")}));
  Dict third;
  third.Set("length", Int(kHuge)).Set("path", List({Str("c")}));
  ExpectCorrupt(
      V1SingleInfo("m", 5).Erase("length").Set(
          "files", List({entry.Encode(), other.Encode(), third.Encode()})),
      "beyond 64 bits");
}

TEST(MetainfoTest, A10RefusesTooManyPieces) {
  const int64_t size = (int64_t{1} << 21) * kPiece + 1;
  ExpectRefused(Torrent(V1SingleInfo("a", 5).Set("length", Int(size))),
                ErrorCode::kLimit, "E-TORRENT", "2097153 pieces");
  ExpectRefused(Torrent(V2Info(Dict().Set("a", Leaf(size)).Encode())),
                ErrorCode::kLimit, "E-TORRENT", "2097152 pieces");
}

// Case A13.
TEST(MetainfoTest, A13RefusesPathsThatLeaveTheFolder) {
  for (const std::string_view part :
       {"..", ".", "", "/", "/etc", "a/b", "a\\b", "\\\\server\\share",
        "C:", "c:\\x", "C:x"}) {
    const std::string bad(part);
    ExpectRefused(Torrent(V1Info({{{"x", bad}, 5, ""}})), ErrorCode::kCorrupt,
                  "E-PATH", verify::EscapeForTerminal("x/" + bad));
    ExpectRefused(Torrent(V1Info({{{bad, "x"}, 5, ""}})), ErrorCode::kCorrupt,
                  "E-PATH", "\"");
    ExpectRefused(Torrent(V1Info({{{"x"}, 5, ""}}, bad)), ErrorCode::kCorrupt,
                  "E-PATH", "\"");
    ExpectRefused(Torrent(V1SingleInfo(bad, 5)), ErrorCode::kCorrupt, "E-PATH",
                  "\"");
    ExpectRefused(
        Torrent(V2Info(Dict()
                           .Set("x", Dict().Set("y", Leaf(5)).Encode())
                           .Set("z", Leaf(5))
                           .Encode(),
                       bad)),
        ErrorCode::kCorrupt, "E-PATH", "\"");
    if (!bad.empty()) {
      ExpectRefused(
          Torrent(V2Info(
              Dict().Set("x", Dict().Set(bad, Leaf(5)).Encode()).Encode())),
          ErrorCode::kCorrupt, "E-PATH", "x/");
    }
  }
  ExpectRefused(Torrent(V1Info({{{}, 5, ""}})), ErrorCode::kCorrupt, "E-PATH",
                "an empty path");
}

TEST(MetainfoTest, A13NamesEveryOffender) {
  ExpectRefused(
      Torrent(V1Info({{{"..", "a"}, 5, ""}, {{"b", "..", "c"}, 5, ""}})),
      ErrorCode::kCorrupt, "E-PATH",
      "\"../a\": the part \"..\"; \"b/../c\": the part \"..\"");
  std::vector<FileSpec> many;
  for (int i = 0; i < 500; ++i) {
    many.push_back({{"..", std::to_string(i)}, 5, ""});
  }
  ExpectRefused(Torrent(V1Info(many)), ErrorCode::kCorrupt, "E-PATH",
                "and 480 more");
}

// Case A14.
TEST(MetainfoTest, A14RefusesNamesThatWouldBeAltered) {
  for (const std::string_view part :
       {std::string_view("a\xFF"), std::string_view("a\xC0\xAF"),
        std::string_view("a\0b", 3), std::string_view("a\nb"),
        std::string_view("a\x7F"), std::string_view("a\xC2\x85"),
        std::string_view("a\xE2\x80\xAEgpj.exe"),
        std::string_view("a\xE2\x80\x8B"),
        std::string_view("\xEF\xBB\xBF"
                         "a"),
        std::string_view("a\xE2\x81\xA6")}) {
    ExpectRefused(Torrent(V1Info({{{std::string(part)}, 5, ""}})),
                  ErrorCode::kCorrupt, "E-NAME-ALTERED", "\"");
    ExpectRefused(
        Torrent(V2Info(Dict().Set(part, Leaf(5)).Set("x", Leaf(5)).Encode())),
        ErrorCode::kCorrupt, "E-NAME-ALTERED", "\"");
  }
  ExpectRefused(Torrent(V1Info({{{std::string(240, 'a')}, 5, ""}})),
                ErrorCode::kCorrupt, "E-NAME-ALTERED", "240 bytes");
  MustParse(Torrent(V1Info({{{std::string(239, 'a')}, 5, ""}})));
  // libtorrent prefers these keys.
  ExpectRefused(Torrent(V1SingleInfo("a", 5).Set("name.utf-8", Str("b"))),
                ErrorCode::kCorrupt, "E-NAME-ALTERED", "name.utf-8");
  MustParse(Torrent(V1SingleInfo("a", 5).Set("name.utf-8", Str("a"))));
  ExpectRefused(
      Torrent(
          V1Info({{{"a"}, 5, ""}})
              .Set("files", "ld6:lengthi5e4:pathl1:ae10:path.utf-8l1:beee")),
      ErrorCode::kCorrupt, "E-NAME-ALTERED", "path.utf-8");
}

// Case A15.
TEST(MetainfoTest, A15RefusesNamesThatCollide) {
  const auto refuse = [](std::vector<std::string> a, std::vector<std::string> b,
                         std::string_view part) {
    ExpectRefused(Torrent(V1Info({{a, 5, ""}, {b, 5, ""}})),
                  ErrorCode::kCorrupt, "E-NAME-COLLISION", part);
  };
  refuse({"a"}, {"a"}, "there twice");
  refuse({"Model.bin"}, {"model.BIN"}, "where case is ignored");
  refuse({"w", "a"}, {"W", "b"}, "where case is ignored");
  refuse({"a"}, {"a", "b"}, "both file and folder");
  refuse({"a", "b"}, {"a"}, "both file and folder");
  refuse({"a"}, {"A", "b"}, "where case is ignored");
  refuse({"caf\xC3\xA9"}, {"cafe\xCC\x81"}, "where case is ignored");
  refuse({"a"}, {"a."}, "where case is ignored");
  ExpectRefused(
      Torrent(V2Info(Dict().Set("A", Leaf(5)).Set("a", Leaf(5)).Encode())),
      ErrorCode::kCorrupt, "E-NAME-COLLISION", "where case is ignored");
  // A v2 entry that is a file and a folder at once.
  const std::string leaf = Leaf(5);
  const std::string both =
      leaf.substr(0, leaf.size() - 1) + Str("x") + Leaf(5) + "e";
  ExpectRefused(
      Torrent(V2Info(Dict().Set("a", both).Set("b", Leaf(5)).Encode())),
      ErrorCode::kCorrupt, "E-NAME-COLLISION", "both a file and a folder");
}

// Case A16: left to the caller, who may insist on portable names.
TEST(MetainfoTest, A16ListsNamesThatOtherSystemsCannotStore) {
  const Metainfo metainfo =
      MustParse(Torrent(V1Info({{{"CON"}, 5, ""},
                                {{"aux.txt"}, 5, ""},
                                {{"model.safetensors "}, 5, ""},
                                {{"dot."}, 5, ""},
                                {{"ab:c"}, 5, ""},
                                {{".hidden"}, 5, ""},
                                {{"-rf"}, 5, ""},
                                {{"fine"}, 5, ""}})));
  ASSERT_EQ(metainfo.portability.size(), 7u);
  EXPECT_EQ(metainfo.portability[1],
            "\"aux.txt\": \"aux.txt\" is reserved on Windows");
  EXPECT_TRUE(metainfo.warnings.empty());
}

// Case A17.
TEST(MetainfoTest, A17RefusesSymlinksAndReportsOtherAttributes) {
  ExpectRefused(Torrent(V1Info({{{"a"}, 5, ""}, {{"b"}, 0, "l"}})),
                ErrorCode::kCorrupt, "E-SYMLINK", "\"b\": a symlink");
  ExpectRefused(
      Torrent(V1SingleInfo("a", 5).Set("symlink path", List({Str("x")}))),
      ErrorCode::kCorrupt, "E-SYMLINK", "a symlink");
  const std::string leaf =
      Dict()
          .Set("", Dict().Set("attr", Str("l")).Set("length", Int(0)).Encode())
          .Encode();
  ExpectRefused(
      Torrent(V2Info(Dict().Set("a", leaf).Set("b", Leaf(5)).Encode())),
      ErrorCode::kCorrupt, "E-SYMLINK", "a symlink");
  const Metainfo metainfo = MustParse(Torrent(V1Info({{{"a"}, 5, "xh"}})));
  ASSERT_EQ(metainfo.warnings.size(), 1u);
  EXPECT_EQ(metainfo.warnings[0], "\"a\": attributes \"xh\" ignored");
}

// Case A18.
TEST(MetainfoTest, A18RefusesPadsThatHideContent) {
  ExpectRefused(Torrent(V1Info({{{"a"}, 5, ""}, {{"b"}, 5, "p"}})),
                ErrorCode::kCorrupt, "E-PAD", "outside of .pad");
  ExpectRefused(Torrent(V1Info({{{"a"}, 5, ""}, {{".pad"}, 5, "p"}})),
                ErrorCode::kCorrupt, "E-PAD", "outside of .pad");
  ExpectRefused(
      Torrent(V1Info({{{"a"}, 5, ""}, {{".pad", "16384"}, 16384, "p"}})),
      ErrorCode::kCorrupt, "E-PAD", "not less than a piece");
  ExpectRefused(Torrent(V1Info({{{"a"}, 5, ""}, {{".pad", ".."}, 5, "p"}})),
                ErrorCode::kCorrupt, "E-PATH", "..");
  ExpectRefused(Torrent(V1SingleInfo("a", 5).Set("attr", Str("p"))),
                ErrorCode::kCorrupt, "E-PAD", "only file");
  const Metainfo metainfo =
      MustParse(Torrent(V1Info({{{"a"}, 5, ""},
                                {{".pad", "16379"}, 16379, "p"},
                                {{"b"}, 5, ""},
                                {{".pad", "16379"}, 16379, "p"},
                                {{"c"}, 5, ""}})));
  EXPECT_EQ(metainfo.files.size(), 5u);
  EXPECT_TRUE(metainfo.files[1].is_pad);
  EXPECT_EQ(metainfo.total_bytes(), 15u);
  EXPECT_EQ(metainfo.num_pieces(), 3u);
}

// Case A19.
TEST(MetainfoTest, A19RefusesTooMuch) {
  std::vector<std::string> deep(101, "d");
  ExpectRefused(Torrent(V1Info({{deep, 5, ""}})), ErrorCode::kLimit,
                "E-TORRENT", "101 parts");
  std::string tree = Leaf(5);
  for (int i = 0; i < 101; ++i) {
    tree = Dict().Set("d", tree).Encode();
    if (i == 99) MustParse(Torrent(V2Info(tree)));
  }
  ExpectRefused(Torrent(V2Info(tree)), ErrorCode::kLimit, "E-TORRENT",
                "more than 100 parts");
  std::vector<std::string> wide(13, std::string(239, 'w'));
  ExpectRefused(Torrent(V1Info({{wide, 5, ""}})), ErrorCode::kCorrupt, "E-PATH",
                "a path of 3119 bytes");
}

TEST(MetainfoTest, RefusesPathsThatGrowInMemory) {
  // 2,900 bytes of folders once, then 25,000 files below them: a megabyte of
  // metainfo that would spell 72 MB of paths.
  std::string files;
  for (int i = 10000; i < 35000; ++i) {
    files += "5:" + std::to_string(i) + "d0:d6:lengthi0eee";
  }
  std::string tree = "d" + files + "e";
  for (int i = 0; i < 14; ++i) {
    tree = Dict().Set(std::string(207, 'f'), tree).Encode();
  }
  ExpectRefused(Torrent(V2Info(tree)), ErrorCode::kLimit, "E-TORRENT",
                "paths of more than");
}

// Case A11. Layers that are right are compared with libtorrent in
// create_torrent_test.cc.
TEST(MetainfoTest, A11RefusesBadPieceLayers) {
  const auto torrent = [](std::string layers) {
    return Dict()
        .Set("info",
             V2Info(Dict().Set("a", Leaf(kPiece + 1)).Encode(), "a").Encode())
        .Set("piece layers", std::move(layers))
        .Encode();
  };
  const auto refuse = [&](std::string layers, std::string_view part) {
    ExpectRefused(torrent(std::move(layers)), ErrorCode::kCorrupt, "E-TORRENT",
                  part);
  };
  const std::string root(32, 'r');
  refuse("de", "no piece layer for \"a\"");
  refuse("le", "no dictionary");
  refuse(Dict().Set(root, Str(std::string(63, 'x'))).Encode(), "63 bytes");
  refuse(Dict().Set(root, Str(std::string(96, 'x'))).Encode(), "96 bytes");
  refuse(Dict().Set(root, Int(1)).Encode(), "0 bytes");
  refuse(Dict().Set(root, Str(std::string(64, 'x'))).Encode(),
         "does not lead to its root");
  refuse(Dict().Set(std::string(32, 'q'), Str(std::string(64, 'x'))).Encode(),
         "no file longer than a piece");
  ExpectRefused(
      Torrent(V2Info(Dict().Set("a", Leaf(kPiece + 1)).Encode(), "a")),
      ErrorCode::kCorrupt, "E-TORRENT", "no piece layer");
  // From peers the info dictionary comes without its layers.
  EXPECT_TRUE(
      ParseInfoDictionary(
          AsBytes(
              V2Info(Dict().Set("a", Leaf(kPiece + 1)).Encode(), "a").Encode()))
          .has_value());
}

TEST(MetainfoTest, RefusesBadFileTrees) {
  const auto refuse = [](std::string tree, std::string_view part) {
    ExpectCorrupt(V2Info(std::move(tree)), part);
  };
  refuse("le", "file tree");
  refuse("de", "no content");
  refuse(Dict().Set("a", "de").Encode(), "neither a file nor a folder");
  refuse(Dict().Set("a", Int(1)).Encode(), "neither a file nor a folder");
  refuse(Dict().Set("a", Dict().Set("", Int(1)).Encode()).Encode(),
         "no dictionary");
  refuse(Dict().Set("a", Dict().Set("", "de").Encode()).Encode(), "length");
  refuse(Dict().Set("a", Leaf(-5)).Encode(), "-5");
  refuse(Dict().Set("a", Leaf(5, '\0')).Encode(), "is zero");
  const auto leaf = [](Dict file) {
    return Dict().Set("a", Dict().Set("", file.Encode()).Encode()).Encode();
  };
  refuse(leaf(Dict().Set("length", Int(5))), "no pieces root");
  refuse(leaf(Dict()
                  .Set("length", Int(0))
                  .Set("pieces root", Str(std::string(32, 'r')))),
         "has a pieces root");
  refuse(leaf(Dict()
                  .Set("length", Int(5))
                  .Set("pieces root", Str(std::string(31, 'r')))),
         "no SHA-256");
  refuse(leaf(Dict().Set("length", Int(5)).Set("pieces root", Int(1))),
         "no SHA-256");
  refuse(Dict().Set("a", Leaf(5)).Set("b", Leaf(6)).Encode(),
         "has the pieces root of one of 5 bytes");
  ExpectCorrupt(V1SingleInfo("a", 5).Set("file tree", "de"),
                "without a \"meta version\"");
  ExpectRefused(Torrent(V1SingleInfo("a", 5).Set("meta version", Int(3))),
                ErrorCode::kUnsupported, "E-TORRENT", "meta version 3");
}

Dict HybridInfo(const std::vector<FileSpec>& v1, std::string tree) {
  return V1Info(v1)
      .Set("file tree", std::move(tree))
      .Set("meta version", Int(2));
}

// Case A12.
TEST(MetainfoTest, A12HybridHalvesMustAgree) {
  const std::string tree =
      Dict().Set("a", Leaf(5, 'a')).Set("b", Leaf(7, 'b')).Encode();
  const FileSpec pad = {{".pad", "16379"}, 16379, "p"};
  const Metainfo metainfo = MustParse(
      Torrent(HybridInfo({{{"a"}, 5, ""}, pad, {{"b"}, 7, ""}}, tree)));
  EXPECT_TRUE(metainfo.info_hashes.v1.has_value());
  EXPECT_TRUE(metainfo.info_hashes.v2.has_value());
  ASSERT_EQ(metainfo.files.size(), 3u);
  EXPECT_EQ((*metainfo.files[2].pieces_root)[0], std::byte{'b'});
  EXPECT_FALSE(metainfo.files[1].pieces_root.has_value());

  const auto refuse = [&](const std::vector<FileSpec>& v1,
                          std::string_view part) {
    ExpectCorrupt(HybridInfo(v1, tree), part);
  };
  refuse({{{"a"}, 5, ""}, pad, {{"c"}, 7, ""}}, "in the same place");
  refuse({{{"a"}, 5, ""}, pad, {{"b"}, 8, ""}}, "in the same place");
  refuse({{{"b"}, 7, ""}, pad, {{"a"}, 5, ""}}, "in the same place");
  refuse({{{"a"}, 5, ""}}, "in v2 only");
  refuse({{{"a"}, 5, ""}, pad, {{"b"}, 7, ""}, {{"c"}, 0, ""}}, "in v1 only");
  refuse({{{"a"}, 5, ""}, {{"b"}, 7, ""}}, "begins at byte 5 in v1");
  ExpectCorrupt(
      HybridInfo({{{"a"}, 5, ""}, pad, {{"b"}, 7, ""}}, tree).Erase("pieces"),
      "no \"pieces\"");
  ExpectCorrupt(
      V1SingleInfo("a", 5).Set("file tree", tree).Set("meta version", Int(2)),
      "single file");
}

// libtorrent 2.0.8 writes the only file of a v2 torrent under its own name,
// not into a folder of the torrent's.
TEST(MetainfoTest, RefusesOnlyFileOfV2UnderAnotherName) {
  const std::string tree = Dict().Set("a", Leaf(5)).Encode();
  ExpectRefused(Torrent(V2Info(tree, "model")), ErrorCode::kCorrupt,
                "E-NAME-ALTERED", "must bear its name");
  EXPECT_TRUE(MustParse(Torrent(V2Info(tree, "a"))).single_file);
  const Metainfo hybrid =
      MustParse(Torrent(HybridInfo({{{"a"}, 5, ""}}, tree)));
  EXPECT_FALSE(hybrid.single_file);
}

TEST(MetainfoTest, PieceRangesAreByHand) {
  // 200 bytes, 40000 bytes, an empty file, a pad, 5 bytes.
  const Metainfo v1 = MustParse(Torrent(V1Info({{{"a"}, 200, ""},
                                                {{"b"}, 40000, ""},
                                                {{"c"}, 0, ""},
                                                {{".pad", "1"}, 8952, "p"},
                                                {{"d"}, 5, ""}})));
  ASSERT_EQ(v1.num_pieces(), 4u);
  using Ranges = std::vector<FileRange>;
  EXPECT_EQ(PieceRanges(v1, 0), (Ranges{{0, 0, 200}, {1, 0, 16184}}));
  EXPECT_EQ(PieceRanges(v1, 1), (Ranges{{1, 16184, 16384}}));
  EXPECT_EQ(PieceRanges(v1, 2), (Ranges{{1, 32568, 7432}}));
  EXPECT_EQ(PieceRanges(v1, 3), (Ranges{{4, 0, 5}}));
  EXPECT_EQ(PieceRanges(v1, 4), Ranges{});
  EXPECT_EQ(PieceRanges(v1, UINT32_MAX), Ranges{});

  const auto v2 =
      ParseInfoDictionary(AsBytes(V2Info(Dict()
                                             .Set("a", Leaf(200, 'a'))
                                             .Set("b", Leaf(20000, 'b'))
                                             .Set("c", Leaf(0))
                                             .Set("d", Leaf(5, 'd'))
                                             .Encode())
                                      .Encode()));
  ASSERT_TRUE(v2.has_value());
  ASSERT_EQ(v2->num_pieces(), 4u);
  EXPECT_EQ(PieceRanges(*v2, 0), (Ranges{{0, 0, 200}}));
  EXPECT_EQ(PieceRanges(*v2, 1), (Ranges{{1, 0, 16384}}));
  EXPECT_EQ(PieceRanges(*v2, 2), (Ranges{{1, 16384, 3616}}));
  EXPECT_EQ(PieceRanges(*v2, 3), (Ranges{{3, 0, 5}}));
}

TEST(MetainfoTest, TorrentFromInfoKeepsTheInfoBytes) {
  const std::string info = V1Info(ModelFiles()).Encode();
  const auto torrent =
      TorrentFromInfo(AsBytes(info), {"udp://a.example:1", "udp://b.example:2"},
                      {"https://c.example/"});
  EXPECT_NE(verify::AsText(torrent).find(info), std::string_view::npos);
  const Metainfo metainfo = MustParse(verify::AsText(torrent));
  EXPECT_EQ(metainfo.trackers, (std::vector<std::string>{"udp://a.example:1",
                                                         "udp://b.example:2"}));
  EXPECT_EQ(metainfo.web_seeds, std::vector<std::string>{"https://c.example/"});
  const auto bare = TorrentFromInfo(AsBytes(info), {}, {});
  EXPECT_EQ(verify::AsText(bare), "d4:info" + info + "e");
}

TEST(MetainfoTest, UrlsThatAreNoneAreLeftOut) {
  const Metainfo metainfo = MustParse(
      Dict()
          .Set("announce", Int(1))
          .Set("announce-list",
               List({Str("udp://flat.example:1"), List({Str("\xFF")}),
                     List({Int(1)}), List({Str(std::string(9000, 'u'))})}))
          .Set("comment", Int(1))
          .Set("info", V1SingleInfo("a", 5).Encode())
          .Set("url-list", List({Str("")}))
          .Encode());
  EXPECT_EQ(metainfo.trackers,
            std::vector<std::string>{"udp://flat.example:1"});
  EXPECT_TRUE(metainfo.web_seeds.empty());
  EXPECT_EQ(metainfo.warnings.size(), 4u);
}

}  // namespace
}  // namespace p2p
