// SPDX-License-Identifier: Apache-2.0
// The fingerprint as JSON. Format: docs/formats/fingerprint.md, section 5.
// Tested by tests/inference/eval/fingerprint_json_test.cc, fuzzed by
// tests/fuzz/fingerprint_fuzz.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "inference/eval/fingerprint.h"
#include "verify/base/json.h"
#include "verify/base/result.h"

namespace inference {

// Some 150 kB for 32 layers of 8 experts, 4 MB for 61 layers of 384.
inline constexpr size_t kMaxFingerprintBytes = 16u << 20;

verify::Json FingerprintToJson(const Fingerprint& fingerprint);

// Every value is checked against its bounds and against the others, so that
// what is returned can be compared and run without another look: counts of
// layers, experts, values and positions are those of `model`, ids are inside
// the vocabulary. Keys that are not known are refused.
// Errors, all with the id E-FINGERPRINT-FORM: kCorrupt (names the field),
// kLimit, kUnsupported (another version).
verify::Result<Fingerprint> FingerprintFromJson(const verify::Json& json);

// The same from text.
verify::Result<Fingerprint> ParseFingerprint(std::string_view text);

// As a file holds it: one line for each layer.
std::string FormatFingerprint(const Fingerprint& fingerprint);

}  // namespace inference
