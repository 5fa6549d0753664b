// SPDX-License-Identifier: Apache-2.0
// A verb of the command line: its flags and what it does. One file each in
// cli/commands; the table is in command.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "verify/base/result.h"

namespace CLI {
class App;
}

namespace cli {

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string_view name() const = 0;
  // Other exact names, hidden from help.
  virtual std::vector<std::string> aliases() const { return {}; }
  virtual std::string_view summary() const = 0;
  // One line, as a user would type it.
  virtual std::string_view example() const = 0;
  // True: --json gives one document instead of a stream of events.
  virtual bool is_document() const { return false; }
  // Binds flags to members; called once.
  virtual void AddFlags(CLI::App& app) = 0;
  // Errors are printed by the caller.
  virtual verify::Result<CommandResult> Run(Context& context) = 0;
};

// Every verb in the order of `--help`.
std::vector<std::unique_ptr<Command>> AllCommands();

}  // namespace cli
