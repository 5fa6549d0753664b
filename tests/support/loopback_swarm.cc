// SPDX-License-Identifier: Apache-2.0
#include "tests/support/loopback_swarm.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/create_torrent.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_info.hpp>
#include <map>
#include <random>

#include "tests/support/temp_dir.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using verify::StrCat;

std::string Sha1(const std::string& bytes) {
  std::string digest(20, '\0');
  CHECK(EVP_Digest(bytes.data(), bytes.size(),
                   reinterpret_cast<unsigned char*>(digest.data()), nullptr,
                   EVP_sha1(), nullptr) == 1);
  return digest;
}

std::string Bencoded(const std::string& text) {
  return StrCat(text.size(), ":", text);
}

std::vector<std::byte> ToBytes(const std::string& text) {
  const verify::ByteSpan bytes = verify::AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

std::string PayloadPath(const TestFile& file, const std::string& top) {
  return file.path.empty() ? top : StrCat(top, "/", file.path);
}

// "d6:lengthi3e4:pathl1:a1:bee"
std::string FileEntry(const TestFile& file) {
  std::string entry = StrCat("d6:lengthi", file.content.size(), "e4:pathl");
  size_t begin = 0;
  while (begin <= file.path.size()) {
    const size_t end = std::min(file.path.find('/', begin), file.path.size());
    entry += Bencoded(file.path.substr(begin, end - begin));
    begin = end + 1;
  }
  return entry + "ee";
}

}  // namespace

uint64_t TestTorrent::total_bytes() const {
  uint64_t total = 0;
  for (const TestFile& file : files) total += file.content.size();
  return total;
}

std::string NoiseBytes(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; i += 4) {
    const uint32_t word = static_cast<uint32_t>(generator());
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(4, count - i));
  }
  return bytes;
}

TestTorrent MakeV1Torrent(const std::string& name, std::vector<TestFile> files,
                          size_t piece_length) {
  TestTorrent torrent;
  torrent.name = name;
  torrent.files = std::move(files);
  std::string payload;
  for (const TestFile& file : torrent.files) payload += file.content;
  std::string pieces;
  for (size_t at = 0; at < payload.size(); at += piece_length) {
    pieces += Sha1(payload.substr(at, piece_length));
  }
  const bool single = torrent.files.front().path.empty();
  std::string info = "d";
  if (single) {
    info += StrCat("6:lengthi", payload.size(), "e");
  } else {
    info += "5:filesl";
    for (const TestFile& file : torrent.files) info += FileEntry(file);
    info += "e";
  }
  info += "4:name" + Bencoded(name);
  info += StrCat("12:piece lengthi", piece_length, "e");
  info += "6:pieces" + Bencoded(pieces) + "e";
  torrent.info = info;
  torrent.torrent = ToBytes("d4:info" + info + "e");
  const std::string hash = Sha1(info);
  torrent.magnet.info_hashes.v1.emplace();
  std::memcpy(torrent.magnet.info_hashes.v1->data(), hash.data(), hash.size());
  return torrent;
}

TestTorrent MakeHybridTorrent(const std::string& folder,
                              const std::string& name,
                              std::vector<TestFile> files, int piece_length) {
  TestTorrent torrent;
  torrent.name = name;
  torrent.files = std::move(files);
  WritePayload(torrent, folder);
  lt::file_storage storage;
  for (const TestFile& file : torrent.files) {
    storage.add_file(PayloadPath(file, name),
                     static_cast<int64_t>(file.content.size()));
  }
  lt::create_torrent creator(storage, piece_length);
  lt::set_piece_hashes(creator, folder);
  std::vector<char> buffer;
  lt::bencode(std::back_inserter(buffer), creator.generate());
  torrent.torrent = ToBytes({buffer.data(), buffer.size()});
  const lt::torrent_info info(
      lt::span<const char>(buffer.data(),
                           static_cast<std::ptrdiff_t>(buffer.size())),
      lt::from_span);
  const lt::span<const char> section = info.info_section();
  torrent.info.assign(section.data(), static_cast<size_t>(section.size()));
  auto& hashes = torrent.magnet.info_hashes;
  std::memcpy(hashes.v1.emplace().data(), info.info_hashes().v1.data(), 20);
  std::memcpy(hashes.v2.emplace().data(), info.info_hashes().v2.data(), 32);
  return torrent;
}

void WritePayload(const TestTorrent& torrent, const std::string& folder) {
  for (const TestFile& file : torrent.files) {
    const std::string path =
        PayloadPath(file, StrCat(folder, "/", torrent.name));
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream out(path, std::ios::binary);
    out << file.content;
    out.close();
    CHECK(out.good());
  }
}

std::string DescribeDifference(const TestTorrent& torrent,
                               const std::string& path) {
  std::map<std::string, const std::string*> expected;
  for (const TestFile& file : torrent.files) {
    expected[PayloadPath(file, path)] = &file.content;
  }
  std::vector<std::string> found;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (!entry.is_directory()) found.push_back(entry.path().native());
    }
  } else if (fs::exists(path)) {
    found.push_back(path);
  }
  for (const std::string& file : found) {
    const auto wanted = expected.find(file);
    if (wanted == expected.end()) return "not in the torrent: " + file;
    if (ReadFile(file) != *wanted->second) return "other bytes: " + file;
    expected.erase(wanted);
  }
  return expected.empty() ? "" : "missing: " + expected.begin()->first;
}

