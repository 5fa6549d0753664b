// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/confirm.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;

constexpr int kLookMs = 100;
constexpr size_t kMaxAnswerBytes = 1000;

verify::Unexpected Interrupted() {
  return Fail(ErrorCode::kCancelled, "interrupted").Id("E-INTERRUPTED");
}

}  // namespace

Result<std::string> ReadAnswer(const verify::CancelToken& cancel, bool& ended) {
  std::string line;
  ended = false;
  while (line.size() < kMaxAnswerBytes) {
    if (cancel.cancelled()) return Interrupted();
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, kLookMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char c = 0;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      ended = true;
      break;
    }
    if (c == '\n') break;
    line.push_back(c);
  }
  return line;
}

bool CanAsk(const Context& context) {
  return !context.interaction.yes && !context.interaction.no_input &&
         !context.output.json() && ::isatty(STDIN_FILENO) == 1 &&
         ::isatty(STDERR_FILENO) == 1;
}

Result<void> Confirm(const std::string& question, Context& context) {
  if (!CanAsk(context)) return {};
  while (true) {
    std::fprintf(stderr, "%s [Y/n] ", question.c_str());
    std::fflush(stderr);
    bool ended = false;
    ASSIGN_OR_RETURN(const std::string line, ReadAnswer(context.cancel, ended));
    const std::string answer = verify::AsciiLower(verify::TrimAscii(line));
    if (!ended && (answer.empty() || answer == "y" || answer == "yes")) {
      return {};
    }
    if (ended || answer == "n" || answer == "no") {
      return Fail(ErrorCode::kCancelled, "not fetched: the answer was no")
          .Id("E-DECLINED");
    }
  }
}

}  // namespace cli
