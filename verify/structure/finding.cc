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
    case FindingKind::kNotFinite:
      return "not finite";
    case FindingKind::kConstant:
      return "constant";
  }
  return "unknown";
}

bool StructureReport::ok() const {
  for (const StructureFinding& finding : findings) {
    if (finding.fatal) return false;
  }
  return true;
}

}  // namespace verify
