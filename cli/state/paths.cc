// SPDX-License-Identifier: Apache-2.0
#include "cli/state/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace cli {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string HomeFolder() {
  std::string home = Environment("HOME");
  if (!home.empty()) return home;
  const struct passwd* entry = ::getpwuid(::getuid());
  return entry == nullptr ? "/" : entry->pw_dir;
}

std::string XdgFolder(const char* variable, std::string_view default_path) {
  const std::string xdg = Environment(variable);
  // The specification has relative paths ignored.
  if (!xdg.empty() && xdg.front() == '/') return xdg + "/lodestone";
  return HomeFolder() + std::string(default_path) + "/lodestone";
}

}  // namespace

std::string DataFolder() { return XdgFolder("XDG_DATA_HOME", "/.local/share"); }

std::string StateFolder() {
  return XdgFolder("XDG_STATE_HOME", "/.local/state");
}

std::string RuntimeFolder() {
  const std::string xdg = Environment("XDG_RUNTIME_DIR");
  if (!xdg.empty() && xdg.front() == '/') return xdg + "/lodestone";
  return "/tmp/lodestone-" + std::to_string(::getuid());
}

std::string ConfigFolder() { return XdgFolder("XDG_CONFIG_HOME", "/.config"); }

std::string ModelsFolder() {
  const std::string models = Environment("LODESTONE_MODELS");
  return models.empty() ? DataFolder() + "/models" : models;
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string CanonicalPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path canonical =
      std::filesystem::weakly_canonical(path, error);
  return WithoutTrailingSlashes(error ? path : canonical.string());
}

}  // namespace cli
