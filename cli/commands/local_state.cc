// SPDX-License-Identifier: Apache-2.0
// ls, ps and rm: what is known, what is running, and the end of a model.
#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <system_error>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/control/control_socket.h"
#include "cli/flows/seed_model.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "cli/state/state_db.h"
#include "cli/state/torrent_store.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FormatSize;
using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr auto kControlTimeout = std::chrono::seconds(5);

Result<StateDb> OpenState(Output& output) {
  std::string warning;
  auto state = StateDb::Open(StateDb::DefaultPath(), warning);
  if (!warning.empty()) output.Warning("STATE_REBUILT", warning);
  return state;
}

std::string Text(const Json& record, const char* key) {
  return record.contains(key) && record[key].is_string()
             ? record[key].get<std::string>()
             : std::string();
}

double Number(const Json& record, const char* key) {
  return record.contains(key) && record[key].is_number()
             ? record[key].get<double>()
             : 0;
}

// What every running process serves: a "list" answer each.
std::vector<Json> RunningProcesses() {
  std::vector<Json> processes;
  for (const std::string& path : ControlSockets(RuntimeFolder())) {
    auto answer = CallControl(path, {{"verb", "list"}}, kControlTimeout);
    // A socket that was left behind, or a process that ends just now.
    if (!answer || !answer->contains("models") ||
        !(*answer)["models"].is_array()) {
      continue;
    }
    (*answer)["socket"] = path;
    processes.push_back(std::move(*answer));
  }
  return processes;
}

// Columns as wide as they need to be; with `plain`, tabs and no heading.
void PrintTable(Output& output, const std::vector<std::string>& heading,
                const std::vector<std::vector<std::string>>& rows, bool plain) {
  std::vector<size_t> widths;
  for (const std::string& title : heading) widths.push_back(title.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += plain ? "\t" : "  ";
      line += row[i];
      if (!plain && i + 1 < row.size()) {
        line += std::string(widths[i] - row[i].size(), ' ');
      }
    }
    output.Print(line);
  };
  if (!plain) print(heading);
  for (const auto& row : rows) print(row);
}

class LsCommand final : public Command {
 public:
  std::string_view name() const override { return "ls"; }
  std::vector<std::string> aliases() const override { return {"list"}; }
  std::string_view summary() const override {
    return "list the models that were fetched, published or seeded here";
  }
  std::string_view example() const override { return "lodestone ls"; }
  bool is_document() const override { return true; }
  void AddFlags(CLI::App& app) override {
    app.add_flag("--plain", plain_, "tabs between columns, raw numbers");
  }

  Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(const StateDb state, OpenState(context.output));
    ASSIGN_OR_RETURN(const auto models, state.Models());
    CommandResult result;
    result.summary["models"] = Fields::array();
    std::vector<std::vector<std::string>> rows;
    for (const ModelRecord& model : models) {
      ASSIGN_OR_RETURN(const auto seed, state.FindSeed(model.path));
      std::error_code ignored;
      const bool present = fs::exists(model.path, ignored);
      const bool seeding = seed.has_value() && seed->wanted;
      Fields entry;
      entry["name"] = model.name;
      entry["path"] = model.path;
      entry["bytes"] = model.size_bytes;
      entry["level"] = model.level;
      entry["licence"] = model.licence;
      entry["info_hash_v1"] =
          model.hash_v1.empty() ? Fields(nullptr) : Fields(model.hash_v1);
      entry["info_hash_v2"] =
          model.hash_v2.empty() ? Fields(nullptr) : Fields(model.hash_v2);
      entry["present"] = present;
      entry["seeding"] = seeding;
      entry["paused"] = seed.has_value() && seed->paused;
      entry["uploaded_bytes"] = seed.has_value() ? seed->uploaded_bytes : 0;
      entry["seed_seconds"] = seed.has_value() ? seed->seed_seconds : 0.0;
      entry["ended"] = seed.has_value() ? seed->ended : std::string();
      const std::string last =
          TimeText(seed.has_value() ? seed->last_complete_s : std::nullopt);
      entry["last_complete"] = last.empty() ? Fields(nullptr) : Fields(last);
      entry["fetched"] = TimeText(model.fetched_s);
      entry["published"] = TimeText(model.published_s);
      result.summary["models"].push_back(std::move(entry));
      rows.push_back({EscapeForTerminal(model.name, 80),
                      plain_ ? std::to_string(model.size_bytes)
                             : FormatSize(model.size_bytes),
                      model.level.empty() ? "-" : model.level,
                      !present  ? "missing"
                      : seeding ? "seeding"
                                : "-",
                      last.empty() ? "-" : last,
                      EscapeForTerminal(model.path, 400)});
    }
    if (rows.empty() && !plain_) {
      context.output.Say("no models yet; lodestone get fetches one");
      return result;
    }
    PrintTable(context.output,
               {"NAME", "SIZE", "LEVEL", "STATE", "LAST COMPLETE PEER", "PATH"},
               rows, plain_);
    return result;
  }

 private:
  bool plain_ = false;
};

