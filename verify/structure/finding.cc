// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>

#include "verify/base/text.h"
#include "verify/structure/finding_list.h"
#include "verify/structure/structure_check.h"

namespace verify {

std::string_view FindingKindName(FindingKind kind) {
  switch (kind) {
    case FindingKind::kMissing:
      return "missing";
    case FindingKind::kExtra:
      return "extra";
    case FindingKind::kMisshapen:
      return "misshapen";
    case FindingKind::kWrongDType:
      return "wrong dtype";
    case FindingKind::kMixed:
      return "mixed";
    case FindingKind::kNotFinite:
      return "not finite";
    case FindingKind::kConstant:
      return "constant";
    case FindingKind::kDenormal:
      return "denormal";
    case FindingKind::kZeroTail:
      return "zero tail";
    case FindingKind::kScale:
      return "scale";
    case FindingKind::kIdentical:
      return "identical";
    case FindingKind::kDeadGate:
      return "dead gate";
  }
  return "unknown";
}

bool StructureReport::ok() const {
  for (const StructureFinding& finding : findings) {
    if (finding.fatal()) return false;
  }
  return true;
}

size_t StructureReport::num_warnings() const {
  size_t count = 0;
  for (const StructureFinding& finding : findings) {
    if (finding.severity == Severity::kWarning) ++count;
  }
  return count;
}

void FindingList::Add(FindingKind kind, const std::string& tensor,
                      std::string detail, Severity severity) {
  const auto index = static_cast<size_t>(kind);
  gravest_[index] = std::max(gravest_[index], severity);
  if (++counts_[index] > kMaxListedFindings) return;
  report_.findings.push_back({.kind = kind,
                              .tensor = tensor,
                              .detail = std::move(detail),
                              .severity = severity});
}

void FindingList::Summarise() {
  for (size_t i = 0; i < kNumKinds; ++i) {
    if (counts_[i] <= kMaxListedFindings) continue;
    report_.findings.push_back(
        {.kind = static_cast<FindingKind>(i),
         .tensor = "",
         .detail =
             StrCat(counts_[i] - kMaxListedFindings, " more of ", counts_[i]),
         .severity = gravest_[i]});
    counts_[i] = 0;
  }
}

int64_t TensorPlace::layer() const {
  return numbers.empty() ? -1 : static_cast<int64_t>(numbers[0]);
}

int64_t TensorPlace::expert() const {
  return numbers.size() < 2 ? -1 : static_cast<int64_t>(numbers[1]);
}

TensorPlace PlaceOf(std::string_view name) {
  TensorPlace place;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    uint64_t number = 0;
    const auto [last, error] =
        std::from_chars(part.data(), part.data() + part.size(), number);
    // Numbers of layers and experts are small; others belong to the name.
    const bool is_number = error == std::errc() && number < (1u << 20) &&
                           last == part.data() + part.size();
    if (begin > 0) place.role.push_back('.');
    if (is_number) {
      place.numbers.push_back(number);
      place.role.push_back('#');
    } else {
      place.role += part;
    }
    begin = end + 1;
  }
  return place;
}

}  // namespace verify
