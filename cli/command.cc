// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include "cli/commands/commands.h"

namespace cli {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeGetCommand());
  commands.push_back(MakeSeedCommand());
  commands.push_back(MakePublishCommand());
  commands.push_back(MakeTrackerCommand());
  commands.push_back(MakeVerifyCommand());
  commands.push_back(MakeInspectCommand());
  commands.push_back(MakeKeysCommand());
  commands.push_back(MakeUnpackCommand());
  commands.push_back(MakeConvertCommand());
  commands.push_back(MakeChatCommand());
  commands.push_back(MakeEvalCommand());
  commands.push_back(MakeBenchCommand());
  commands.push_back(MakeCatalogCommand());
  commands.push_back(MakeLsCommand());
  commands.push_back(MakePsCommand());
  commands.push_back(MakeRmCommand());
  commands.push_back(MakeDemoCommand());
  return commands;
}

}  // namespace cli
