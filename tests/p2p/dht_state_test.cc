// SPDX-License-Identifier: Apache-2.0
// The DHT's state between sessions. Files are written by the code under test
// and by hand (bencoded, as BEP 5 lays out a node: address and port).
#include "p2p/dht_state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace p2p {
namespace {

namespace fs = std::filesystem;
using verify::ErrorCode;

lt::udp::endpoint Node(int number) {
  return {lt::address_v4(0xC0000200u + static_cast<uint32_t>(number)),
          static_cast<uint16_t>(6881 + number)};
}

lt::dht::dht_state Nodes(int first, int count) {
  lt::dht::dht_state state;
  for (int i = first; i < first + count; ++i) state.nodes.push_back(Node(i));
  return state;
}

TEST(DhtStateTest, NodesComeBackAsTheyWereSaved) {
  const tests::TempDir temp;
  const std::string path = temp.File("state/lodestone/dht.dat");
  lt::dht::dht_state state = Nodes(0, 3);
  state.nodes6.emplace_back(lt::make_address("2001:db8::1"), 7);
  ASSERT_TRUE(SaveDhtState(path, state, {}));
  const auto loaded = LoadDhtState(path);
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->nodes, state.nodes);
  EXPECT_EQ(loaded->nodes6, state.nodes6);
  EXPECT_EQ(fs::status(path).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST(DhtStateTest, ReadsAFileWrittenByHand) {
  const tests::TempDir temp;
  std::ofstream(temp.File("dht.dat"), std::ios::binary)
      << "d9:dht stated5:nodesl6:" << std::string("\xC0\x00\x02\x05\x1A\xE6", 6)
      << "eee";
  const auto loaded = LoadDhtState(temp.File("dht.dat"));
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  ASSERT_EQ(loaded->nodes.size(), 1u);
  EXPECT_EQ(loaded->nodes[0].address().to_string(), "192.0.2.5");
  EXPECT_EQ(loaded->nodes[0].port(), 6886);
}

TEST(DhtStateTest, AFileThatIsNotThereIsAnEmptyState) {
  const tests::TempDir temp;
  const auto loaded = LoadDhtState(temp.File("absent"));
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->nodes.empty());
}

TEST(DhtStateTest, OldNodesStayBehindFewNewOnes) {
  const tests::TempDir temp;
  const std::string path = temp.File("dht.dat");
  ASSERT_TRUE(SaveDhtState(path, Nodes(10, 2), Nodes(9, 2)));
  const auto loaded = LoadDhtState(path);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->nodes,
            (std::vector<lt::udp::endpoint>{Node(10), Node(11), Node(9)}));
}

TEST(DhtStateTest, WhatIsKeptIsBounded) {
  const tests::TempDir temp;
  const std::string path = temp.File("dht.dat");
  lt::dht::dht_state many = Nodes(0, 20'000);
  ASSERT_TRUE(SaveDhtState(path, many, {}));
  EXPECT_LT(fs::file_size(path), kMaxDhtStateBytes);
  EXPECT_EQ(LoadDhtState(path)->nodes.size(), kMaxDhtNodes);
}

TEST(DhtStateTest, AStateWithoutNodesDoesNotReplaceOneThatHasSome) {
  const tests::TempDir temp;
  const std::string path = temp.File("dht.dat");
  ASSERT_TRUE(SaveDhtState(path, Nodes(0, 3), {}));
  ASSERT_TRUE(SaveDhtState(path, {}, {}));
  EXPECT_EQ(LoadDhtState(path)->nodes.size(), 3u);
}

TEST(DhtStateTest, F6BrokenFilesAreErrorsToBeSaid) {
  const tests::TempDir temp;
  const std::string path = temp.File("dht.dat");
  std::ofstream(path) << "not bencoded";
  auto loaded = LoadDhtState(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  std::ofstream(path) << std::string(kMaxDhtStateBytes + 1, 'd');
  loaded = LoadDhtState(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kLimit);
  // Cut at every length, and with every byte changed: an answer, no crash.
  ASSERT_TRUE(SaveDhtState(temp.File("good"), Nodes(0, 3), {}));
  const std::string good = tests::ReadFile(temp.File("good"));
  for (size_t length = 0; length < good.size(); ++length) {
    std::ofstream(path, std::ios::binary) << good.substr(0, length);
    static_cast<void>(LoadDhtState(path));
  }
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    std::ofstream(path, std::ios::binary) << bad;
    const auto result = LoadDhtState(path);
    if (result) {
      EXPECT_LE(result->nodes.size(), kMaxDhtNodes);
    }
  }
}

}  // namespace
}  // namespace p2p
