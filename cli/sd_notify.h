// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how a service stands (sd_notify(3): one datagram
// to $NOTIFY_SOCKET). Tested by tests/scripts/seed_service.py.
#pragma once

#include <string_view>

namespace cli {

// "READY=1", "STOPPING=1". Does nothing where no manager listens; never fails.
void NotifySystemd(std::string_view state);

}  // namespace cli
