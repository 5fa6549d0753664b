// SPDX-License-Identifier: Apache-2.0
#include "p2p/magnet.h"

#include <gtest/gtest.h>

#include "verify/base/text.h"

namespace p2p {
namespace {

constexpr std::string_view kHash = "5546272da9065eddeb6fcd7ffddeef5b75be79a7";

std::string Hex(const InfoHashes& hashes) {
  return hashes.v1.has_value() ? verify::HexEncode(*hashes.v1) : "none";
}

ParsedMagnet MustParse(std::string_view text) {
  auto parsed = ParseMagnet(text);
  if (!parsed) {
    ADD_FAILURE() << text << ": " << parsed.error().message;
    return {};
  }
  return *parsed;
}

bool AnyHas(const std::vector<std::string>& lines, std::string_view part) {
  for (const auto& line : lines) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

struct Published {
  std::string_view magnet;
  std::string_view hash;
  std::string_view name;
  std::vector<std::string> trackers;
};

// The corrected forms of the links that the publishers announced.
const std::vector<Published>& Catalogue() {
  static const std::vector<Published> catalogue = {
      {"magnet:?xt=urn:btih:208b101a0f51514ecf285885a8b0f6fb1a1e4d7d"
       "&dn=mistral-7B-v0.1"
       "&tr=udp%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce",
       "208b101a0f51514ecf285885a8b0f6fb1a1e4d7d",
       "mistral-7B-v0.1",
       {"udp://tracker.opentrackr.org:1337/announce"}},
      {"magnet:?xt=urn:btih:5546272da9065eddeb6fcd7ffddeef5b75be79a7"
       "&dn=mixtral-8x7b-32kseqlen"
       "&tr=udp%3A%2F%2Fopentracker.i2p.rocks%3A6969%2Fannounce"
       "&tr=http%3A%2F%2Ftracker.openbittorrent.com%3A80%2Fannounce",
       "5546272da9065eddeb6fcd7ffddeef5b75be79a7",
       "mixtral-8x7b-32kseqlen",
       {"udp://opentracker.i2p.rocks:6969/announce",
        "http://tracker.openbittorrent.com:80/announce"}},
      {"magnet:?xt=urn:btih:9238b09245d0d8cd915be09927769d5f7584c1c9"
       "&dn=mixtral-8x22b"
       "&tr=udp%3A%2F%2Fopen.demonii.com%3A1337%2Fannounce"
       "&tr=http%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce",
       "9238b09245d0d8cd915be09927769d5f7584c1c9",
       "mixtral-8x22b",
       {"udp://open.demonii.com:1337/announce",
        "http://tracker.opentrackr.org:1337/announce"}},
      {"magnet:?xt=urn:btih:7278e625de2b1da598b23954c13933047126238a"
       "&dn=pixtral-12b-240910"
       "&tr=udp%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce"
       "&tr=udp%3A%2F%2Fopen.demonii.com%3A1337%2Fannounce"
       "&tr=http%3A%2F%2Ftracker.ipv6tracker.org%3A80%2Fannounce",
       "7278e625de2b1da598b23954c13933047126238a",
       "pixtral-12b-240910",
       {"udp://tracker.opentrackr.org:1337/announce",
        "udp://open.demonii.com:1337/announce",
        "http://tracker.ipv6tracker.org:80/announce"}},
      {"magnet:?xt=urn:btih:11f2d1ca613ccf5a5c60104db9f3babdfa2e6003"
       "&dn=Mistral-Small-3-Instruct"
       "&tr=udp%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce"
       "&tr=http%3A%2F%2Fopen.tracker.cl%3A1337%2Fannounce",
       "11f2d1ca613ccf5a5c60104db9f3babdfa2e6003",
       "Mistral-Small-3-Instruct",
       {"udp://tracker.opentrackr.org:1337/announce",
        "http://open.tracker.cl:1337/announce"}},
      {"magnet:?xt=urn:btih:5f96d43576e3d386c9ba65b883210a393b68210e&dn=grok-1"
       "&tr=https%3A%2F%2Facademictorrents.com%2Fannounce.php"
       "&tr=udp%3A%2F%2Ftracker.coppersurfer.tk%3A6969"
       "&tr=udp%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce",
       "5f96d43576e3d386c9ba65b883210a393b68210e",
       "grok-1",
       {"https://academictorrents.com/announce.php",
        "udp://tracker.coppersurfer.tk:6969",
        "udp://tracker.opentrackr.org:1337/announce"}},
  };
  return catalogue;
}

std::string Replaced(std::string text, std::string_view from,
                     std::string_view to) {
  size_t at = 0;
  while ((at = text.find(from, at)) != std::string::npos) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
  return text;
}

TEST(MagnetTest, ReadsPublishedLinksAndWritesThemBack) {
  for (const Published& published : Catalogue()) {
    const ParsedMagnet parsed = MustParse(published.magnet);
    EXPECT_EQ(Hex(parsed.magnet.info_hashes), published.hash);
    EXPECT_FALSE(parsed.magnet.info_hashes.v2.has_value());
    EXPECT_EQ(parsed.magnet.display_name, published.name);
    EXPECT_EQ(parsed.magnet.trackers, published.trackers);
    EXPECT_TRUE(parsed.repairs.empty());
    EXPECT_TRUE(parsed.warnings.empty());
    EXPECT_EQ(FormatMagnet(parsed.magnet), published.magnet);
  }
}

TEST(MagnetTest, PublishedTrackersPassTheFilter) {
  for (const Published& published : Catalogue()) {
    Magnet magnet = MustParse(published.magnet).magnet;
    std::vector<std::string> warnings;
    FilterEndpoints(magnet, false, warnings);
    EXPECT_EQ(magnet.trackers, published.trackers);
    EXPECT_TRUE(warnings.empty());
  }
}

// The way X mangles every tracker of a post: "%2F" + host becomes a link.
TEST(MagnetTest, UndoesLinksInsideTrackersOfEveryPublishedMagnet) {
  for (const std::string_view mangling :
       {"%2F%http://2F", "%2F%https://2F", "%2f%HTTP://2f"}) {
    for (const Published& published : Catalogue()) {
      const std::string mangled =
          Replaced(std::string(published.magnet), "%2F%2F", mangling);
      const ParsedMagnet parsed = MustParse(mangled);
      EXPECT_EQ(Hex(parsed.magnet.info_hashes), published.hash);
      EXPECT_EQ(parsed.magnet.trackers, published.trackers) << mangled;
      EXPECT_TRUE(parsed.warnings.empty());
      ASSERT_EQ(parsed.repairs.size(), published.trackers.size());
      for (size_t i = 0; i < parsed.repairs.size(); ++i) {
        EXPECT_TRUE(parsed.repairs[i].ends_with("repaired to \"" +
                                                published.trackers[i] + "\""))
            << parsed.repairs[i];
      }
    }
  }
}

TEST(MagnetTest, RepairsMixtral8x7bAsPublished) {
  const ParsedMagnet parsed = MustParse(
      "magnet:?xt=urn:btih:5546272da9065eddeb6fcd7ffddeef5b75be79a7"
      "&dn=mixtral-8x7b-32kseqlen"
      "&tr=udp%3A%2F%http://2Fopentracker.i2p.rocks%3A6969%2Fannounce"
      "&tr=http%3A%2F%http://2Ftracker.openbittorrent.com%3A80%2Fannounce");
  EXPECT_EQ(parsed.magnet.trackers, Catalogue()[1].trackers);
  ASSERT_EQ(parsed.repairs.size(), 2u);
  EXPECT_EQ(parsed.repairs[0],
            "tracker \"udp%3A%2F%http://2Fopentracker.i2p.rocks%3A6969%2F"
            "announce\" repaired to "
            "\"udp://opentracker.i2p.rocks:6969/announce\"");
}

// Short links whose hosts are known from copies that were not mangled.
TEST(MagnetTest, PutsTheHostBackForKnownShortLinks) {
  const ParsedMagnet mixtral = MustParse(
      "magnet:?xt=urn:btih:9238b09245d0d8cd915be09927769d5f7584c1c9"
      "&dn=mixtral-8x22b"
      "&tr=udp%3A%2F%https://t.co/2UepcMHjvL%3A1337%2Fannounce"
      "&tr=http%3A%2F%https://t.co/OdtBUsbeV5%3A1337%2Fannounce");
  EXPECT_EQ(mixtral.magnet.trackers, Catalogue()[2].trackers);
  ASSERT_EQ(mixtral.repairs.size(), 2u);
  EXPECT_TRUE(mixtral.warnings.empty());
  EXPECT_TRUE(AnyHas(mixtral.repairs,
                     "t.co/OdtBUsbeV5%3A1337%2Fannounce\" repaired to "
                     "\"http://tracker.opentrackr.org:1337/announce\""));

  const ParsedMagnet pixtral = MustParse(
      "magnet:?xt=urn:btih:7278e625de2b1da598b23954c13933047126238a"
      "&dn=pixtral-12b-240910"
      "&tr=udp%3A%2F%http://2Ftracker.opentrackr.org%3A1337%2Fannounce"
      "&tr=udp%3A%2F%https://t.co/2UepcMHjvL%3A1337%2Fannounce"
      "&tr=http%3A%2F%https://t.co/NsTRgy7h8S%3A80%2Fannounce");
  EXPECT_EQ(pixtral.magnet.trackers, Catalogue()[3].trackers);
  EXPECT_EQ(pixtral.repairs.size(), 3u);
}

TEST(MagnetTest, DropsTrackerWhoseHostIsLost) {
  const ParsedMagnet parsed = MustParse(
      "magnet:?xt=urn:btih:208b101a0f51514ecf285885a8b0f6fb1a1e4d7d"
      "&dn=mistral-7B-v0.1"
      "&tr=udp%3A%2F%2Ftracker.opentrackr.org%3A1337%2Fannounce"
      "&tr=https%3A%2F%https://t.co/HAadNvH1t0%3A443%2Fannounce");
  EXPECT_EQ(parsed.magnet.trackers, Catalogue()[0].trackers);
  EXPECT_TRUE(parsed.repairs.empty());
  ASSERT_EQ(parsed.warnings.size(), 1u);
  EXPECT_TRUE(AnyHas(parsed.warnings,
                     "left out: its host is lost behind the short link "
                     "t.co/HAadNvH1t0"));
}

TEST(MagnetTest, DropsReExportOfMangledLink) {
  const ParsedMagnet parsed = MustParse(
      "magnet:?xt=urn:btih:5546272da9065eddeb6fcd7ffddeef5b75be79a7"
      "&tr=udp%3a%2f-tp%3a%2f%2f2Ftracker.opentrackr.org%3a1337%2fannounce"
      "&tr=udp%3a%2f%2fexplodie.org%3a6969");
  EXPECT_EQ(parsed.magnet.trackers,
            std::vector<std::string>{"udp://explodie.org:6969"});
  ASSERT_EQ(parsed.warnings.size(), 1u);
  EXPECT_TRUE(AnyHas(parsed.warnings, "wrote out a mangled link again"));
}

TEST(MagnetTest, DropsBrokenEscapesAndNonUrlsWithWarning) {
  for (const std::string_view value :
       {"udp%3A%2", "udp%3A%zz", "tracker.example.org", "%FF%FE://x",
        "udp%3A%2F%https://example.org/x"}) {
    const ParsedMagnet parsed =
        MustParse(verify::StrCat("magnet:?xt=urn:btih:", kHash, "&tr=", value));
    EXPECT_TRUE(parsed.magnet.trackers.empty()) << value;
    EXPECT_EQ(parsed.warnings.size(), 1u) << value;
  }
}

TEST(MagnetTest, ReadsBase32) {
  // The pair is published: both forms of one hash.
  EXPECT_EQ(
      Hex(MustParse("magnet:?xt=urn:btih:KVDCOLNJAZPN323PZV773XXPLN2346NH")
              .magnet.info_hashes),
      kHash);
  EXPECT_EQ(
      Hex(MustParse("magnet:?xt=urn:btih:kvdcolnjazpn323pzv773xxpln2346nh")
              .magnet.info_hashes),
      kHash);
}

TEST(MagnetTest, ReadsV2AndHybrid) {
  // From BEP 52: a multihash is 0x12 0x20 and the SHA-256.
  const std::string v2(64, 'a');
  const ParsedMagnet only = MustParse("magnet:?xt=urn:btmh:1220" + v2);
  EXPECT_FALSE(only.magnet.info_hashes.v1.has_value());
  ASSERT_TRUE(only.magnet.info_hashes.v2.has_value());
  EXPECT_EQ(verify::HexEncode(*only.magnet.info_hashes.v2), v2);
  const ParsedMagnet both = MustParse(verify::StrCat(
      "magnet:?xt.1=urn:btih:", kHash, "&xt.2=urn:btmh:1220", v2));
  EXPECT_EQ(Hex(both.magnet.info_hashes), kHash);
  ASSERT_TRUE(both.magnet.info_hashes.v2.has_value());
  EXPECT_EQ(MustParse(FormatMagnet(both.magnet)).magnet, both.magnet);
}

TEST(MagnetTest, ReadsFormsSeenInTheWild) {
  const std::string hash(kHash);
  for (const std::string& text :
       {"MAGNET:?xt=urn:btih:" + hash, "Magnet:?XT=URN:BTIH:" + hash,
        "  magnet:?xt=urn:btih:" + hash + "\r\n",
        "magnet:?dn=x&xt=urn%3Abtih%3A" + hash,
        "magnet:?&xt=urn:btih:" + hash + "&",
        "magnet:?xt=urn:btih:" + hash + "&xt=urn:btih:" + hash,
        "magnet:?xt=urn:ed2k:354B15E68FB8F36D7CD88FF94116CDC1&xt=urn:btih:" +
            hash}) {
    EXPECT_EQ(Hex(MustParse(text).magnet.info_hashes), kHash) << text;
  }
  const ParsedMagnet html = MustParse("magnet:?xt=urn:btih:" + hash +
                                      "&amp;dn=a&amp;tr=udp%3A%2F%2Fb.c%3A1");
  EXPECT_EQ(html.magnet.display_name, "a");
  EXPECT_EQ(html.magnet.trackers, std::vector<std::string>{"udp://b.c:1"});
  EXPECT_EQ(html.repairs.size(), 1u);
}

TEST(MagnetTest, A1A2A3RefusesWhatIsNoMagnet) {
  const std::string xt = "magnet:?xt=";
  const std::string hash(kHash);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "does not begin"},
      {"magnet:", "does not begin"},
      {"http://example.org/a.torrent", "does not begin"},
      {hash, "does not begin"},
      {"magnet:?", "without an xt"},
      {"magnet:?dn=x", "without an xt"},
      {xt, "no BitTorrent hash"},
      {xt + "urn:sha1:ABC", "no BitTorrent hash"},
      {xt + "urn:btih:", "0 characters"},
      {xt + "urn:btih:" + hash.substr(1), "39 characters"},
      {xt + "urn:btih:" + hash + "0", "41 characters"},
      // 40 characters that are no hex: libtorrent 2.0.8 takes them.
      {xt + "urn:btih:" + std::string(40, 'z'), "40 characters"},
      {xt + "urn:btih:" + std::string(32, '1'), "32 characters"},
      {xt + "urn:btih:%4", "broken % encoding"},
      {xt + "urn:btmh:1220" + std::string(63, 'a'), "67 characters"},
      {xt + "urn:btmh:1120" + std::string(64, 'a'), "68 characters"},
      {xt + "urn:btmh:1220" + std::string(64, 'g'), "68 characters"},
      {xt + "urn:btih:" + hash + "&xt=urn:btih:" + std::string(40, '0'),
       "two different btih"},
      {xt + "urn:btmh:1220" + std::string(64, 'a') + "&xt=urn:btmh:1220" +
           std::string(64, 'b'),
       "two different btmh"},
      {std::string(kMaxMagnetBytes + 1, 'm'), "bytes, at most"},
  };
  for (const auto& [text, part] : cases) {
    const auto parsed = ParseMagnet(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, verify::ErrorCode::kInvalidArgument);
    EXPECT_EQ(parsed.error().id, "E-MAGNET");
    EXPECT_NE(parsed.error().hint.find("magnet:?xt=urn:btih:"),
              std::string::npos);
    EXPECT_NE(parsed.error().message.find(part), std::string::npos)
        << parsed.error().message;
    EXPECT_LT(parsed.error().message.size(), 1000u);
  }
}

TEST(MagnetTest, ReadsPeersInEveryForm) {
  const ParsedMagnet parsed = MustParse(
      verify::StrCat("magnet:?xt=urn:btih:", kHash,
                     "&x.pe=192.0.2.7:6881&x.pe=[2001:db8::1]:51413"
                     "&x.pe=%5B2001%3Adb8%3A%3A2%5D%3A1024"
                     "&x.pe.1=seed.example.org:7000&x.pe=192.0.2.7:6881"));
  const std::vector<std::pair<std::string, uint16_t>> expected = {
      {"192.0.2.7", 6881},
      {"2001:db8::1", 51413},
      {"2001:db8::2", 1024},
      {"seed.example.org", 7000}};
  EXPECT_EQ(parsed.magnet.peers, expected);
  EXPECT_TRUE(parsed.warnings.empty());
  EXPECT_EQ(MustParse(FormatMagnet(parsed.magnet)).magnet, parsed.magnet);
}

TEST(MagnetTest, DropsBadPeersWithWarning) {
  for (const std::string_view value :
       {"192.0.2.7", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:+80",
        "192.0.2.7:", ":6881", "2001:db8::1:6881", "[2001:db8::1]",
        "[2001:db8::g]:1", "[a.example]:1", "a b:1", "a%00b:1", "a%2:1",
        "x%0A:1", "a/b:1", "user@host:1"}) {
    const ParsedMagnet parsed = MustParse(
        verify::StrCat("magnet:?xt=urn:btih:", kHash, "&x.pe=", value));
    EXPECT_TRUE(parsed.magnet.peers.empty()) << value;
    EXPECT_EQ(parsed.warnings.size(), 1u) << value;
  }
}

TEST(MagnetTest, ReadsSelectedFiles) {
  const auto selected = [](std::string_view so) {
    return MustParse(verify::StrCat("magnet:?xt=urn:btih:", kHash, "&so=", so))
        .magnet.selected_files;
  };
  // The example of BEP 53.
  EXPECT_EQ(selected("0,2,4,6-8"), (std::vector<uint32_t>{0, 2, 4, 6, 7, 8}));
  EXPECT_EQ(selected("7-7,3,3,2-4"), (std::vector<uint32_t>{2, 3, 4, 7}));
  EXPECT_EQ(selected("0-999999").size(), 1'000'000u);
}

TEST(MagnetTest, A7RefusesBadSelection) {
  for (const std::string_view so :
       {"", ",", "a", "1,", "1-", "-1", "3-2", "1--2", "1000000", "0-1000000",
        "4294967296", "99999999999999999999", "1 2", "%3"}) {
    const auto parsed =
        ParseMagnet(verify::StrCat("magnet:?xt=urn:btih:", kHash, "&so=", so));
    ASSERT_FALSE(parsed.has_value()) << so;
    EXPECT_EQ(parsed.error().id, "E-MAGNET");
  }
}

TEST(MagnetTest, A7TenThousandOfEverythingStaysBounded) {
  std::string text = verify::StrCat("magnet:?xt=urn:btih:", kHash);
  std::string so;
  for (int i = 0; i < 10'000; ++i) {
    text += verify::StrCat("&tr=udp://t", i, ".example.org:1337");
    text += verify::StrCat("&x.pe=192.0.2.", i % 250, ":", 2000 + i);
    text += verify::StrCat("&y", i, "=");
    so += verify::StrCat(i == 0 ? "" : ",", "0-", 5000 + i % 3);
  }
  text += "&so=" + so;
  const ParsedMagnet parsed = MustParse(text);
  EXPECT_EQ(parsed.magnet.trackers.size(), kMaxMagnetEndpoints);
  EXPECT_EQ(parsed.magnet.peers.size(), kMaxMagnetEndpoints);
  EXPECT_EQ(parsed.magnet.selected_files.size(), 5003u);
  EXPECT_LE(parsed.warnings.size(), 60u);
  EXPECT_TRUE(AnyHas(parsed.warnings, "more of this kind"));

  Magnet magnet = parsed.magnet;
  std::vector<std::string> warnings;
  FilterEndpoints(magnet, false, warnings);
  EXPECT_EQ(magnet.trackers.size(), 50u);
  EXPECT_EQ(magnet.peers.size(), 50u);
  EXPECT_TRUE(AnyHas(warnings, "950 further trackers left out"));
  EXPECT_TRUE(AnyHas(warnings, "950 further peers left out"));
}

TEST(MagnetTest, A6NameIsTextOnly) {
  const auto name = [](std::string_view dn) {
    return MustParse(verify::StrCat("magnet:?xt=urn:btih:", kHash, "&dn=", dn))
        .magnet.display_name;
  };
  EXPECT_EQ(name("..%2F..%2Fetc%2Fpasswd"), "../../etc/passwd");
  EXPECT_EQ(name("a%00b"), std::string_view("a\0b", 3));
  EXPECT_EQ(name("two+words%20here%2B"), "two words here+");
  EXPECT_EQ(name("%FFx%C3"), "\xEF\xBF\xBDx\xEF\xBF\xBD");
  EXPECT_EQ(name("100%"), "100%");
  EXPECT_EQ(name(std::string(10'240, 'a')).size(), kMaxDisplayNameBytes);
  // 171 * 3 = 513 bytes: cut before the last character, not in it.
  std::string euros;
  for (int i = 0; i < 171; ++i) euros += "%E2%82%AC";
  EXPECT_EQ(name(euros).size(), 510u);
}

TEST(MagnetTest, A8FilterDropsWhatMustNotBeContacted) {
  ParsedMagnet parsed = MustParse(verify::StrCat(
      "magnet:?xt=urn:btih:", kHash,
      "&tr=http://127.0.0.1:8080/admin?x&tr=http://169.254.169.254/"
      "&tr=file:///etc/passwd&tr=ftp://example.org/&tr=http://u:p@example.org/"
      "&tr=udp://tracker.example.org:1337/announce"
      "&ws=http://10.0.0.1:8000/&ws=https://cdn.example.org/m/"
      "&x.pe=127.0.0.1:6881&x.pe=192.0.2.9:6881"));
  EXPECT_EQ(parsed.magnet.trackers.size(), 6u);
  Magnet local = parsed.magnet;
  std::vector<std::string> warnings;
  FilterEndpoints(parsed.magnet, false, warnings);
  EXPECT_EQ(
      parsed.magnet.trackers,
      std::vector<std::string>{"udp://tracker.example.org:1337/announce"});
  EXPECT_EQ(parsed.magnet.web_seeds,
            std::vector<std::string>{"https://cdn.example.org/m/"});
  ASSERT_EQ(parsed.magnet.peers.size(), 1u);
  EXPECT_EQ(parsed.magnet.peers[0].first, "192.0.2.9");
  EXPECT_EQ(warnings.size(), 7u);
  EXPECT_TRUE(AnyHas(warnings, "peer \"127.0.0.1:6881\" left out"));
  EXPECT_TRUE(AnyHas(warnings, "--peer"));
  EXPECT_TRUE(AnyHas(warnings, "--allow-local"));

  warnings.clear();
  FilterEndpoints(local, true, warnings);
  EXPECT_EQ(local.trackers.size(), 2u);
  EXPECT_EQ(local.web_seeds.size(), 2u);
  EXPECT_EQ(local.peers.size(), 2u);
  EXPECT_EQ(warnings.size(), 4u);
}

TEST(MagnetTest, ParsesBareHashes) {
  EXPECT_EQ(Hex(*ParseInfoHash(kHash)), kHash);
  EXPECT_EQ(Hex(*ParseInfoHash(" KVDCOLNJAZPN323PZV773XXPLN2346NH\n")), kHash);
  const std::string v2(64, 'b');
  ASSERT_TRUE(ParseInfoHash(v2).has_value());
  EXPECT_EQ(verify::HexEncode(*ParseInfoHash("1220" + v2)->v2), v2);
  for (const std::string& text :
       {std::string(), std::string("mixtral"), std::string(40, 'g'),
        std::string(39, 'a'), std::string(32, '0'), std::string(68, 'a')}) {
    EXPECT_FALSE(ParseInfoHash(text).has_value()) << text;
  }
}

TEST(MagnetTest, EveryPrefixAndFlipEitherParsesOrFailsCleanly) {
  const std::string whole = verify::StrCat(
      "magnet:?xt=urn:btih:", kHash,
      "&dn=a%20b&tr=udp%3A%2F%http://2Fa.b%3A1%2Fc&x.pe=[::1]:7&so=1-3");
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = ParseMagnet(whole.substr(0, size));
    if (!parsed) {
      EXPECT_EQ(parsed.error().id, "E-MAGNET");
    }
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {0, 1, 2, 3, 4, 5, 6, 7}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto parsed = ParseMagnet(flipped);
      if (!parsed) {
        EXPECT_EQ(parsed.error().id, "E-MAGNET");
        continue;
      }
      const auto again = ParseMagnet(FormatMagnet(parsed->magnet));
      ASSERT_TRUE(again.has_value()) << flipped;
      EXPECT_EQ(again->magnet, parsed->magnet) << flipped;
    }
  }
}

}  // namespace
}  // namespace p2p
