// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/expect_error.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

// Written by hand after docs/formats/manifest.md; the digests of "abc" and of
// no bytes are those of FIPS 180-2.
constexpr std::string_view kText = R"({
  "expires": "2030-01-01T00:00:00Z",
  "files": [
    {
      "path": "a/empty",
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "size": 0
    },
    {
      "path": "b.txt",
      "pieces_root": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "size": 3
    }
  ],
  "fingerprint": {
    "scale": 0.5
  },
  "format": "lodestone-manifest",
  "format_version": 1,
  "issued": "2026-01-31T10:00:00Z",
  "license": "Apache-2.0",
  "model": "demo",
  "params": {
    "dim": 256,
    "family": "mixtral"
  },
  "publisher": {
    "key": "00112233445566ff",
    "name": "Ann"
  },
  "recipe": {
    "type": "q8_0"
  },
  "torrent": {
    "info_hash_v1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "info_hash_v2": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "magnet": "magnet:?xt=urn:btih:a9993e364706816aba3e25717850c26c9cd0d89d",
    "name": "demo",
    "piece_length": 16384,
    "single_file": false
  },
  "version": 3
}
)";

Manifest Sample() {
  auto manifest = ParseManifest(kText);
  EXPECT_TRUE(manifest.has_value()) << manifest.error().ToString();
  return manifest ? *std::move(manifest) : Manifest();
}

