// SPDX-License-Identifier: Apache-2.0
// What version 1 of the fingerprint runs: prompts, made-up states and their
// positions. Another choice is another version. Described in
// docs/formats/fingerprint.md, section 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "inference/eval/sketch.h"

namespace inference {

// Prose, code, other scripts, digits and markup, so that many experts and all
// kinds of pieces are met.
inline constexpr std::string_view kFingerprintPrompts[] = {
    "The lighthouse keeper counted the ships that came back after the storm, "
    "and wrote their names in the book:",
    "def merge(left, right):\n    out = []\n    while left and right:\n        "
    "out.append((left if left[0] <= right[0] else right).pop(0))\n    return ",
    "Les enfants jouaient dans la cour; der Fluß war schon gefroren. "
    "Москва, 東京, القاهرة, 🌍.",
    "In 1969 the 3,476 km wide Moon was 384,400 km away; 2^10 = 1024 and "
    "17 x 23 =",
    "{\"role\": \"user\", \"content\": \"What is the capital of Iceland?\"}\n",
};

// Tokens of each prompt that are run.
inline constexpr size_t kFingerprintPromptTokens = 40;
inline constexpr size_t kFingerprintContinuation = 4;
inline constexpr size_t kFingerprintTopLogits = 8;
// Experts recorded per layer: tokens times experts per token.
inline constexpr size_t kFingerprintRouted = 256;
// A weight of 1 in the record of the routing.
inline constexpr uint32_t kFingerprintRoutedOne = 1000;

// Where the tokens of the attention probe stand: near and far, on both sides
// of windows of 4096. At 32749 and theta 1e4 or 1e6 most pairs of a head are
// turned to quite another angle.
inline constexpr uint64_t kFingerprintPositions[] = {
    0, 1, 2, 5, 17, 101, 1009, 4093, 4099, 8209, 16411, 32749};
inline constexpr size_t kFingerprintFfnStates = 2;
inline constexpr size_t kFingerprintMatrixStates = 2;
// The second state of a norm: small enough that norm_eps counts.
inline constexpr float kFingerprintSmallState = 0x1p-8f;

// Streams of noise that make up the states.
enum class FingerprintStream : uint64_t {
  kNorm = 1,
  kAttention = 2,
  kFfn = 3,
  kMatrix = 4,
};

// [count, dim] made-up states of variance 1.
inline std::vector<float> FingerprintStates(FingerprintStream stream,
                                            size_t count, size_t dim) {
  return Noise(static_cast<uint64_t>(stream), count * dim);
}

}  // namespace inference
