// SPDX-License-Identifier: Apache-2.0
// Findings with a limit per kind, so that one broken file does not fill the
// screen, and what a tensor's name says of its place in a model.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/structure/structure_check.h"

namespace verify {

// So many of one kind are listed; the rest is one line.
inline constexpr size_t kMaxListedFindings = 20;

class FindingList {
 public:
  explicit FindingList(StructureReport& report) : report_(report) {}

  void Add(FindingKind kind, const std::string& tensor, std::string detail,
           Severity severity = Severity::kError);
  // One finding for what was not listed, as grave as the gravest of it.
  void Summarise();

 private:
  static constexpr size_t kNumKinds = 16;

  StructureReport& report_;
  std::array<size_t, kNumKinds> counts_{};
  std::array<Severity, kNumKinds> gravest_{};
};

// "model.layers.3.mlp.experts.7.up_proj.weight": role
// "model.layers.#.mlp.experts.#.up_proj.weight", numbers 3 and 7.
struct TensorPlace {
  std::string role;
  std::vector<uint64_t> numbers;

  // The layer, and where there is a second number the expert; -1 if none.
  int64_t layer() const;
  int64_t expert() const;
};
TensorPlace PlaceOf(std::string_view name);

}  // namespace verify