class PsCommand final : public Command {
 public:
  std::string_view name() const override { return "ps"; }
  std::string_view summary() const override {
    return "list what running lodestone processes serve";
  }
  std::string_view example() const override { return "lodestone ps"; }
  bool is_document() const override { return true; }
  void AddFlags(CLI::App& app) override {
    app.add_flag("--plain", plain_, "tabs between columns, raw numbers");
  }

  Result<CommandResult> Run(Context& context) override {
    CommandResult result;
    result.summary["processes"] = Fields::array();
    std::vector<std::vector<std::string>> rows;
    for (const Json& process : RunningProcesses()) {
      result.summary["processes"].push_back(Fields(process));
      for (const Json& model : process["models"]) {
        if (!model.is_object()) continue;
        const std::string reason = Text(model, "error").empty()
                                       ? Text(model, "reason")
                                       : Text(model, "error");
        rows.push_back({fmt::format("{:.0f}", Number(process, "pid")),
                        EscapeForTerminal(Text(model, "name"), 80),
                        Text(model, "state"), Bytes(Number(model, "bytes")),
                        Bytes(Number(model, "uploaded_bytes")),
                        fmt::format("{:.2f}", Number(model, "ratio")),
                        plain_ ? fmt::format("{:.0f}", Number(model, "rate_up"))
                               : verify::FormatRate(Number(model, "rate_up")),
                        fmt::format("{:.0f}", Number(model, "peers")),
                        reason.empty() ? "-" : EscapeForTerminal(reason, 200)});
      }
    }
    if (rows.empty() && !plain_) {
      context.output.Say("nothing is running");
      return result;
    }
    PrintTable(context.output,
               {"PID", "NAME", "STATE", "SIZE", "UPLOADED", "RATIO", "UP",
                "PEERS", "NOTE"},
               rows, plain_);
    return result;
  }

 private:
  std::string Bytes(double bytes) const {
    return plain_ ? fmt::format("{:.0f}", bytes)
                  : FormatSize(static_cast<uint64_t>(std::max(0.0, bytes)));
  }

  bool plain_ = false;
};