// kText with the one place `from` written as `to`.
std::string With(std::string_view from, std::string_view to) {
  std::string text(kText);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ManifestTest, ReadsEveryField) {
  const Manifest manifest = Sample();
  EXPECT_EQ(manifest.model, "demo");
  EXPECT_EQ(manifest.version, 3u);
  EXPECT_EQ(manifest.publisher_name, "Ann");
  EXPECT_EQ(manifest.publisher_key, "00112233445566ff");
  EXPECT_EQ(manifest.issued_s, 1'769'853'600);  // date -u -d ... +%s
  EXPECT_EQ(manifest.expires_s, 1'893'456'000);
  EXPECT_EQ(manifest.license, "Apache-2.0");
  ASSERT_EQ(manifest.files.size(), 2u);
  EXPECT_EQ(manifest.files[0].path, "a/empty");
  EXPECT_EQ(manifest.files[0].size_bytes, 0u);
  EXPECT_FALSE(manifest.files[0].pieces_root.has_value());
  EXPECT_EQ(manifest.files[1].size_bytes, 3u);
  EXPECT_EQ(HexEncode(manifest.files[1].sha256).substr(0, 8), "ba7816bf");
  EXPECT_TRUE(manifest.files[1].pieces_root.has_value());
  EXPECT_EQ(HexEncode(*manifest.torrent.info_hash_v1).substr(0, 8), "a9993e36");
  EXPECT_TRUE(manifest.torrent.info_hash_v2.has_value());
  EXPECT_EQ(manifest.torrent.piece_length, 16384u);
  EXPECT_FALSE(manifest.torrent.single_file);
  EXPECT_EQ(manifest.params["dim"], 256);
  EXPECT_EQ(manifest.recipe["type"], "q8_0");
  EXPECT_EQ(manifest.fingerprint["scale"], 0.5);
}

TEST(ManifestTest, TheSameContentGivesTheSameBytes) {
  const auto text = FormatManifest(Sample());
  ASSERT_TRUE(text.has_value()) << text.error().ToString();
  EXPECT_EQ(*text, kText);
}

TEST(ManifestTest, LeavesOutWhatIsNotSaid) {
  Manifest manifest = Sample();
  manifest.publisher_key.clear();
  manifest.license.clear();
  manifest.issued_s.reset();
  manifest.expires_s.reset();
  manifest.torrent.info_hash_v2.reset();
  manifest.files[1].pieces_root.reset();
  manifest.params = manifest.recipe = manifest.fingerprint = Json();
  const auto text = FormatManifest(manifest);
  ASSERT_TRUE(text.has_value()) << text.error().ToString();
  for (const std::string_view key :
       {"key", "license", "issued", "expires", "v2", "root", "params", "recipe",
        "fingerprint"}) {
    EXPECT_EQ(text->find(StrCat(key, "\":")), std::string::npos) << key;
  }
  const auto read = ParseManifest(*text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, manifest);
}

// One content has one text: what is signed is what is read.
TEST(ManifestTest, RefusesAnotherLayout) {
  const std::string text(kText);
  for (const std::string& other :
       {" " + text, text + "\n", text.substr(0, text.size() - 1), text + " ",
        With("\"size\": 3", "\"size\":3"), With("Ann", "\\u0041nn"),
        With("  \"model\"", "\t\"model\""), With("0.5", "0.50"),
        With("0.5", "5e-1"), With("  \"version\": 3", "  \"version\": 03"),
        "\xEF\xBB\xBF" + text, With("{\n", "{\r\n")}) {
    const auto result = ParseManifest(other);
    ASSERT_FALSE(result.has_value()) << other.substr(0, 60);
    EXPECT_EQ(result.error().id, "E-MANIFEST");
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
  ExpectError(ParseManifest(text + "\n"), ErrorCode::kCorrupt, "canonical",
              "E-MANIFEST");
}

TEST(ManifestTest, RefusesKeysThatStandTwice) {
  ExpectError(ParseManifest(With("\"model\": \"demo\",",
                                 "\"model\": \"demo\",\n  \"model\": \"x\",")),
              ErrorCode::kCorrupt, "twice", "E-JSON-DUPLICATE");
  ExpectError(
      ParseManifest(With("\"size\": 3", "\"size\": 3,\n      \"size\": 4")),
      ErrorCode::kCorrupt, "twice", "E-JSON-DUPLICATE");
}

TEST(ManifestTest, RefusesWhatALaterVersionMaySay) {
  ExpectError(
      ParseManifest(With("\"format_version\": 1", "\"format_version\": 2")),
      ErrorCode::kUnsupported, "format version 2", "E-MANIFEST");
  ExpectError(ParseManifest(With("\"model\"", "\"magic\": 1,\n  \"model\"")),
              ErrorCode::kUnsupported, "\"magic\"", "E-MANIFEST");
  ExpectError(ParseManifest(With("\"size\": 3", "\"mode\": 3")),
              ErrorCode::kUnsupported, "\"mode\"", "E-MANIFEST");
  ExpectError(ParseManifest(With("\"key\"", "\"kez\"")),
              ErrorCode::kUnsupported, "\"kez\"", "E-MANIFEST");
  ExpectError(ParseManifest(With("\"single_file\"", "\"singular\"")),
              ErrorCode::kUnsupported, "\"singular\"", "E-MANIFEST");
}

TEST(ManifestTest, RefusesWrongTypesAndValues) {
  for (const auto& [from, to] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"\"size\": 3", "\"size\": -3"},
           {"\"size\": 3", "\"size\": 3.0"},
           {"\"size\": 3", "\"size\": 18446744073709551616"},
           {"\"size\": 3", "\"size\": 9007199254740993"},
           {"\"size\": 3", "\"size\": \"3\""},
           {"\"version\": 3", "\"version\": 0"},
           {"\"version\": 3", "\"version\": null"},
           {"\"name\": \"Ann\"", "\"name\": \"\""},
           {"\"name\": \"Ann\"", "\"name\": \"A\\u001b[2J\""},
           {"\"license\": \"Apache-2.0\"", "\"license\": \"\""},
           {"\"issued\": \"2026-01-31T10:00:00Z\"",
            "\"issued\": \"2026-01-31\""},
           {"\"issued\": \"2026-01-31T10:00:00Z\"", "\"issued\": 1769853600"},
           {"2030-01-01", "2026-01-31"},  // expires midnight, before issued
           {"a9993e364706816aba3e25717850c26c9cd0d89d\",\n    \"info_hash_v2",
            "A9993E364706816ABA3E25717850C26C9CD0D89D\",\n    \"info_hash_v2"},
           {"\"info_hash_v1\": \"a9", "\"info_hash_v1\": \""},
           {"\"00112233445566ff\"", "\"00112233445566fg\""},
           {"\"00112233445566ff\"", "\"00112233445566FF\""},
           {"\"piece_length\": 16384", "\"piece_length\": 0"},
           {"\"piece_length\": 16384", "\"piece_length\": 16383"},
           {"\"magnet\": \"magnet:?", "\"magnet\": \"http://"},
           {"\"single_file\": false", "\"single_file\": 0"},
           {"\"dim\": 256", "\"dim\": [256]"},
           {"\"dim\": 256", "\"dim\": null"},
           {"\"family\": \"mixtral\"", "\"family\": \"\\u202e\""},
           {"{\n    \"scale\": 0.5\n  }", "{}"},
           {"{\n    \"scale\": 0.5\n  }", "7"},
           {"{\n    \"type\": \"q8_0\"\n  }", "[]"},
           {"lodestone-manifest", "other-manifest"}}) {
    ExpectError(ParseManifest(With(from, to)), ErrorCode::kCorrupt, "manifest",
                "E-MANIFEST");
  }
  for (const std::string_view text : {"", "null", "[]", "{}", "\"x\"", "{"}) {
    ExpectError(ParseManifest(text), ErrorCode::kCorrupt, "manifest",
                "E-MANIFEST");
  }
}

TEST(ManifestTest, RefusesPathsThatLeadElsewhere) {
  for (const auto& [path, id] :
       {std::pair{"../b.txt", "E-PATH"}, std::pair{"/etc/b.txt", "E-PATH"},
        std::pair{"b/../../c", "E-PATH"}, std::pair{"b//c", "E-PATH"},
        std::pair{"b/./c", "E-PATH"}, std::pair{"b/", "E-PATH"},
        std::pair{"", "E-PATH"}, std::pair{"C:/b", "E-PATH"},
        std::pair{"b\\\\c", "E-PATH"}, std::pair{"b\\u0000c", "E-NAME-ALTERED"},
        std::pair{"b\\u202ec", "E-NAME-ALTERED"}}) {
    ExpectError(ParseManifest(With("b.txt", path)), ErrorCode::kCorrupt,
                "manifest", id);
  }
  ExpectError(
      ParseManifest(With("\"model\": \"demo\"", "\"model\": \"../demo\"")),
      ErrorCode::kCorrupt, "model", "E-PATH");
  ExpectError(ParseManifest(With("\"model\": \"demo\"", "\"model\": \"\"")),
              ErrorCode::kCorrupt, "model", "E-PATH");
  ExpectError(ParseManifest(With("\"name\": \"demo\"", "\"name\": \"..\"")),
              ErrorCode::kCorrupt, "name", "E-PATH");
}

TEST(ManifestTest, RefusesNamesThatCollide) {
  const auto with_paths = [](std::string first, std::string second) {
    Manifest manifest = Sample();
    manifest.files[0].path = std::move(first);
    manifest.files[1].path = std::move(second);
    return FormatManifest(manifest);
  };
  ExpectError(with_paths("A/x", "a/X"), ErrorCode::kInvalidArgument, "case",
              "E-NAME-COLLISION");
  ExpectError(with_paths("b", "b"), ErrorCode::kInvalidArgument, "twice",
              "E-NAME-COLLISION");
  ExpectError(with_paths("b", "b/c"), ErrorCode::kInvalidArgument, "folder",
              "E-NAME-COLLISION");
  // The same letter, composed and not.
  ExpectError(with_paths("cafe\xCC\x81", "caf\xC3\xA9"),
              ErrorCode::kInvalidArgument, "equal", "E-NAME-COLLISION");
  ExpectError(with_paths("c", "b"), ErrorCode::kInvalidArgument, "order",
              "E-MANIFEST");
}

TEST(ManifestTest, RefusesFilesThatDoNotFitTheTorrent) {
  Manifest manifest = Sample();
  manifest.files[1].pieces_root.reset();
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument,
              "no pieces root", "E-MANIFEST");
  manifest = Sample();
  manifest.files[0].pieces_root = manifest.files[0].sha256;
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument,
              "pieces root", "E-MANIFEST");
  manifest = Sample();
  manifest.torrent.single_file = true;
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument, "one file",
              "E-MANIFEST");
  manifest = Sample();
  manifest.files.clear();
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument, "no files",
              "E-MANIFEST");
  manifest = Sample();
  manifest.torrent.info_hash_v1.reset();
  manifest.torrent.info_hash_v2.reset();
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument,
              "info-hash", "E-MANIFEST");
}

