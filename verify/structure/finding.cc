// SPDX-License-Identifier: Apache-2.0
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

}  // namespace verify
