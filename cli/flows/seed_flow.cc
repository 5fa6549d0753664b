// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/seed_flow.h"

#include "cli/flows/seed_service.h"
#include "cli/state/paths.h"
#include "verify/base/check.h"

namespace cli {

verify::Result<CommandResult> ServeVerified(const SeedFlowOptions& options,
                                            Context& context) {
  CHECK(options.torrent.has_value());
  SeedServiceOptions service;
  service.targets.push_back(
      {CanonicalPath(options.path), options.torrent, true});
  service.session = options.session;
  service.socket_name = SeparateSocketName();
  return RunSeedService(service, context);
}

}  // namespace cli