TEST(ManifestTest, HasLimits) {
  ExpectError(ParseManifest(std::string(kMaxManifestBytes + 1, ' ')),
              ErrorCode::kLimit, "bytes", "E-MANIFEST");
  ExpectError(ParseManifest(With("0.5", std::string(20, '['))),
              ErrorCode::kLimit, "nested", "E-MANIFEST");
  Manifest manifest = Sample();
  manifest.files.clear();
  for (size_t i = 0; i <= kMaxManifestFiles; ++i) {
    manifest.files.push_back({.path = std::to_string(1'000'000 + i)});
  }
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument, "files",
              "E-MANIFEST");
  manifest = Sample();
  for (int i = 0; i < 100; ++i) manifest.params[StrCat("p", i)] = i;
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument, "params",
              "E-MANIFEST");
  manifest = Sample();
  manifest.fingerprint["text"] = "\xFF";
  ExpectError(FormatManifest(manifest), ErrorCode::kInvalidArgument, "UTF-8",
              "E-MANIFEST");
}

// Neither a cut nor a changed byte is ever read as the manifest that was
// written.
TEST(ManifestTest, NoCutAndNoChangedByteGivesTheSameContent) {
  const Manifest sample = Sample();
  for (size_t size = 0; size < kText.size(); ++size) {
    EXPECT_FALSE(ParseManifest(kText.substr(0, size)).has_value()) << size;
  }
  std::string text(kText);
  for (size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 2, 5, 7}) {
      text[i] = static_cast<char>(kText[i] ^ (1 << bit));
      const auto read = ParseManifest(text);
      if (read) {
        EXPECT_FALSE(*read == sample) << "byte " << i;
      }
    }
    text[i] = kText[i];
  }
}

