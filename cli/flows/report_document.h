// SPDX-License-Identifier: Apache-2.0
// A check as one object, for programs and archives: the document of
// `verify --json --summary`, the file of `--report X.json`, and what the page
// of
// `--report X.html` is made from. Described in docs/json-documents.schema.json.
// Tested by tests/scripts/verify_report.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/flows/verify_flow.h"
#include "cli/output.h"

namespace cli {

struct ReportInput {
  std::string path;
  std::string_view level_asked;  // "numeric"
  std::string started;           // RFC 3339, UTC
  std::string finished;
  std::vector<std::string> arguments;
  std::vector<KeptEvent> events;
};

// All but "v" and "verb", which every document has in front.
Fields ReportDocument(const VerifyReport& report, const ReportInput& input);

// What a level proves and what it does not, in sentences.
struct LevelMeaning {
  std::string_view proves;
  std::string_view not_proven;
};
LevelMeaning MeaningOf(verify::TrustLevel level);

}  // namespace cli
