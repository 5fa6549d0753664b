// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/archive_flags.h"

#include <CLI/CLI.hpp>
#include "cli/commands/commands.h"
#include "cli/flows/unpack_flow.h"
#include "cli/state/paths.h"

namespace cli {
namespace {

class UnpackCommand final : public Command {
 public:
  std::string_view name() const override { return "unpack"; }
  std::string_view summary() const override {
    return "unpack a tar or zstd archive; nothing of it leads elsewhere";
  }
  std::string_view example() const override {
    return "lodestone unpack mixtral-8x7b.tar.zst --output models";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("archive", options_.archive, "*.tar, *.tar.zst or *.zst")
        ->required();
    app.add_option("-o,--output", options_.output_folder,
                   "folder to unpack into (the current one)");
    app.add_option("--max-size", flags_.max_size,
                   "refuse an archive that holds more than this, as 100GB; "
                   "without it, 1 TiB and 100 times the archive's own size");
    AddArchiveFlags(app, flags_);
  }

  verify::Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(options_.archive_options, ArchiveOptionsOf(flags_));
    options_.output_folder = WithoutTrailingSlashes(options_.output_folder);
    return RunUnpack(options_, context);
  }

 private:
  UnpackOptions options_;
  ArchiveFlags flags_;
};

}  // namespace

std::unique_ptr<Command> MakeUnpackCommand() {
  return std::make_unique<UnpackCommand>();
}

}  // namespace cli
