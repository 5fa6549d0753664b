// SPDX-License-Identifier: Apache-2.0
// All that a command says: results on stdout, talk and progress on stderr; or,
// with --json, one JSON event a line on stdout and nothing else. The events
// are those of docs/json-events.schema.json. A verb that is a document (see
// command.h) prints one object in their place, at its end:
// docs/json-documents.schema.json. Thread-safe.
// Tested by tests/cli/output_test.cc and tests/scripts.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_code.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace cli {

// Fields keep the order in which they are set.
using Fields = nlohmann::ordered_json;

enum class ProgressMode { kAuto, kBar, kPlain, kNone };

struct OutputOptions {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool document = false;  // with json: one object at the end, no events
  ProgressMode progress = ProgressMode::kAuto;
};

// An event that was kept for a report.
struct KeptEvent {
  std::string type;
  Fields fields;
};

// How far a stage is; what is not known stays at its default.
struct ProgressRecord {
  std::string stage;
  std::string item;
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
  double rate_down = 0;
  double rate_up = 0;
  int peers = -1;  // -1: not a transfer
  int seeds = -1;
  double availability = -1;
  int64_t pieces_done = -1;
  // Why nothing comes: a line for people, and the event's `swarm`; empty and
  // null while something does.
  std::string idle;
  Fields swarm;
};

// The name of an error for programs: its id, else the kind.
std::string ErrorName(const verify::Error& error);

// The time in UTC as RFC 3339 has it, with milliseconds.
std::string Timestamp();

class Output {
 public:
  explicit Output(const OutputOptions& options);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  bool json() const { return options_.json; }
  bool verbose() const { return options_.verbose; }
  bool quiet() const { return options_.quiet; }
  // From now on checks, warnings and ends of stages are kept, too, whether or
  // not anybody asked for JSON; those kept before are forgotten.
  void KeepEvents();
  std::vector<KeptEvent> kept_events() const;
  // As given to Start.
  std::vector<std::string> arguments() const;

  // Something could not be written to stdout (closed pipe, full disk).
  bool failed() const;

  // The first event. `argv` as given.
  void Start(std::string_view verb, const std::vector<std::string>& argv);

  // An event of its own type; nothing in text mode.
  void Event(std::string_view type, const Fields& fields);

  // A phase begins or ends. In text mode the end prints "title: text" with
  // ok or FAIL in front; an empty text prints nothing.
  void StageBegin(std::string_view stage);
  void StageEnd(std::string_view stage, bool ok, std::string_view text);

  // At most two a second get through, and the last of a stage.
  void Progress(const ProgressRecord& record);

  // A line for people, on stderr; nothing with --json or --quiet.
  void Say(std::string_view line);
  // A line for people and pipes, on stdout; nothing with --json.
  void Print(std::string_view line);
  // Text without a line end, flushed at once (a streamed answer).
  void PrintPart(std::string_view text);

  void Warning(std::string_view code, std::string_view message,
               std::string_view hint = {});
  void Error(const verify::Error& error);

  // The last event. In text mode prints the next commands to stderr.
  void Finish(ExitCode code, std::string_view path, const Fields& summary,
              const std::vector<std::string>& next);

 private:
  void EmitLocked(std::string_view type, const Fields& fields);
  void EmitDocumentLocked(ExitCode code, const Fields& summary);
  void ClearBarLocked();
  void WriteLocked(std::FILE* stream, std::string_view text);

  OutputOptions options_;
  bool bar_ = false;  // progress as one line that is drawn over
  mutable std::mutex mu_;
  // All below guarded by mu_.
  bool keep_ = false;
  std::vector<KeptEvent> kept_;
  std::vector<std::string> arguments_;
  std::string verb_;
  std::string job_;
  uint64_t seq_ = 0;
  Fields document_warnings_ = Fields::array();
  Fields document_error_;  // null: none
  bool failed_ = false;
  size_t bar_width_ = 0;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point last_progress_;
  std::string last_stage_;
  int last_plain_step_ = -1;
  // Where the stage stood some seconds ago, for a moving rate.
  std::chrono::steady_clock::time_point rate_since_;
  uint64_t rate_from_bytes_ = 0;
  double rate_ = 0;
};

// Passes on the progress of a stage.
class StageProgress final : public verify::ProgressSink {
 public:
  StageProgress(Output& output, std::string stage)
      : output_(output), stage_(std::move(stage)) {}
  void OnProgress(std::string_view item, uint64_t done_bytes,
                  uint64_t total_bytes) override;

 private:
  Output& output_;
  std::string stage_;
};

}  // namespace cli
