// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "cli/version.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"

namespace cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kProgressInterval = std::chrono::milliseconds(500);
// Plain mode prints a line per step of 5 %, and one when nothing else came
// for 30 s.
constexpr int kPlainSteps = 20;
constexpr auto kPlainInterval = std::chrono::seconds(30);

double SecondsBetween(steady_clock::time_point from,
                      steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

size_t TerminalWidth() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
    return size.ws_col;
  }
  return 80;
}

std::string CpuName() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return "x86-64 avx512";
  if (__builtin_cpu_supports("avx2")) return "x86-64 avx2";
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

uint64_t RamBytes() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return 0;
  return static_cast<uint64_t>(info.totalram) * info.mem_unit;
}

// JSON lines are UTF-8 whatever stood in a name; bad bytes become U+FFFD.
std::string Dump(const Fields& fields) {
  return fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ProgressText(const ProgressRecord& record, double rate) {
  std::string text = record.stage;
  if (record.total_bytes > 0) {
    const double percent = 100.0 * static_cast<double>(record.done_bytes) /
                           static_cast<double>(record.total_bytes);
    text += fmt::format("  {:5.1f} %  {} of {}", std::floor(percent * 10) / 10,
                        verify::FormatSize(record.done_bytes),
                        verify::FormatSize(record.total_bytes));
  }
  const double shown = record.peers >= 0 ? record.rate_down : rate;
  if (shown > 0) {
    text += "  " + verify::FormatRate(shown);
    if (record.total_bytes > record.done_bytes) {
      text += "  " +
              verify::FormatDuration(
                  static_cast<double>(record.total_bytes - record.done_bytes) /
                  shown) +
              " left";
    }
  }
  if (record.rate_up > 1) {
    text += "  up " + verify::FormatRate(record.rate_up);
  }
  if (!record.idle.empty()) return text + "  " + record.idle;
  if (record.peers == 0 &&
      (record.total_bytes == 0 || record.done_bytes < record.total_bytes)) {
    text += "  no peers yet";
  }
  if (record.peers > 0) {
    text +=
        fmt::format("  {} peer{}", record.peers, record.peers == 1 ? "" : "s");
  }
  return text;
}

}  // namespace

std::string Timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(
                          now.time_since_epoch())
                          .count() %
                      1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> buffer{};
  std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", buffer.data(), millis);
}

std::string ErrorName(const verify::Error& error) {
  return error.id.empty() ? std::string(verify::ErrorCodeName(error.code))
                          : error.id;
}

Output::Output(const OutputOptions& options)
    : options_(options),
      started_(steady_clock::now()),
      last_progress_(started_ - kPlainInterval),
      rate_since_(started_) {
  if (options_.progress == ProgressMode::kAuto) {
    const char* term = std::getenv("TERM");
    const bool terminal = ::isatty(STDERR_FILENO) == 1 && term != nullptr &&
                          std::string_view(term) != "dumb";
    bar_ = terminal;
    options_.progress = terminal ? ProgressMode::kBar : ProgressMode::kPlain;
  } else {
    bar_ = options_.progress == ProgressMode::kBar;
  }
  job_ = fmt::format("j{}", ::getpid());
}

Output::~Output() {
  const std::lock_guard lock(mu_);
  ClearBarLocked();
}

bool Output::failed() const {
  const std::lock_guard lock(mu_);
  return failed_;
}

void Output::WriteLocked(std::FILE* stream, std::string_view text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stream) == text.size() &&
      std::fflush(stream) == 0;
  if (!written && stream == stdout) failed_ = true;
}

void Output::ClearBarLocked() {
  if (bar_width_ == 0) return;
  WriteLocked(stderr, "\r" + std::string(bar_width_, ' ') + "\r");
  bar_width_ = 0;
}

void Output::KeepEvents() {
  const std::lock_guard lock(mu_);
  keep_ = true;
  kept_.clear();
}

std::vector<KeptEvent> Output::kept_events() const {
  const std::lock_guard lock(mu_);
  return kept_;
}

std::vector<std::string> Output::arguments() const {
  const std::lock_guard lock(mu_);
  return arguments_;
}

