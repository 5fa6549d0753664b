// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace cli {
namespace {

// A signal handler reaches nothing but globals; these are the only ones.
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<verify::CancelToken*> g_token{nullptr};
std::atomic<verify::CancelToken*> g_scoped{nullptr};
std::atomic<int> g_signal{0};
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

ExitCode CodeOf(int signal_number) {
  return signal_number == SIGINT ? ExitCode::kInterrupted
                                 : ExitCode::kTerminated;
}

extern "C" void OnSignal(int signal_number) {
  if (verify::CancelToken* scoped = g_scoped.load()) {
    // A second Ctrl-C that finds the answer still running ends the program.
    const bool again = scoped->cancelled();
    scoped->Cancel();
    if (signal_number == SIGINT && !again) return;
  }
  if (g_signal.exchange(signal_number) != 0) {
    ::_exit(static_cast<int>(CodeOf(signal_number)));
  }
  if (verify::CancelToken* token = g_token.load()) token->Cancel();
}

}  // namespace

void InstallSignalHandlers(verify::CancelToken* token) {
  g_token.store(token);
  struct sigaction action {};
  action.sa_handler = OnSignal;
  ::sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read from the terminal must return.
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    ::sigaction(signal_number, &action, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigemptyset(&ignore.sa_mask);
  ::sigaction(SIGPIPE, &ignore, nullptr);
  // A file-size limit is then a write error as well.
  ::sigaction(SIGXFSZ, &ignore, nullptr);
}

std::optional<ExitCode> SignalExitCode() {
  const int signal_number = g_signal.load();
  if (signal_number == 0) return std::nullopt;
  return CodeOf(signal_number);
}

ScopedInterrupt::ScopedInterrupt() { g_scoped.store(&token_); }

ScopedInterrupt::~ScopedInterrupt() { g_scoped.store(nullptr); }

}  // namespace cli
