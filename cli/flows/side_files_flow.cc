// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/side_files_flow.h"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>

#include "verify/base/text.h"
#include "verify/structure/side_files.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;

constexpr size_t kMaxPrinted = 10;

void ReportActive(const verify::ActiveContent& active, bool print,
                  Context& context) {
  const std::string_view kind = verify::ActiveKindName(active.kind);
  context.output.Event("check",
                       {{"id", "structure.active"},
                        {"level", "structure"},
                        {"status", "warn"},
                        {"subject", active.path},
                        {"detail", fmt::format("{}: {}", kind, active.detail)},
                        {"evidence", {{"kind", kind}}}});
  if (!print) return;
  context.output.Say(fmt::format("      could run elsewhere: {} ({}: {})",
                                 EscapeForTerminal(active.path), kind,
                                 active.detail));
}

void ReportTemplate(const verify::ChatTemplate& chat, Context& context) {
  std::string concerns;
  for (const std::string& concern : chat.concerns) {
    concerns += (concerns.empty() ? "" : "; ") + concern;
  }
  context.output.Event(
      "check", {{"id", "structure.template"},
                {"level", "structure"},
                {"status", concerns.empty() ? "pass" : "warn"},
                {"subject", chat.place},
                {"detail", concerns.empty() ? "not rendered" : concerns},
                {"evidence",
                 {{"name", chat.name},
                  {"sha256", chat.sha256},
                  {"bytes", chat.size_bytes},
                  {"control_characters", chat.num_control}}}});
  const std::string text = fmt::format(
      "chat template \"{}\" in {}: {} bytes, sha256 {}, never rendered",
      EscapeForTerminal(chat.name, 64), EscapeForTerminal(chat.place),
      chat.size_bytes, chat.sha256);
  if (concerns.empty()) {
    context.output.Say("      " + text);
  } else {
    context.output.Warning(
        "CHAT_TEMPLATE", fmt::format("{}: {}", text, concerns),
        "read it before other software renders it; Lodestone has its own");
  }
}

}  // namespace

verify::Result<size_t> ReportSideFiles(const std::string& path,
                                       const verify::GgufFile* gguf,
                                       Context& context) {
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(path, ignored);
  ASSIGN_OR_RETURN(const verify::SideFiles files,
                   verify::ReadSideFiles(is_folder ? path : "", gguf));
  size_t findings = files.active.size();
  for (size_t i = 0; i < files.active.size(); ++i) {
    ReportActive(files.active[i], i < kMaxPrinted, context);
  }
  if (!files.active.empty()) {
    context.output.Warning(
        "ACTIVE_CONTENT",
        fmt::format("{} of the files here could run in other software; nothing "
                    "of them was run",
                    files.active.size()),
        "a conversion leaves them out");
  }
  for (const verify::ChatTemplate& chat : files.templates) {
    ReportTemplate(chat, context);
    if (!chat.concerns.empty()) ++findings;
  }
  if (files.templates_differ) {
    ++findings;
    context.output.Event("check",
                         {{"id", "structure.template"},
                          {"level", "structure"},
                          {"status", "warn"},
                          {"subject", path},
                          {"detail", "chat templates of the same name differ"},
                          {"evidence", Fields::object()}});
    context.output.Warning("CHAT_TEMPLATE",
                           "chat templates of the same name differ",
                           "which one is used depends on the software");
  }
  return findings;
}

}  // namespace cli
