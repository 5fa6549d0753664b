// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <ctime>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/catalog_flow.h"
#include "cli/flows/describe.h"
#include "cli/flows/publish_flow.h"
#include "cli/shell_quote.h"
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

class CatalogCommand final : public Command {
 public:
  std::string_view name() const override { return "catalog"; }
  std::string_view summary() const override {
    return "list, show, add and check known releases";
  }
  std::string_view example() const override {
    return "lodestone catalog show mixtral-8x7b";
  }
  bool is_document() const override { return true; }

  void AddFlags(CLI::App& app) override {
    app.require_subcommand(1);
    list_ = app.add_subcommand("list", "all releases, one a line");
    list_->alias("ls");
    list_->add_flag("--plain", plain_,
                    "tab-separated: name, bytes, licence, date, info-hash");
    show_ = app.add_subcommand("show", "all that is known of one release");
    show_->add_option("name", subject_, "its name")->required();
    add_ = app.add_subcommand("add",
                              "take an entry into the catalogue of this user");
    add_->add_option("entry", subject_,
                     "a file of the form of magnets/README, or a magnet link")
        ->required();
    add_->add_option("--name", name_, "name for a link (the link's own)");
    add_->add_option("--license", license_, "licence, for a link");
    add_->add_option("--size", size_, "size such as 87GB, for a link");
    check_ = app.add_subcommand(
        "check", "hold an entry, or the whole catalogue, to the rules");
    check_->add_option("entry", subject_, "the file (the whole catalogue)");
    for (CLI::App* action : {list_, show_, add_, check_}) {
      action->fallthrough();
    }
  }

  Result<CommandResult> Run(Context& context) override {
    std::vector<std::string> warnings;
    p2p::Catalog catalog = LoadCatalog(warnings);
    // `check` makes errors of them.
    if (!check_->parsed()) {
      for (const std::string& warning : warnings) {
        context.output.Warning("CATALOGUE", warning);
      }
    }
    if (list_->parsed()) return List(catalog, context);
    if (show_->parsed()) return Show(catalog, context);
    if (add_->parsed()) return Add(catalog, context);
    return Check(catalog, warnings, context);
  }

 private:
  Result<CommandResult> List(const p2p::Catalog& catalog,
                             Context& context) const {
    CommandResult result;
    result.summary["action"] = "list";
    result.summary["entries"] = Fields::array();
    for (const p2p::CatalogEntry& entry : catalog.entries()) {
      result.summary["entries"].push_back(DescribeEntry(entry));
      if (plain_) {
        context.output.Print(fmt::format(
            "{}\t{}\t{}\t{}\t{}", entry.name, entry.size_bytes, entry.license,
            entry.released, entry.magnet.info_hashes.Key()));
      } else {
        context.output.Print(
            fmt::format("{:<26} {:>16}  {:<12} {}  {}", entry.name,
                        p2p::CatalogSizeText(entry), entry.license,
                        entry.released, entry.title));
      }
    }
    return result;
  }

  Result<CommandResult> Show(const p2p::Catalog& catalog,
                             Context& context) const {
    const p2p::CatalogEntry* entry = catalog.Find(subject_);
    if (entry == nullptr) {
      return Fail(ErrorCode::kNotFound,
                  StrCat("no release \"", EscapeForTerminal(subject_),
                         "\" in the catalogue"))
          .Id("E-SOURCE")
          .Hint(NamesHint(catalog, subject_));
    }
    context.output.Print(EntryText(*entry));
    CommandResult result;
    result.summary["action"] = "show";
    result.summary["entry"] = DescribeEntryInFull(*entry);
    return result;
  }

