// SPDX-License-Identifier: Apache-2.0
// A check as one HTML page that can be archived and printed: no script, nothing
// from elsewhere, everything that came from outside escaped.
// Tested by tests/cli/flows/report_html_test.cc and scripts.verify_report.
#pragma once

#include <string>
#include <string_view>

#include "cli/output.h"

namespace cli {

// `document`: what ReportDocument made.
std::string ReportPage(const Fields& document);

// The first line of every such page, by which a later run knows its own.
inline constexpr char kReportPageStart[] =
    "<!DOCTYPE html><!-- lodestone report -->";

// For text and for attribute values in double quotes. Control characters and
// marks that turn the direction of writing are written as their numbers.
std::string EscapeHtml(std::string_view text);

}  // namespace cli
