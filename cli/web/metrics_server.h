// SPDX-License-Identifier: Apache-2.0
// Answers GET /metrics on a loopback address, and nothing else. The Host header
// must name that address (a web page that had its own name resolve to loopback
// learns nothing), and with a token the Authorization header must show it.
// Tested by tests/cli/web/metrics_server_test.cc.
#pragma once

#include <memory>
#include <string>

#include "verify/base/result.h"

namespace cli {

// Thread-safe. Serves on a thread of its own until destruction.
class MetricsServer {
 public:
  // `listen`: "127.0.0.1:PORT", "[::1]:PORT" or "localhost:PORT"; port 0 lets
  // the system choose. Errors: kInvalidArgument (another address: id E-USAGE),
  // kBusy (the port is taken: id E-PORT), kIo. `token`: of ReadTokenFile;
  // empty: whoever can reach loopback may read.
  static verify::Result<std::unique_ptr<MetricsServer>> Start(
      const std::string& listen, const std::string& token = "");
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // "127.0.0.1:9100".
  const std::string& endpoint() const;
  // What is answered from now on.
  void SetText(std::string text);

 private:
  class Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cli