  // What a link does not say, the user must: nobody may pass on what has no
  // licence, and a size lets a wrong torrent be refused.
  Result<p2p::CatalogEntry> EntryOfLink() const {
    ASSIGN_OR_RETURN(p2p::ParsedMagnet link, p2p::ParseMagnet(subject_));
    if (license_.empty() || size_.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a magnet link says neither licence nor size")
          .Id("E-CATALOG")
          .Hint("give --license and --size");
    }
    p2p::CatalogEntry entry;
    entry.name =
        verify::AsciiLower(name_.empty() ? link.magnet.display_name : name_);
    entry.title = entry.name;
    entry.license = license_;
    entry.publisher = "unknown";
    entry.architecture = "unknown";
    entry.released = UtcDate(std::time(nullptr));
    ASSIGN_OR_RETURN(entry.size_bytes, ParseSize(size_, "--size"));
    // Typed by hand it is rounded.
    entry.within_percent = 10;
    entry.size_note = "as given by the user";
    if (!link.repairs.empty()) {
      entry.published.push_back({subject_, "the command line"});
    }
    std::vector<std::string> dropped;
    entry.magnet = std::move(link.magnet);
    p2p::FilterEndpoints(entry.magnet, false, dropped);
    return p2p::ParseCatalogEntry(p2p::FormatCatalogEntry(entry),
                                  "the entry of this link");
  }

  Result<p2p::CatalogEntry> ReadEntry() const {
    if (verify::AsciiLower(subject_.substr(0, 7)) == "magnet:") {
      return EntryOfLink();
    }
    ASSIGN_OR_RETURN(
        const std::string text,
        verify::ReadSmallTextFile(subject_, p2p::kMaxCatalogFileBytes));
    return p2p::ParseCatalogEntry(text, subject_);
  }

  Result<CommandResult> Add(p2p::Catalog& catalog, Context& context) const {
    ASSIGN_OR_RETURN(p2p::CatalogEntry entry, ReadEntry());
    CommandResult result;
    const std::string folder = UserCatalogFolder();
    const std::string path = StrCat(folder, "/", entry.name, ".toml");
    const std::string text = p2p::FormatCatalogEntry(entry);
    result.summary["action"] = "add";
    result.summary["entry"] = DescribeEntryInFull(entry);
    result.summary["path"] = path;
    // Added before: nothing to do.
    const auto old = verify::ReadSmallTextFile(path, p2p::kMaxCatalogFileBytes);
    if (!old || *old != text) {
      const std::string name = entry.name;
      RETURN_IF_ERROR(catalog.Add(std::move(entry)));
      std::error_code error;
      fs::create_directories(folder, error);
      if (error) return verify::FailErrno("create", folder, error.value());
      if (fs::exists(path, error)) {
        return Fail(ErrorCode::kIo,
                    StrCat("\"", EscapeForTerminal(path),
                           "\" is there already and is no entry of that name"))
            .Id("E-EXISTS");
      }
      RETURN_IF_ERROR(
          verify::WriteFileAtomically(path, std::as_bytes(std::span(text))));
      result.next.push_back("lodestone get " + ShellQuote(name));
    }
    context.output.Print(path);
    return result;
  }

  Result<CommandResult> Check(const p2p::Catalog& catalog,
                              const std::vector<std::string>& warnings,
                              Context& context) const {
    CommandResult result;
    result.summary["action"] = "check";
    if (!subject_.empty()) {
      ASSIGN_OR_RETURN(const p2p::CatalogEntry entry, ReadEntry());
      result.summary["checked"] = 1;
      result.summary["entry"] = DescribeEntryInFull(entry);
      context.output.Print(EntryText(entry));
      return result;
    }
    if (!warnings.empty()) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat(warnings.front(),
                         warnings.size() > 1
                             ? StrCat(" (and ", warnings.size() - 1, " more)")
                             : ""))
          .Id("E-CATALOG")
          .Hint("mend or remove that file");
    }
    result.summary["checked"] = catalog.entries().size();
    result.summary["entries"] = Fields::array();
    for (const p2p::CatalogEntry& entry : catalog.entries()) {
      result.summary["entries"].push_back(DescribeEntryInFull(entry));
    }
    context.output.Print(
        fmt::format("{} entries keep the rules", catalog.entries().size()));
    return result;
  }

  std::string subject_;
  std::string name_;
  std::string license_;
  std::string size_;
  bool plain_ = false;
  CLI::App* list_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* add_ = nullptr;
  CLI::App* check_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeCatalogCommand() {
  return std::make_unique<CatalogCommand>();
}

}  // namespace cli
