// SPDX-License-Identifier: Apache-2.0
// Where the program keeps what is its own (XDG base directories).
#pragma once

#include <string>

namespace cli {

// $XDG_DATA_HOME/lodestone, else ~/.local/share/lodestone.
std::string DataFolder();
// $XDG_STATE_HOME/lodestone, else ~/.local/state/lodestone: what is remembered
// between runs.
std::string StateFolder();
// $XDG_RUNTIME_DIR/lodestone, else /tmp/lodestone-UID: sockets of running
// processes.
std::string RuntimeFolder();
// $XDG_CONFIG_HOME/lodestone, else ~/.config/lodestone.
std::string ConfigFolder();
// $LODESTONE_MODELS, else DataFolder()/models.
std::string ModelsFolder();

// The path without slashes at its end; "/" stays.
std::string WithoutTrailingSlashes(std::string path);

// Absolute, links resolved as far as the path exists, no slash at its end.
std::string CanonicalPath(const std::string& path);

}  // namespace cli
