// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.h"

#include <array>

namespace cli {
namespace {

using verify::ErrorCode;

constexpr std::array<ExitCodeInfo, 15> kTable = {{
    {ExitCode::kOk, "ok", "done as asked"},
    {ExitCode::kFailure, "failure", "unclassified failure or a bug"},
    {ExitCode::kUsage, "usage",
     "bad flag or argument, or a magnet link that does not parse"},
    {ExitCode::kNotFound, "not_found", "a path or name that is not there"},
    {ExitCode::kNetwork, "network",
     "no metadata, no peers or stalled; run again to resume"},
    {ExitCode::kIo, "io", "disk full, permission, read or write error"},
    {ExitCode::kMismatch, "mismatch",
     "content differs from its hashes, or a listed file is missing"},
    {ExitCode::kUntrusted, "untrusted",
     "signature missing when required, bad, or by an unknown key"},
    {ExitCode::kMalformed, "malformed",
     "malformed or unsafe content, or a failed smoke test"},
    {ExitCode::kUnsupported, "unsupported",
     "well formed, but not implemented; or not enough memory"},
    {ExitCode::kFindings, "findings", "a gate that was asked for failed"},
    {ExitCode::kIncomplete, "incomplete",
     "some of several inputs failed, the rest are fine"},
    {ExitCode::kBusy, "busy", "locked by another process, or port taken"},
    {ExitCode::kInterrupted, "interrupted", "Ctrl-C (SIGINT), state saved"},
    {ExitCode::kTerminated, "terminated", "SIGTERM or SIGHUP, state saved"},
}};

}  // namespace

std::span<const ExitCodeInfo> ExitCodes() { return kTable; }

std::string_view ExitCodeName(ExitCode code) {
  for (const ExitCodeInfo& info : kTable) {
    if (info.code == code) return info.name;
  }
  return "failure";
}

ExitCode ExitCodeFor(const verify::Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return ExitCode::kUsage;
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kIo:
      return ExitCode::kIo;
    case ErrorCode::kCorrupt:
    case ErrorCode::kLimit:
      return ExitCode::kMalformed;
    case ErrorCode::kMismatch:
      return ExitCode::kMismatch;
    case ErrorCode::kUntrusted:
      return ExitCode::kUntrusted;
    case ErrorCode::kUnsupported:
      return ExitCode::kUnsupported;
    case ErrorCode::kCancelled:
      return ExitCode::kInterrupted;
    case ErrorCode::kNetwork:
      return ExitCode::kNetwork;
    case ErrorCode::kBusy:
      return ExitCode::kBusy;
    case ErrorCode::kInternal:
      return ExitCode::kFailure;
  }
  return ExitCode::kFailure;
}

}  // namespace cli
