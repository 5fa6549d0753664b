// SPDX-License-Identifier: Apache-2.0
// How the readers of config.json and params.json take a value: absent and null
// both mean "not given"; what has the wrong type is an E-CONFIG that names key
// and value.
// Tested by tests/verify/structure/model_config_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/structure/config_check.h"

namespace verify {

// The value as JSON, escaped and cut for a message.
std::string ValueText(const Json& value);

// kCorrupt: key, value and what was expected.
Unexpected WrongType(std::string_view key, const Json& value,
                     std::string_view expected);
Unexpected Missing(std::string_view key);
// kUnsupported.
Unexpected NotImplemented(std::string_view key, const Json& value);

// Null if the key is absent or holds null.
const Json* Given(const Json& object, std::string_view key);

Result<std::optional<uint64_t>> OptionalUnsigned(const Json& object,
                                                 std::string_view key);
Result<uint64_t> RequiredUnsigned(const Json& object, std::string_view key);
Result<std::optional<double>> OptionalNumber(const Json& object,
                                             std::string_view key);
Result<double> RequiredNumber(const Json& object, std::string_view key);
Result<bool> BoolOr(const Json& object, std::string_view key, bool absent);

// kUnsupported unless the key is absent or holds `neutral`.
Result<void> OnlyNeutral(const Json& object, std::string_view key,
                         const Json& neutral);

// rope_theta at the top of config.json, or nested in rope_parameters (newer
// files); nothing if neither is given. kUnsupported: frequencies are scaled.
Result<std::optional<double>> RopeTheta(const Json& object);

// The value of keys.head_dim if given, else dim / num_heads.
Result<uint64_t> HeadDim(const Json& object, const ConfigKeys& keys,
                         uint64_t dim, uint64_t num_heads);

}  // namespace verify
