// SPDX-License-Identifier: Apache-2.0
// Expected answers are written by hand from BEP 3, 7, 23 and 48.
#include "p2p/tracker_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "p2p/bencode.h"
#include "verify/base/bytes.h"

namespace p2p {
namespace {

constexpr uint64_t kSecret = 0x1234;

SwarmKey Swarm(uint8_t fill) {
  SwarmKey key{};
  key.fill(std::byte{fill});
  return key;
}

PeerAddress V4(uint8_t last) {
  PeerAddress address;
  address.bytes[0] = std::byte{10};
  address.bytes[3] = std::byte{last};
  return address;
}

PeerAddress V6(uint8_t last) {
  PeerAddress address;
  address.is_v6 = true;
  address.bytes[0] = std::byte{0x20};
  address.bytes[15] = std::byte{last};
  return address;
}

AnnounceRequest Request(uint64_t left, uint16_t port = 0x1a2b) {
  AnnounceRequest request;
  request.swarm = Swarm(0xaa);
  request.port = port;
  request.left = left;
  return request;
}

struct Reply {
  int64_t complete = -1, incomplete = -1, downloaded = -1, interval = -1;
  std::string peers, peers6, failure, warning;
};

Reply Read(const std::string& text) {
  Reply reply;
  auto document = BencodeDocument::Parse(verify::AsBytes(text));
  EXPECT_TRUE(document.has_value()) << text;
  if (!document) return reply;
  const auto integer = [&](const char* key, int64_t& into) {
    if (auto value = document->root().Find(key)) {
      into = value->AsInteger().value();
    }
  };
  const auto string = [&](const char* key, std::string& into) {
    if (auto value = document->root().Find(key)) {
      into = value->AsString().value();
    }
  };
  integer("complete", reply.complete);
  integer("incomplete", reply.incomplete);
  integer("downloaded", reply.downloaded);
  integer("interval", reply.interval);
  string("peers", reply.peers);
  string("peers6", reply.peers6);
  string("failure reason", reply.failure);
  string("warning message", reply.warning);
  return reply;
}

TEST(TrackerStateTest, AnswersFirstPeerByteForByte) {
  TrackerState state({.interval_s = 90}, kSecret);
  EXPECT_EQ(state.Announce(Request(5), V4(1), 0),
            "d8:completei0e10:downloadedi0e10:incompletei1e8:intervali90e"
            "12:min intervali45e5:peers0:e");
}

TEST(TrackerStateTest, TellsCompactPeersOfBothFamilies) {
  TrackerState state({}, kSecret);
  state.Announce(Request(5), V4(1), 0);
  state.Announce(Request(0), V6(2), 0);
  const Reply reply = Read(state.Announce(Request(5), V4(3), 0));
  EXPECT_EQ(reply.peers, std::string("\x0a\0\0\x01\x1a\x2b", 6));
  EXPECT_EQ(reply.peers6,
            "\x20" + std::string(14, '\0') + std::string("\x02\x1a\x2b"));
  EXPECT_EQ(reply.complete, 1);
  EXPECT_EQ(reply.incomplete, 2);
}

TEST(TrackerStateTest, DoesNotTellSeedsOfSeeds) {
  TrackerState state({}, kSecret);
  state.Announce(Request(0), V4(1), 0);
  EXPECT_EQ(Read(state.Announce(Request(0), V4(2), 0)).peers, "");
  EXPECT_EQ(Read(state.Announce(Request(1), V4(3), 0)).peers.size(), 12u);
}

TEST(TrackerStateTest, StoppedPeerIsGoneAtOnce) {
  TrackerState state({}, kSecret);
  state.Announce(Request(1), V4(1), 0);
  AnnounceRequest stop = Request(1);
  stop.event = AnnounceEvent::kStopped;
  const Reply reply = Read(state.Announce(stop, V4(1), 1));
  EXPECT_EQ(reply.incomplete, 0);
  EXPECT_EQ(state.counts().peers, 0u);
  EXPECT_EQ(state.counts().swarms, 0u);
}

TEST(TrackerStateTest, CountsACompletionOnce) {
  TrackerState state({}, kSecret);
  state.Announce(Request(1), V4(1), 0);
  AnnounceRequest done = Request(0);
  done.event = AnnounceEvent::kCompleted;
  EXPECT_EQ(Read(state.Announce(done, V4(1), 1)).downloaded, 1);
  EXPECT_EQ(Read(state.Announce(done, V4(1), 2)).downloaded, 1);
  // Who was never seen fetching does not count.
  const Reply reply = Read(state.Announce(done, V4(2), 3));
  EXPECT_EQ(reply.downloaded, 1);
  EXPECT_EQ(reply.complete, 2);
}

TEST(TrackerStateTest, ForgetsSilentPeersInOrder) {
  TrackerState state({.interval_s = 100}, kSecret);
  state.Announce(Request(1), V4(1), 0);
  state.Announce(Request(1), V4(2), 10);
  state.Announce(Request(1), V4(1), 50);  // renewed
  state.Expire(270);                      // 10 + 2 * 100 + 60
  EXPECT_EQ(state.counts().peers, 2u);
  state.Expire(271);
  EXPECT_EQ(state.counts().peers, 1u);
  state.Expire(311);
  EXPECT_EQ(state.counts().peers, 0u);
  EXPECT_EQ(state.counts().swarms, 0u);
}

TEST(TrackerStateTest, BoundsPeersSwarmsAndAnswers) {
  TrackerState state({.max_swarms = 2,
                      .max_peers_per_swarm = 300,
                      .max_peers = 301,
                      .max_numwant = 200},
                     kSecret);
  for (uint16_t port = 1; port <= 300; ++port) {
    state.Announce(Request(1, port), V4(1), 0);
  }
  AnnounceRequest greedy = Request(1, 301);
  greedy.numwant = UINT32_MAX;
  const Reply full = Read(state.Announce(greedy, V4(1), 0));
  EXPECT_NE(full.warning, "");
  EXPECT_EQ(full.peers.size(), 200u * 6);
  EXPECT_EQ(full.incomplete, 300);
  std::set<std::string> distinct;
  for (size_t i = 0; i < full.peers.size(); i += 6) {
    distinct.insert(full.peers.substr(i, 6));
  }
  EXPECT_EQ(distinct.size(), 200u);

  AnnounceRequest other = Request(1);
  other.swarm = Swarm(0xbb);
  EXPECT_EQ(Read(state.Announce(other, V4(1), 0)).warning, "");
  other.swarm = Swarm(0xcc);
  EXPECT_NE(Read(state.Announce(other, V4(1), 0)).failure, "");
  EXPECT_EQ(state.counts().peers, 301u);
}

TEST(TrackerStateTest, ServesOnlyWhatIsAllowed) {
  TrackerState state({}, kSecret);
  state.Allow(Swarm(0xbb));
  EXPECT_NE(Read(state.Announce(Request(1), V4(1), 0)).failure, "");
  EXPECT_EQ(state.counts().refused, 1u);
  AnnounceRequest allowed = Request(1);
  allowed.swarm = Swarm(0xbb);
  EXPECT_EQ(Read(state.Announce(allowed, V4(1), 0)).incomplete, 1);
}

TEST(TrackerStateTest, ScrapesInOrderAndOnce) {
  TrackerState state({}, kSecret);
  state.Announce(Request(0), V4(1), 0);
  const std::string hash(20, '\xaa');
  EXPECT_EQ(state.Scrape({Swarm(0xbb), Swarm(0xaa), Swarm(0xaa)}, 0),
            "d5:filesd20:" + hash +
                "d8:completei1e10:downloadedi0e10:incompletei0eeee");
}

// Random work against counts that are kept by hand.
TEST(TrackerStateTest, KeepsItsListsRightOverManyChanges) {
  TrackerState state({.interval_s = 50}, kSecret);
  struct Known {
    uint32_t seen_s;
    bool seed;
  };
  std::map<uint16_t, Known> known;
  uint32_t random = 1;
  for (uint32_t now = 0; now < 4000; ++now) {
    random = random * 1664525u + 1013904223u;
    const auto port = static_cast<uint16_t>(1 + (random >> 16) % 97);
    AnnounceRequest request = Request((random >> 8) & 1, port);
    std::erase_if(known, [now](const auto& entry) {
      return entry.second.seen_s + 160 < now;
    });
    if ((random >> 9) % 5 == 0) {
      request.event = AnnounceEvent::kStopped;
      known.erase(port);
    } else {
      known[port] = {now, request.left == 0};
    }
    const Reply reply = Read(state.Announce(request, V4(1), now));
    const auto seeds =
        std::count_if(known.begin(), known.end(),
                      [](const auto& entry) { return entry.second.seed; });
    ASSERT_EQ(reply.complete, seeds);
    ASSERT_EQ(reply.complete + reply.incomplete,
              static_cast<int64_t>(known.size()));
  }
}

TEST(TrackerRequestTest, ReadsWhatBep3Sends) {
  const auto request = ParseAnnounce(
      "info_hash=%AA%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa"
      "&peer_id=-LS0100-abcdefghijkl&port=6699&uploaded=0&downloaded=0&left=7"
      "&compact=1&numwant=30&event=completed&ip=192.0.2.1&x=%zz");
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->swarm, Swarm(0xaa));
  EXPECT_EQ(request->port, 6699);
  EXPECT_EQ(request->left, 7u);
  EXPECT_EQ(request->numwant, 30u);
  EXPECT_EQ(request->event, AnnounceEvent::kCompleted);
}

TEST(TrackerRequestTest, RefusesWhatIsNoAnnounce) {
  const std::string hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
  for (const std::string& query :
       {std::string(), std::string("port=1"), hash, hash + "&port=0",
        hash + "&port=65536", hash + "&port=-1", hash + "&port=1x",
        hash + "&port=1&left=-1", hash + "&port=1&left=99999999999999999999",
        hash + "&port=1&numwant=a", hash + "&port=1&peer_id=short",
        hash + "&port=1&" + hash, hash + "a&port=1",
        std::string("info_hash=%a&port=1"), std::string("info_hash=%&port=1"),
        std::string("info_hash=%gg&port=1")}) {
    EXPECT_FALSE(ParseAnnounce(query).has_value()) << query;
  }
  EXPECT_TRUE(ParseAnnounce(hash + "&port=1&numwant=-1").has_value());
}

TEST(TrackerRequestTest, BoundsAScrape) {
  const std::string hash = "info_hash=aaaaaaaaaaaaaaaaaaaa&";
  std::string query;
  for (int i = 0; i < 74; ++i) query += hash;
  EXPECT_EQ(ParseScrape(query).value().size(), 74u);
  EXPECT_FALSE(ParseScrape(query + hash).has_value());
  EXPECT_FALSE(ParseScrape("").has_value());
}

}  // namespace
}  // namespace p2p