class RmCommand final : public Command {
 public:
  std::string_view name() const override { return "rm"; }
  std::string_view summary() const override {
    return "remove a model: forget it and delete its files";
  }
  std::string_view example() const override {
    return "lodestone rm mixtral-8x7b-32kseqlen";
  }
  bool is_document() const override { return true; }
  void AddFlags(CLI::App& app) override {
    app.add_option("name", name_, "name as ls prints it, path or hash")
        ->required();
    app.add_flag("--keep-data", keep_data_, "forget it, but delete nothing");
  }

  Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(StateDb state, OpenState(context.output));
    ASSIGN_OR_RETURN(const auto model, state.FindModel(name_));
    if (!model.has_value()) {
      return Fail(ErrorCode::kNotFound, StrCat("no model is called \"",
                                               EscapeForTerminal(name_), "\""))
          .Id("E-NO-MODEL")
          .Hint("lodestone ls lists them");
    }
    std::vector<std::string> files;
    if (!keep_data_) {
      ASSIGN_OR_RETURN(files, FilesOf(*model));
      RETURN_IF_ERROR(Confirm(*model, files.size(), context));
    }
    RETURN_IF_ERROR(DropFromSeeders(*model));
    RETURN_IF_ERROR(state.RemoveModel(model->path));
    CommandResult result;
    result.summary["name"] = model->name;
    result.summary["path"] = model->path;
    result.summary["kept_data"] = keep_data_;
    result.summary["deleted_files"] = files.size();
    result.summary["kept_files"] = 0;
    if (keep_data_) {
      context.output.Say(StrCat("forgot ", EscapeForTerminal(model->name),
                                "; its files stay in ",
                                EscapeForTerminal(model->path)));
      return result;
    }
    RETURN_IF_ERROR(Delete(*model, files));
    std::error_code ignored;
    const bool left = fs::exists(model->path, ignored);
    if (left) {
      size_t kept = 0;
      for (const auto& entry :
           fs::recursive_directory_iterator(model->path, ignored)) {
        kept += entry.is_directory(ignored) ? size_t{0} : size_t{1};
      }
      result.summary["kept_files"] = kept;
      context.output.Warning(
          "FILES_KEPT",
          StrCat("\"", EscapeForTerminal(model->path), "\" holds ", kept,
                 " files that the torrent does not name"),
          "they stay; delete them yourself");
    }
    context.output.Say(StrCat("removed ", EscapeForTerminal(model->name), ": ",
                              files.size(), " files, ",
                              FormatSize(model->size_bytes)));
    return result;
  }

 private:
  // The files that its torrent names, as far as they are there. What leads
  // out of the folder by a link is not among them.
  Result<std::vector<std::string>> FilesOf(const ModelRecord& model) const {
    const auto torrent = TorrentStore::Default().FindByKey(model.key);
    if (!torrent.has_value()) {
      return Fail(ErrorCode::kNotFound,
                  StrCat("the torrent of \"", EscapeForTerminal(model.name),
                         "\" is not known any more, so neither are its files"))
          .Id("E-NO-TORRENT")
          .Hint("--keep-data forgets it; delete its folder yourself");
    }
    std::vector<std::string> files;
    for (const p2p::MetainfoFile& file : torrent->metainfo.files) {
      if (file.is_pad) continue;
      const fs::path path = torrent->metainfo.single_file
                                ? fs::path(model.path)
                                : fs::path(model.path) / file.path;
      std::error_code error;
      const fs::path parent = fs::weakly_canonical(path.parent_path(), error);
      const fs::path expected = path.parent_path().lexically_normal();
      if (error || parent != expected) continue;
      if (fs::is_regular_file(fs::symlink_status(path, error))) {
        files.push_back(path.string());
      }
    }
    return files;
  }

  Result<void> Confirm(const ModelRecord& model, size_t num_files,
                       Context& context) const {
    if (context.interaction.yes) return {};
    const bool can_ask = !context.interaction.no_input &&
                         !context.output.json() && ::isatty(STDIN_FILENO) == 1;
    if (!can_ask) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("rm would delete ", num_files, " files (",
                         FormatSize(model.size_bytes), ") in \"",
                         EscapeForTerminal(model.path), "\""))
          .Id("E-CONFIRM")
          .Hint(
              "--yes does it without a question; --keep-data deletes nothing");
    }
    context.output.Say(StrCat("delete ", num_files, " files (",
                              FormatSize(model.size_bytes), ") in ",
                              EscapeForTerminal(model.path), "? [y/N]"));
    std::string answer;
    std::getline(std::cin, answer);
    answer = verify::AsciiLower(verify::TrimAscii(answer));
    if (answer == "y" || answer == "yes") return {};
    return Fail(ErrorCode::kCancelled, "nothing was removed").Id("E-CONFIRM");
  }

  static Result<void> DropFromSeeders(const ModelRecord& model) {
    for (const Json& process : RunningProcesses()) {
      for (const Json& served : process["models"]) {
        if (!served.is_object() || Text(served, "path") != model.path) continue;
        ASSIGN_OR_RETURN(const Json answer,
                         CallControl(Text(process, "socket"),
                                     {{"verb", "remove"}, {"name", model.path}},
                                     kControlTimeout));
      }
    }
    return {};
  }

  static Result<void> Delete(const ModelRecord& model,
                             const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      std::error_code error;
      fs::remove(file, error);
      if (error) return verify::FailErrno("delete", file, error.value());
      // Folders that became empty, up to the model's own.
      fs::path folder = fs::path(file).parent_path();
      while (folder.string().size() >= model.path.size() &&
             fs::is_empty(folder, error) && !error) {
        fs::remove(folder, error);
        folder = folder.parent_path();
      }
    }
    return {};
  }

  std::string name_;
  bool keep_data_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeLsCommand() {
  return std::make_unique<LsCommand>();
}
std::unique_ptr<Command> MakePsCommand() {
  return std::make_unique<PsCommand>();
}
std::unique_ptr<Command> MakeRmCommand() {
  return std::make_unique<RmCommand>();
}

}  // namespace cli
