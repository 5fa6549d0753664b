// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/report_file.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>

#include "cli/flows/report_html.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

// How a document begins, by which a later run knows its own.
constexpr std::string_view kDocumentStart =
    "{\n  \"v\": 1,\n  \"verb\": \"verify\",\n  \"report\": 1,";

bool IsPage(const std::string& path) {
  const std::string lower = verify::AsciiLower(path);
  return lower.ends_with(".html") || lower.ends_with(".htm");
}

bool IsDocument(const std::string& path) {
  return verify::AsciiLower(path).ends_with(".json");
}

bool IsReport(const std::string& path) {
  const auto file = verify::ReadOnlyFile::Open(path);
  if (!file) return false;
  const std::string_view start =
      IsPage(path) ? std::string_view(kReportPageStart) : kDocumentStart;
  std::string head(
      static_cast<size_t>(std::min<uint64_t>(start.size(), file->size())),
      '\0');
  if (!file->ReadAt(0, std::as_writable_bytes(
                           std::span<char>(head.data(), head.size())))) {
    return false;
  }
  return head == start;
}

Result<void> CheckPlace(const std::string& path) {
  const std::string shown =
      StrCat("--report: \"", EscapeForTerminal(path), "\"");
  if (!IsPage(path) && !IsDocument(path)) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(shown, " ends neither in .html nor in .json"))
        .Id("E-USAGE");
  }
  std::error_code error;
  const fs::path parent = fs::absolute(path, error).parent_path();
  if (!fs::is_directory(parent, error)) {
    return Fail(ErrorCode::kNotFound,
                StrCat(shown, ": there is no folder \"",
                       EscapeForTerminal(parent.string()), "\""));
  }
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return {};
  if (fs::is_regular_file(status) && IsReport(path)) return {};
  return Fail(ErrorCode::kIo,
              StrCat(shown, " is there already and is no report"))
      .Id("E-EXISTS")
      .Hint("nothing was changed; give another name");
}

}  // namespace

Result<void> CheckReportPaths(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) RETURN_IF_ERROR(CheckPlace(path));
  return {};
}

Result<void> WriteReports(const Fields& document,
                          const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    // It may have come while the work went on.
    RETURN_IF_ERROR(CheckPlace(path));
    std::string text;
    if (IsPage(path)) {
      text = ReportPage(document);
    } else {
      Fields whole{{"v", 1}, {"verb", "verify"}};
      for (const auto& [key, value] : document.items()) whole[key] = value;
      text =
          whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n";
    }
    RETURN_IF_ERROR(verify::WriteFileAtomically(path, verify::AsBytes(text)));
  }
  return {};
}

}  // namespace cli
