// SPDX-License-Identifier: Apache-2.0
// The flag of verbs that run a model: how keys and values are kept.
#pragma once

#include "inference/ops/kv_row.h"

namespace CLI {
class App;
}

namespace cli {

// --kv; `type` must outlive the parsing.
void AddKvFlag(CLI::App& app, inference::KvType& type);

}  // namespace cli
