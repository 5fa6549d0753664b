// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/passphrase.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <span>
#include <string_view>

#include "cli/flows/confirm.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::Secret;
using verify::StrCat;

constexpr size_t kMaxPassphraseBytes = 1000;

// What is typed is not shown until this goes.
class Unseen {
 public:
  Unseen() {
    active_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
    if (!active_) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
  }
  ~Unseen() {
    if (!active_) return;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    std::fputc('\n', stderr);
  }
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;

 private:
  bool active_ = false;
  termios before_{};
};

Secret TakeText(std::string& text) {
  Secret secret{std::string_view(text)};
  verify::WipeBytes(std::as_writable_bytes(std::span(text)));
  return secret;
}

Result<Secret> Ask(const std::string& question, Context& context) {
  // First: whoever sees the question may type at once.
  const Unseen unseen;
  std::fprintf(stderr, "%s: ", question.c_str());
  std::fflush(stderr);
  bool ended = false;
  ASSIGN_OR_RETURN(std::string line, ReadAnswer(context.cancel, ended));
  return TakeText(line);
}

}  // namespace

Result<Secret> AskPassphrase(const std::string& file,
                             const std::string& key_name, PassphraseUse use,
                             Context& context) {
  if (!file.empty()) {
    ASSIGN_OR_RETURN(std::string text,
                     verify::ReadSmallTextFile(file, 2 * kMaxPassphraseBytes));
    size_t end = std::min(text.find('\n'), text.size());
    if (end > 0 && text[end - 1] == '\r') --end;
    if (end > kMaxPassphraseBytes) {
      return Fail(ErrorCode::kLimit, "the passphrase is too long")
          .Id("E-PASSPHRASE");
    }
    Secret secret{std::string_view(text).substr(0, end)};
    verify::WipeBytes(std::as_writable_bytes(std::span(text)));
    return secret;
  }
  if (!CanAsk(context)) return Secret();
  const std::string name = verify::EscapeForTerminal(key_name, 80);
  if (use == PassphraseUse::kUnlock) {
    return Ask(StrCat("passphrase of ", name), context);
  }
  ASSIGN_OR_RETURN(
      Secret first,
      Ask(StrCat("new passphrase of ", name, " (empty: none)"), context));
  ASSIGN_OR_RETURN(const Secret second, Ask("the same again", context));
  if (first.text() != second.text()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the two passphrases are not the same")
        .Id("E-PASSPHRASE");
  }
  return first;
}

}  // namespace cli
