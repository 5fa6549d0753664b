// SPDX-License-Identifier: Apache-2.0
// Configurations of the families that are known by their tensors alone: what
// gives shapes is read and checked, what only changes the arithmetic is not.
// Which keys each family has: docs/formats/families.md.
// Tested by tests/verify/structure/families_test.cc.
#pragma once

#include <string_view>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/structure/model_config.h"

namespace verify {

// `json`: config.json; `name`: its class in transformers, or its model_type.
// Errors: kUnsupported (no such family, or tensors of a form that is not
// known), kCorrupt; E-CONFIG.
Result<ModelConfig> FamilyFromHuggingFace(const Json& json,
                                          std::string_view name);

// `architecture`: general.architecture of the file. Errors as above.
Result<ModelConfig> FamilyFromGguf(const GgufFile& gguf,
                                   std::string_view architecture);

}  // namespace verify
