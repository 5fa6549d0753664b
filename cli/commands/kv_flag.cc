// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/kv_flag.h"

#include <CLI/CLI.hpp>
#include <string>

namespace cli {

void AddKvFlag(CLI::App& app, inference::KvType& type) {
  app.add_option_function<std::string>(
         "--kv",
         [&type](const std::string& name) {
           type = inference::ParseKvType(name).value_or(type);
         },
         "keep keys and values as f16, or as q8_0 in about half the memory "
         "(f16)")
      ->check(CLI::IsMember({"f16", "q8_0"}));
}

}  // namespace cli
