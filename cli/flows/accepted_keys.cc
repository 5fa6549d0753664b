// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/accepted_keys.h"

#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/state/paths.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {

using verify::Result;

std::string KeysFolder() { return DataFolder() + "/keys"; }

verify::AcceptedKeys KeyRing::View() const {
  return {.stored = stored,
          .given = given,
          .now_s = static_cast<int64_t>(std::time(nullptr))};
}

Result<verify::AcceptedKey> ReadGivenKey(const std::string& text) {
  std::error_code ignored;
  if (!std::filesystem::exists(text, ignored)) {
    // No file has a name like that by chance.
    if (auto key = verify::MinisignPublicKey::Parse(text)) {
      return verify::AcceptedKey{"given", {}, *key};
    }
  }
  ASSIGN_OR_RETURN(const std::string file,
                   verify::ReadSmallTextFile(text, verify::kMaxKeyFileBytes));
  auto key = verify::ParseAcceptedKey(
      file, std::filesystem::path(text).stem().string());
  if (!key) {
    return verify::WithContext(
        key.error(),
        verify::StrCat("\"", verify::EscapeForTerminal(text), "\""));
  }
  key->path = text;
  return key;
}

Result<KeyRing> LoadKeyRing(const std::vector<std::string>& given,
                            Context& context) {
  KeyRing ring;
  ASSIGN_OR_RETURN(const verify::TrustStore store,
                   verify::TrustStore::Open(KeysFolder()));
  for (const verify::Error& refused : store.refused()) {
    context.output.Warning("KEY_NOT_USED", refused.message, refused.hint);
  }
  ring.stored = store.keys();
  for (const std::string& text : given) {
    ASSIGN_OR_RETURN(verify::AcceptedKey key, ReadGivenKey(text));
    ring.given.push_back(std::move(key));
  }
  return ring;
}

}  // namespace cli