void Output::EmitLocked(std::string_view type, const Fields& fields) {
  if (keep_ && (type == "check" || type == "warning" || type == "stage")) {
    kept_.push_back({std::string(type), fields});
  }
  if (!options_.json) return;
  if (options_.document) {
    if (type == "warning") document_warnings_.push_back(fields);
    if (type == "error") document_error_ = fields;
    return;
  }
  Fields event;
  event["v"] = 1;
  event["type"] = type;
  event["seq"] = seq_++;
  event["ts"] = Timestamp();
  event["job"] = job_;
  event["verb"] = verb_;
  for (const auto& [key, value] : fields.items()) event[key] = value;
  WriteLocked(stdout, Dump(event) + "\n");
}

void Output::EmitDocumentLocked(ExitCode code, const Fields& summary) {
  Fields document{{"v", 1}, {"verb", verb_}};
  for (const auto& [key, value] : summary.items()) document[key] = value;
  if (!document_warnings_.empty()) document["warnings"] = document_warnings_;
  if (!document_error_.is_null()) {
    Fields error;
    for (const char* key : {"code", "message", "hint", "offset"}) {
      if (document_error_.contains(key)) error[key] = document_error_[key];
    }
    document["error"] = std::move(error);
  }
  if (code != ExitCode::kOk) {
    document["exit_code"] = static_cast<int>(code);
    document["exit_name"] = ExitCodeName(code);
  }
  WriteLocked(stdout, Dump(document) + "\n");
}

void Output::Start(std::string_view verb,
                   const std::vector<std::string>& argv) {
  const std::lock_guard lock(mu_);
  verb_ = verb;
  arguments_ = argv;
  EmitLocked("start", {{"version", kVersion},
                       {"argv", argv},
                       {"pid", ::getpid()},
                       {"host",
                        {{"cpu", CpuName()},
                         {"threads", verify::AvailableProcessors()},
                         {"ram", RamBytes()}}}});
}

void Output::Event(std::string_view type, const Fields& fields) {
  const std::lock_guard lock(mu_);
  EmitLocked(type, fields);
}

void Output::StageBegin(std::string_view stage) {
  const std::lock_guard lock(mu_);
  EmitLocked("stage", {{"stage", stage}, {"state", "begin"}, {"ok", nullptr}});
}

void Output::StageEnd(std::string_view stage, bool ok, std::string_view text) {
  const std::lock_guard lock(mu_);
  EmitLocked("stage", {{"stage", stage}, {"state", "end"}, {"ok", ok}});
  if (options_.json || options_.quiet || text.empty()) return;
  ClearBarLocked();
  WriteLocked(stderr, fmt::format("{:<4}  {:<10} {}\n", ok ? "ok" : "FAIL",
                                  stage, text));
}

void Output::Progress(const ProgressRecord& record) {
  const std::lock_guard lock(mu_);
  if (options_.progress == ProgressMode::kNone && !options_.json) return;
  const auto now = steady_clock::now();
  const bool new_stage = record.stage != last_stage_;
  if (new_stage) {
    last_stage_ = record.stage;
    last_plain_step_ = -1;
    rate_since_ = now;
    rate_from_bytes_ = record.done_bytes;
    rate_ = 0;
  } else if (now - last_progress_ < kProgressInterval) {
    return;
  }
  if (const double elapsed = SecondsBetween(rate_since_, now); elapsed > 1) {
    const double fresh =
        static_cast<double>(record.done_bytes -
                            std::min(record.done_bytes, rate_from_bytes_)) /
        elapsed;
    rate_ = rate_ == 0 ? fresh : 0.7 * rate_ + 0.3 * fresh;
    rate_since_ = now;
    rate_from_bytes_ = record.done_bytes;
  }
  if (options_.json) {
    last_progress_ = now;
    Fields fields{{"stage", record.stage},
                  {"done_bytes", record.done_bytes},
                  {"total_bytes", record.total_bytes}};
    fields["fraction"] = record.total_bytes == 0
                             ? 0.0
                             : static_cast<double>(record.done_bytes) /
                                   static_cast<double>(record.total_bytes);
    const double rate = record.peers >= 0 ? record.rate_down : rate_;
    fields["rate_down"] = record.peers >= 0 ? record.rate_down : 0.0;
    fields["rate_up"] = record.rate_up;
    if (rate > 0 && record.total_bytes >= record.done_bytes) {
      fields["eta_s"] =
          static_cast<double>(record.total_bytes - record.done_bytes) / rate;
    } else {
      fields["eta_s"] = nullptr;
    }
    if (record.peers >= 0) {
      fields["peers"] = record.peers;
      fields["seeds"] = record.seeds;
      fields["availability"] = record.availability;
    }
    fields["item"] = record.item;
    if (record.pieces_done >= 0) fields["pieces_done"] = record.pieces_done;
    if (!record.swarm.is_null()) fields["swarm"] = record.swarm;
    EmitLocked("progress", fields);
    return;
  }
  if (options_.quiet) return;
  const std::string text = ProgressText(record, rate_);
  if (bar_) {
    last_progress_ = now;
    const std::string shown =
        verify::EscapeForTerminal(text, TerminalWidth() - 4);
    const size_t width = shown.size();
    std::string line = "\r" + shown;
    if (width < bar_width_) line += std::string(bar_width_ - width, ' ');
    bar_width_ = std::max(width, bar_width_);
    WriteLocked(stderr, line);
    return;
  }
  const int step =
      record.total_bytes == 0
          ? 0
          : static_cast<int>(static_cast<double>(record.done_bytes) *
                             kPlainSteps /
                             static_cast<double>(record.total_bytes));
  if (step <= last_plain_step_ && now - last_progress_ < kPlainInterval) {
    return;
  }
  // The first step of a short stage would only repeat its end line.
  const bool first = last_plain_step_ < 0;
  last_plain_step_ = step;
  last_progress_ = now;
  if (!first) WriteLocked(stderr, "      " + text + "\n");
}

