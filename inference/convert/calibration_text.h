// SPDX-License-Identifier: Apache-2.0
// The text that `convert --imatrix auto` runs through a model.
#pragma once

#include <string_view>

namespace inference {

// Of many kinds, so that no expert stays idle: explanations, stories, dialogue,
// instructions, numbers, code, data and five languages. Written for this
// program. Changing a byte of it changes what conversions write.
std::string_view CalibrationTextOfProgram();

inline constexpr std::string_view kCalibrationTextName =
    "the text of Lodestone, version 1";

}  // namespace inference
