// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/register_model.h"

#include <ctime>

#include "cli/state/paths.h"

namespace cli {
namespace {

verify::Result<void> Register(
    const p2p::Metainfo& metainfo, const std::string& path,
    const std::optional<std::vector<VerifiedFile>>& before,
    const std::string& level, ModelOrigin origin, std::string& warning) {
  ASSIGN_OR_RETURN(StateDb state,
                   StateDb::Open(StateDb::DefaultPath(), warning));
  const auto now_s = static_cast<int64_t>(std::time(nullptr));
  ModelRecord model = ModelOf(metainfo, path);
  model.level = level;
  if (origin == ModelOrigin::kFetched) {
    model.fetched_s = now_s;
  } else {
    model.published_s = now_s;
  }
  RETURN_IF_ERROR(state.PutModel(model));
  const auto now = PayloadIdentities(metainfo, model.path);
  if (!before.has_value() || !now.has_value() ||
      !SameIdentities(*before, *now)) {
    return {};
  }
  return state.PutVerified(*now, VerifiedDigest(metainfo), level, now_s);
}

}  // namespace

void RegisterModel(const p2p::Metainfo& metainfo, const std::string& path,
                   const std::optional<std::vector<VerifiedFile>>& before,
                   const std::string& level, ModelOrigin origin,
                   Output& output) {
  std::string warning;
  const auto done = Register(metainfo, path, before, level, origin, warning);
  if (!warning.empty()) output.Warning("STATE_REBUILT", warning);
  if (!done) {
    output.Warning("STATE_NOT_SAVED", done.error().message,
                   "ls will not list the model; seed will read it again");
  }
}

}  // namespace cli
