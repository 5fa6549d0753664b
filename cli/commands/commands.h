// SPDX-License-Identifier: Apache-2.0
// Makers of the verbs; each is defined in the file of its name.
#pragma once

#include <memory>

#include "cli/command.h"

namespace cli {

std::unique_ptr<Command> MakeGetCommand();
std::unique_ptr<Command> MakeSeedCommand();
std::unique_ptr<Command> MakePublishCommand();
std::unique_ptr<Command> MakeTrackerCommand();
std::unique_ptr<Command> MakeVerifyCommand();
std::unique_ptr<Command> MakeInspectCommand();
std::unique_ptr<Command> MakeKeysCommand();
std::unique_ptr<Command> MakeUnpackCommand();
std::unique_ptr<Command> MakeCatalogCommand();
std::unique_ptr<Command> MakeConvertCommand();
std::unique_ptr<Command> MakeChatCommand();
std::unique_ptr<Command> MakeEvalCommand();
std::unique_ptr<Command> MakeBenchCommand();
std::unique_ptr<Command> MakeLsCommand();
std::unique_ptr<Command> MakePsCommand();
std::unique_ptr<Command> MakeRmCommand();
std::unique_ptr<Command> MakeDemoCommand();

}  // namespace cli