void Output::Say(std::string_view line) {
  if (options_.json || options_.quiet) return;
  const std::lock_guard lock(mu_);
  ClearBarLocked();
  WriteLocked(stderr, std::string(line) + "\n");
}

void Output::Print(std::string_view line) {
  if (options_.json) return;
  const std::lock_guard lock(mu_);
  ClearBarLocked();
  WriteLocked(stdout, std::string(line) + "\n");
}

void Output::PrintPart(std::string_view text) {
  if (options_.json || text.empty()) return;
  const std::lock_guard lock(mu_);
  ClearBarLocked();
  WriteLocked(stdout, text);
}

void Output::Warning(std::string_view code, std::string_view message,
                     std::string_view hint) {
  const std::lock_guard lock(mu_);
  EmitLocked("warning", {{"code", code}, {"message", message}, {"hint", hint}});
  if (options_.json || options_.quiet) return;
  ClearBarLocked();
  std::string line = "warning: " + std::string(message);
  if (!hint.empty()) line += "; " + std::string(hint);
  WriteLocked(stderr, line + "\n");
}

void Output::Error(const verify::Error& error) {
  const std::lock_guard lock(mu_);
  Fields fields{{"code", ErrorName(error)},
                {"message", error.message},
                {"hint", error.hint},
                {"path", nullptr},
                {"fatal", true}};
  if (error.offset.has_value()) fields["offset"] = *error.offset;
  EmitLocked("error", fields);
  if (options_.json) return;
  ClearBarLocked();
  std::string line = "error";
  if (!error.id.empty()) line += "[" + error.id + "]";
  line += ": " + error.ToString();
  if (!error.hint.empty()) line += "; " + error.hint;
  WriteLocked(stderr, line + "\n");
}

void Output::Finish(ExitCode code, std::string_view path, const Fields& summary,
                    const std::vector<std::string>& next) {
  const std::lock_guard lock(mu_);
  Fields fields{{"ok", code == ExitCode::kOk},
                {"exit_code", static_cast<int>(code)},
                {"exit_name", ExitCodeName(code)}};
  fields["path"] = path.empty() ? Fields(nullptr) : Fields(path);
  fields["summary"] = summary.is_null() ? Fields::object() : summary;
  fields["elapsed_s"] = SecondsBetween(started_, steady_clock::now());
  fields["next"] = next;
  EmitLocked("result", fields);
  if (options_.json && options_.document) EmitDocumentLocked(code, summary);
  if (options_.json || options_.quiet) return;
  ClearBarLocked();
  for (const std::string& command : next) {
    WriteLocked(stderr, "next: " + command + "\n");
  }
}

void StageProgress::OnProgress(std::string_view item, uint64_t done_bytes,
                               uint64_t total_bytes) {
  ProgressRecord record;
  record.stage = stage_;
  record.item = item;
  record.done_bytes = done_bytes;
  record.total_bytes = total_bytes;
  output_.Progress(record);
}

}  // namespace cli
