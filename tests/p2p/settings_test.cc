// SPDX-License-Identifier: Apache-2.0
// What a user sets about a session, seen from what sessions then do.
#include "p2p/settings.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "p2p/lt_bridge.h"
#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

using lt::settings_pack;
using p2p::EncryptionPolicy;
using verify::CancelToken;

TestTorrent SmallTorrent(size_t bytes = 300'000) {
  return MakeV1Torrent("model", {{"weights.bin", NoiseBytes(bytes, 3)}},
                       16 << 10);
}

lt::settings_pack Pack(const p2p::SessionSettings& settings) {
  return p2p::MakeSettings(settings, p2p::SessionRole::kDownload, 0, {});
}

TEST(SessionSettingsTest, LimitsReachTheEngine) {
  p2p::SessionSettings settings;
  settings.max_connections = 7;
  settings.max_uploads = 3;
  settings.down_bytes_per_s = 5'000'000;
  settings.interface_name = "eth7";
  const lt::settings_pack pack = Pack(settings);
  EXPECT_EQ(pack.get_int(settings_pack::connections_limit), 7);
  EXPECT_EQ(pack.get_int(settings_pack::unchoke_slots_limit), 3);
  EXPECT_EQ(pack.get_int(settings_pack::download_rate_limit), 5'000'000);
  EXPECT_EQ(pack.get_str(settings_pack::listen_interfaces), "eth7:0");
  EXPECT_EQ(pack.get_str(settings_pack::outgoing_interfaces), "eth7");
}

TEST(SessionSettingsTest, RouterIsAskedOnlyIfWanted) {
  EXPECT_FALSE(Pack({}).get_bool(settings_pack::enable_upnp));
  EXPECT_FALSE(Pack({}).get_bool(settings_pack::enable_natpmp));
  p2p::SessionSettings settings;
  settings.port_map = true;
  EXPECT_TRUE(Pack(settings).get_bool(settings_pack::enable_upnp));
  EXPECT_TRUE(Pack(settings).get_bool(settings_pack::enable_natpmp));
}

TEST(SessionSettingsTest, AProxyCoversPeersTrackersAndNames) {
  p2p::SessionSettings settings;
  settings.proxy = *p2p::ParseProxyUrl("socks5://192.0.2.1:9050");
  settings.proxy.user = "me";
  const lt::settings_pack pack = Pack(p2p::Effective(settings));
  EXPECT_EQ(pack.get_int(settings_pack::proxy_type), settings_pack::socks5_pw);
  EXPECT_EQ(pack.get_str(settings_pack::proxy_hostname), "192.0.2.1");
  EXPECT_EQ(pack.get_int(settings_pack::proxy_port), 9050);
  for (const int name :
       {settings_pack::proxy_hostnames, settings_pack::proxy_peer_connections,
        settings_pack::proxy_tracker_connections,
        settings_pack::anonymous_mode}) {
    EXPECT_TRUE(pack.get_bool(name)) << name;
  }
  EXPECT_FALSE(pack.get_bool(settings_pack::enable_dht));
  EXPECT_FALSE(pack.get_bool(settings_pack::enable_lsd));
  EXPECT_EQ(pack.get_str(settings_pack::peer_fingerprint), "");
}

// Fetches from a seeder with one policy by another; true if all came.
bool Meet(EncryptionPolicy seeder_policy, EncryptionPolicy policy) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.File("source"));
  p2p::SeedOptions serve = ServeOptions(torrent, temp.File("source"));
  serve.session.encryption = seeder_policy;
  SeedThread seeder(serve);
  auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  options.session.encryption = policy;
  options.metadata_timeout_s = 4;
  RecordingSink sink;
  const auto outcome = p2p::Download(options, CancelToken(), sink);
  if (!outcome) {
    EXPECT_EQ(outcome.error().code, verify::ErrorCode::kNetwork);
  }
  return outcome.has_value();
}

TEST(EncryptionTest, PeersMeetWhereTheirPoliciesDo) {
  EXPECT_TRUE(Meet(EncryptionPolicy::kRequire, EncryptionPolicy::kRequire));
  EXPECT_TRUE(Meet(EncryptionPolicy::kPrefer, EncryptionPolicy::kRequire));
  EXPECT_TRUE(Meet(EncryptionPolicy::kPrefer, EncryptionPolicy::kOff));
  EXPECT_FALSE(Meet(EncryptionPolicy::kOff, EncryptionPolicy::kRequire));
}

TEST(IpFilterTest, BlocksPeersThatOthersNameAndNotThoseOfTheUser) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.magnet.peers.emplace_back("127.0.0.1", seeder.port());
  options.session.blocked = {*p2p::ParseIpRange("127.0.0.0/8")};
  options.metadata_timeout_s = 3;
  RecordingSink sink;
  const auto blocked = p2p::Download(options, CancelToken(), sink);
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().id, "E-NO-PEERS");
  // The same link without the list; and with it, by the user's own word.
  auto open = options;
  open.work_folder = temp.File("open");
  open.session.blocked.clear();
  EXPECT_TRUE(p2p::Download(open, CancelToken(), sink));
  options.session.peers.emplace_back("127.0.0.1", seeder.port());
  EXPECT_TRUE(p2p::Download(options, CancelToken(), sink));
}

TEST(RateScheduleTest, IsFollowedWhileATransferRuns) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent(3'000'000);
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  p2p::RateRule morning;
  morning.days.fill(true);
  morning.begin_minute = 6 * 60;
  morning.end_minute = 12 * 60;
  morning.down_bytes_per_s = 100'000;  // half a minute for all of it
  options.session.schedule = {morning};
  std::atomic<int> minute = 11 * 60;
  options.session.week_time = [&] { return p2p::WeekTime{2, minute}; };
  RecordingSink sink;
  uint64_t done_at_noon = 0;
  sink.on_progress = [&](const p2p::TransferProgress& progress) {
    if (progress.done_bytes < 100'000 || minute >= 12 * 60) return;
    done_at_noon = progress.done_bytes;
    minute = 12 * 60;
  };
  const auto start = std::chrono::steady_clock::now();
  const auto outcome = p2p::Download(options, CancelToken(), sink);
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_TRUE(sink.HasNotice("RATES"));
  // Held back before noon, let go after it.
  EXPECT_LT(done_at_noon, 1'000'000u);
  EXPECT_LT(elapsed.count(), 20);
}

}  // namespace
}  // namespace tests