TEST(ManifestTest, TellsTheSameModelFromAnother) {
  Manifest later = Sample();
  later.version = 9;
  later.issued_s.reset();
  later.publisher_key.clear();
  EXPECT_TRUE(SameContent(Sample(), later));
  later.files[1].size_bytes = 4;
  EXPECT_FALSE(SameContent(Sample(), later));
}

TEST(ManifestTest, GivesEvidenceOfWhatItsSignatureIsWorth) {
  const Manifest manifest = Sample();
  Evidence evidence = ManifestEvidence(manifest, "demo.manifest.json", nullptr);
  EXPECT_EQ(evidence.source, "demo.manifest.json");
  EXPECT_EQ(evidence.level, TrustLevel::kSha256);
  EXPECT_FALSE(evidence.exhaustive);
  ASSERT_EQ(evidence.sums.size(), 2u);
  EXPECT_EQ(evidence.sums[1].name, "b.txt");
  EXPECT_EQ(evidence.sums[1].algorithm, SumAlgorithm::kSha256);
  EXPECT_EQ(HexEncode(evidence.sums[1].digest).substr(0, 8), "ba7816bf");
  EXPECT_EQ(evidence.sums[1].size_bytes, 3u);

  // D12: a signature by a key that nobody trusts adds nothing.
  ManifestSigner signer{
      .key = "00112233445566ff", .name = "", .trusted = false};
  evidence = ManifestEvidence(manifest, "m", &signer);
  EXPECT_EQ(evidence.level, TrustLevel::kUnknownKey);
  EXPECT_TRUE(evidence.exhaustive);
  signer = {.key = "00112233445566ff", .name = "Ann", .trusted = true};
  evidence = ManifestEvidence(manifest, "m", &signer);
  EXPECT_EQ(evidence.level, TrustLevel::kTrustedKey);
  EXPECT_EQ(evidence.signer_name, "Ann");

  EXPECT_TRUE(CheckManifestSigner(manifest, signer).has_value());
  signer.key = "ffff";
  ExpectError(CheckManifestSigner(manifest, signer), ErrorCode::kUntrusted,
              "ffff", "E-MANIFEST-KEY");
}

}  // namespace
}  // namespace verify
