// SPDX-License-Identifier: Apache-2.0
// What `--version`, `help TOPIC` and the end of `--help` print.
#pragma once

#include <string>

namespace cli {

void PrintVersion(bool json);
// "exit-codes, environment, json, security, formats".
std::string HelpTopicNames();
// False if there is no such topic.
bool PrintHelpTopic(const std::string& topic);
std::string HelpFooter();

}  // namespace cli
