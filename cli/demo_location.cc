// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_location.h"

#include <filesystem>
#include <system_error>

#include "cli/subprocess.h"
#include "cli/version.h"

namespace cli {

verify::Result<std::string> FindDemoModel() {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(OwnBinary()).parent_path();
  for (const fs::path& candidate :
       {folder / "../share/lodestone/demo", folder / "../../magnets/demo",
        fs::path(kInstalledDataFolder) / "demo"}) {
    std::error_code error;
    if (fs::is_regular_file(candidate / "params.json", error)) {
      return candidate.lexically_normal().string();
    }
  }
  return verify::Fail(verify::ErrorCode::kNotFound,
                      "the demo model is not installed")
      .Hint("it is the folder magnets/demo of the source tree");
}

}  // namespace cli
