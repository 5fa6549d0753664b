// SPDX-License-Identifier: Apache-2.0
// A secret that callers of an HTTP server show in the Authorization header: it
// comes from a file that only its owner reads, never from a flag or a URL.
// Tested by tests/cli/web/bearer_token_test.cc.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "verify/base/result.h"
#include "verify/digest/digest.h"

namespace cli {

// The file's one line. Errors: kInvalidArgument with id E-TOKEN (others may
// read the file or own it, it is no regular file, the token has fewer than 16
// or more than 512 characters, or one that is blank or not ASCII), kNotFound,
// kIo.
verify::Result<std::string> ReadTokenFile(const std::string& path);

// Lets callers with the token in, and bounds how fast it can be guessed. Used
// by one thread.
class BearerGate {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Verdict { kPass, kWrong, kTooMany };
  // So many wrong tokens within so long, then nobody gets in until it is over.
  static constexpr int kMaxFailures = 10;
  static constexpr auto kWindow = std::chrono::seconds(30);

  explicit BearerGate(std::string_view token);

  // `authorization`: the header's value, "Bearer TOKEN"; empty if there is
  // none. The time that the comparison takes does not depend on the token.
  Verdict Judge(std::string_view authorization, Clock::time_point now);

 private:
  verify::Sha256Digest digest_;  // of the token
  int failures_ = 0;
  Clock::time_point window_begin_{};
};

}  // namespace cli
