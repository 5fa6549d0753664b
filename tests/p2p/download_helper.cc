// SPDX-License-Identifier: Apache-2.0
// One download in a process of its own, for tests that kill it or limit its
// resources: prints "done BYTES" with each report and "end ID" at the end,
// where ID is "ok" or the error's.
//   p2p_download_helper TORRENT WORK PORT BYTES_PER_S [FILE_SIZE_LIMIT]
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "p2p/download.h"
#include "tests/support/loopback_swarm.h"
#include "verify/base/file.h"

namespace {

class PrintingSink final : public p2p::TransferSink {
 public:
  void OnPlan(const p2p::TransferPlan&) override {
    std::puts("plan");
    std::fflush(stdout);
  }
  void OnProgress(const p2p::TransferProgress& progress) override {
    std::printf("done %llu\n",
                static_cast<unsigned long long>(progress.done_bytes));
    std::fflush(stdout);
  }
  void OnNotice(const p2p::TransferNotice&) override {}
  void OnListen(const std::string&) override {
    std::puts("listen");
    std::fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  auto torrent = verify::ReadSmallFile(argv[1], 1u << 20);
  if (!torrent) return 2;
  p2p::DownloadOptions options;
  options.torrent = std::move(torrent).value();
  options.work_folder = argv[2];
  options.session = tests::LoopbackSettings();
  options.session.peers.emplace_back("127.0.0.1",
                                     static_cast<uint16_t>(std::atoi(argv[3])));
  options.session.down_bytes_per_s = static_cast<uint64_t>(std::atoll(argv[4]));
  options.stall_timeout_s = 30;
  if (argc > 5) {
    // A file that grows past the limit fails as on a full disk, once the
    // signal is out of the way.
    ::signal(SIGXFSZ, SIG_IGN);
    const auto limit = static_cast<rlim_t>(std::atoll(argv[5]));
    const struct rlimit limits { limit, limit };
    if (::setrlimit(RLIMIT_FSIZE, &limits) != 0) return 2;
  }
  PrintingSink sink;
  const verify::CancelToken cancel;
  const auto outcome = p2p::Download(options, cancel, sink);
  if (outcome) {
    std::puts("end ok");
  } else {
    std::printf("end %s\n", outcome.error().id.c_str());
    std::fprintf(stderr, "%s\n", outcome.error().ToString().c_str());
  }
  return 0;
}
