// SPDX-License-Identifier: Apache-2.0
// A seeder's numbers in the text format of Prometheus (version 0.0.4).
// Tested by tests/scripts/seed_service.py.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/flows/seed_model.h"

namespace cli {

// One series for each model, with the labels "model" and "info_hash".
std::string SeedMetricsText(
    const std::vector<std::unique_ptr<SeedModel>>& models,
    double uptime_seconds);

}  // namespace cli
