// SPDX-License-Identifier: Apache-2.0
// The shipped catalogue, file by file: what each link resolves to stands here
// a second time, by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "p2p/catalog.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

namespace fs = std::filesystem;

struct Expected {
  std::string hash;
  std::vector<std::string> trackers;
  size_t published = 0;  // forms of the link
  bool mangled = true;
};

const std::map<std::string, Expected>& Table() {
  static const std::map<std::string, Expected> table = {
      {"mistral-7b-v0.1",
       {"208b101a0f51514ecf285885a8b0f6fb1a1e4d7d",
        {"udp://tracker.opentrackr.org:1337/announce"},
        1}},
      {"mixtral-8x7b-v0.1",
       {"5546272da9065eddeb6fcd7ffddeef5b75be79a7",
        {"udp://opentracker.i2p.rocks:6969/announce",
         "http://tracker.openbittorrent.com:80/announce"},
        1}},
      {"mixtral-8x22b-v0.1",
       {"9238b09245d0d8cd915be09927769d5f7584c1c9",
        {"udp://open.demonii.com:1337/announce",
         "http://tracker.opentrackr.org:1337/announce"},
        2}},
      {"pixtral-12b-240910",
       {"7278e625de2b1da598b23954c13933047126238a",
        {"udp://tracker.opentrackr.org:1337/announce",
         "udp://open.demonii.com:1337/announce",
         "http://tracker.ipv6tracker.org:80/announce"},
        2}},
      {"mistral-small-3-instruct",
       {"11f2d1ca613ccf5a5c60104db9f3babdfa2e6003",
        {"udp://tracker.opentrackr.org:1337/announce",
         "http://open.tracker.cl:1337/announce"},
        1}},
      {"grok-1",
       {"5f96d43576e3d386c9ba65b883210a393b68210e",
        {"https://academictorrents.com/announce.php",
         "udp://tracker.coppersurfer.tk:6969",
         "udp://tracker.opentrackr.org:1337/announce"},
        1,
        false}},
  };
  return table;
}

std::string HashOf(const Magnet& magnet) {
  return magnet.info_hashes.v1.has_value()
             ? verify::HexEncode(*magnet.info_hashes.v1)
             : "none";
}

TEST(ModelsTest, EveryFileIsPartOfTheProgramAndOfTheTable) {
  std::vector<std::string> files;
  for (const auto& file : fs::directory_iterator(
           std::string(LODESTONE_SOURCE_DIR) + "/magnets/models")) {
    ASSERT_EQ(file.path().extension(), ".toml");
    files.push_back(file.path().stem().string());
    const auto entry = ParseCatalogEntry(tests::ReadFile(file.path().string()),
                                         file.path().string());
    ASSERT_TRUE(entry.has_value()) << entry.error().ToString();
    EXPECT_EQ(entry->name, file.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> built_in;
  std::vector<std::string> table;
  const Catalog catalog = Catalog::BuiltIn();
  for (const CatalogEntry& entry : catalog.entries()) {
    built_in.push_back(entry.name);
  }
  std::sort(built_in.begin(), built_in.end());
  for (const auto& [name, expected] : Table()) table.push_back(name);
  EXPECT_EQ(files, built_in);
  EXPECT_EQ(files, table);
}

TEST(ModelsTest, LinksRepairedAndAsPublishedLeadToTheSame) {
  const Catalog catalog = Catalog::BuiltIn();
  for (const auto& [name, expected] : Table()) {
    const CatalogEntry* entry = catalog.Find(name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(HashOf(entry->magnet), expected.hash) << name;
    EXPECT_FALSE(entry->magnet.info_hashes.v2.has_value());
    EXPECT_EQ(entry->magnet.trackers, expected.trackers) << name;
    ASSERT_EQ(entry->published.size(), expected.published) << name;
    for (const CatalogLink& link : entry->published) {
      const auto parsed = ParseMagnet(link.magnet);
      ASSERT_TRUE(parsed.has_value()) << parsed.error().ToString();
      EXPECT_EQ(HashOf(parsed->magnet), expected.hash) << link.magnet;
      EXPECT_EQ(parsed->magnet.trackers, expected.trackers) << link.magnet;
      EXPECT_EQ(parsed->repairs.size(),
                expected.mangled ? expected.trackers.size() : 0)
          << link.magnet;
    }
  }
}

// The other mangling, too, wherever a short link for the host is known.
TEST(ModelsTest, ShortLinksOfEveryKnownHostAreRepaired) {
  const std::vector<std::pair<std::string, std::string>> links = {
      {"%2Ftracker.opentrackr.org", "%https://t.co/OdtBUsbeV5"},
      {"%2Fopen.demonii.com", "%https://t.co/2UepcMHjvL"},
      {"%2Ftracker.ipv6tracker.org", "%https://t.co/NsTRgy7h8S"}};
  size_t replaced = 0;
  const Catalog catalog = Catalog::BuiltIn();
  for (const CatalogEntry& entry : catalog.entries()) {
    if (!Table().at(entry.name).mangled) continue;
    std::string text = FormatMagnet(entry.magnet);
    size_t here = 0;
    for (const auto& [host, link] : links) {
      const size_t at = text.find(host);
      if (at == std::string::npos) continue;
      text.replace(at, host.size(), link);
      ++here;
    }
    const auto parsed = ParseMagnet(text);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->magnet, entry.magnet) << text;
    EXPECT_EQ(parsed->repairs.size(), here);
    replaced += here;
  }
  // 7B and Small 3 one each, 8x22B two, Pixtral three.
  EXPECT_EQ(replaced, 7u);
}

TEST(ModelsTest, LostTrackerOfMistral7bIsSaidToBeLost) {
  const Catalog catalog = Catalog::BuiltIn();
  const auto parsed =
      ParseMagnet(catalog.Find("mistral-7b")->published[0].magnet);
  ASSERT_TRUE(parsed.has_value());
  ASSERT_EQ(parsed->warnings.size(), 1u);
  EXPECT_NE(parsed->warnings[0].find("t.co/HAadNvH1t0"), std::string::npos);
}

TEST(ModelsTest, SizesAreTwoBytesForEachParameterAtLeast) {
  const Catalog catalog = Catalog::BuiltIn();
  for (const CatalogEntry& entry : catalog.entries()) {
    EXPECT_EQ(entry.license, "Apache-2.0") << entry.name;
    EXPECT_GT(entry.within_percent, 0) << entry.name << ": sizes are estimates";
    if (!entry.parameters.has_value()) continue;
    EXPECT_EQ(entry.size_bytes, 2 * *entry.parameters) << entry.name;
  }
}

// RELEASE of Mixtral 8x7B, as open-compass/MixtralKit prints it.
TEST(ModelsTest, SumsOfMixtral8x7b) {
  const Catalog catalog = Catalog::BuiltIn();
  std::map<std::string, std::string> sums;
  for (const CatalogSum& sum : catalog.Find("mixtral-8x7b")->sums) {
    if (sum.certainty == Certainty::kUnconfirmed) continue;
    sums[sum.file] = verify::HexEncode(sum.digest);
  }
  EXPECT_EQ(sums,
            (std::map<std::string, std::string>{
                {"consolidated.00.pth", "1faa9bc9b20fcfe81fcd4eb7166a79e6"},
                {"tokenizer.model", "37974873eb68a7ab30c4912fc36264ae"}}));
}

}  // namespace
}  // namespace p2p