p2p::SessionSettings LoopbackSettings() {
  p2p::SessionSettings settings;
  settings.listen_address = "127.0.0.1";
  settings.enable_dht = false;
  settings.enable_lsd = false;
  settings.allow_local = true;
  return settings;
}

void RecordingSink::OnPlan(const p2p::TransferPlan& plan) {
  const std::lock_guard lock(mu_);
  plans_.push_back(plan);
}

void RecordingSink::OnProgress(const p2p::TransferProgress& progress) {
  {
    const std::lock_guard lock(mu_);
    progress_ = progress;
  }
  if (on_progress) on_progress(progress);
}

void RecordingSink::OnNotice(const p2p::TransferNotice& notice) {
  const std::lock_guard lock(mu_);
  notices_.push_back(notice);
}

void RecordingSink::OnListen(const std::string& endpoint) {
  const std::lock_guard lock(mu_);
  endpoints_.push_back(endpoint);
  changed_.notify_all();
}

uint16_t RecordingSink::WaitForPort() {
  std::unique_lock lock(mu_);
  changed_.wait_for(lock, std::chrono::seconds(20),
                    [this] { return !endpoints_.empty(); });
  if (endpoints_.empty()) return 0;
  const std::string& endpoint = endpoints_.front();
  const size_t colon = endpoint.rfind(':');
  uint16_t port = 0;
  std::from_chars(endpoint.data() + colon + 1,
                  endpoint.data() + endpoint.size(), port);
  return port;
}

bool RecordingSink::HasNotice(const std::string& code) const {
  const std::lock_guard lock(mu_);
  return std::any_of(notices_.begin(), notices_.end(),
                     [&](const auto& notice) { return notice.code == code; });
}

std::vector<p2p::TransferPlan> RecordingSink::plans() const {
  const std::lock_guard lock(mu_);
  return plans_;
}

p2p::TransferProgress RecordingSink::last_progress() const {
  const std::lock_guard lock(mu_);
  return progress_;
}

std::vector<std::string> RecordingSink::endpoints() const {
  const std::lock_guard lock(mu_);
  return endpoints_;
}

SeedThread::SeedThread(p2p::SeedOptions options)
    : thread_([this, options = std::move(options)] {
        outcome_.emplace(p2p::Seed(options, cancel_, sink_));
      }) {}

SeedThread::~SeedThread() {
  cancel_.Cancel();
  if (thread_.joinable()) thread_.join();
}

verify::Result<p2p::SeedOutcome> SeedThread::Join() {
  thread_.join();
  return *outcome_;
}

verify::Result<p2p::SeedOutcome> SeedThread::Stop() {
  cancel_.Cancel();
  return Join();
}

struct LyingSeeder::Impl {
  lt::session session;
};

LyingSeeder::LyingSeeder(const TestTorrent& torrent,
                         const std::string& folder) {
  lt::settings_pack pack;
  pack.set_str(lt::settings_pack::listen_interfaces, StrCat(kAddress, ":0"));
  pack.set_bool(lt::settings_pack::enable_dht, false);
  pack.set_bool(lt::settings_pack::enable_lsd, false);
  pack.set_bool(lt::settings_pack::enable_upnp, false);
  pack.set_bool(lt::settings_pack::enable_natpmp, false);
  pack.set_bool(lt::settings_pack::allow_multiple_connections_per_ip, true);
  impl_ = std::make_unique<Impl>(Impl{lt::session(pack)});
  lt::add_torrent_params params;
  const std::string_view text = verify::AsText(torrent.torrent);
  params.ti = std::make_shared<lt::torrent_info>(
      lt::span<const char>(text.data(),
                           static_cast<std::ptrdiff_t>(text.size())),
      lt::from_span);
  params.save_path = folder;
  params.have_pieces.resize(params.ti->num_pieces(), true);
  params.flags |= lt::torrent_flags::no_verify_files;
  params.flags &=
      ~(lt::torrent_flags::paused | lt::torrent_flags::auto_managed);
  impl_->session.add_torrent(params);
  port_ = impl_->session.listen_port();
}

LyingSeeder::~LyingSeeder() = default;

p2p::DownloadOptions FetchOptions(const TestTorrent& torrent,
                                  const std::string& work_folder,
                                  uint16_t port) {
  p2p::DownloadOptions options;
  options.magnet = torrent.magnet;
  options.work_folder = work_folder;
  options.session = LoopbackSettings();
  if (port != 0) options.session.peers.emplace_back("127.0.0.1", port);
  // No test waits for ever.
  options.metadata_timeout_s = 30;
  options.stall_timeout_s = 30;
  return options;
}

p2p::SeedOptions ServeOptions(const TestTorrent& torrent,
                              const std::string& folder) {
  p2p::SeedOptions options;
  options.torrent = torrent.torrent;
  options.save_folder = folder;
  options.session = LoopbackSettings();
  return options;
}

}  // namespace tests
