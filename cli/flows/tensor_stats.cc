// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/tensor_stats.h"

#include <cmath>
#include <filesystem>
#include <span>
#include <string_view>

#include "cli/output.h"
#include "verify/base/file.h"
#include "verify/checkpoint/dtype.h"
#include "verify/structure/number_scan.h"

namespace cli {
namespace {

std::string_view SeverityName(verify::Severity severity) {
  switch (severity) {
    case verify::Severity::kNote:
      return "note";
    case verify::Severity::kWarning:
      return "warning";
    case verify::Severity::kError:
      return "error";
  }
  return "error";
}

// JSON has no infinity; there is none among what is finite unless a sum
// overflows.
Fields Number(double value) {
  return std::isfinite(value) ? Fields(value) : Fields(nullptr);
}

void AddNumbers(const verify::NumberScan& scan, Fields& fields) {
  fields["numbers"] = scan.count;
  fields["zeros"] = scan.num_zero;
  fields["denormals"] = scan.num_denormal;
  const bool any = scan.count > 0;
  fields["min"] = any ? Number(scan.min) : Fields(nullptr);
  fields["max"] = any ? Number(scan.max) : Fields(nullptr);
  fields["absmax"] = any ? Number(scan.max_magnitude()) : Fields(nullptr);
  fields["mean"] = any ? Number(scan.mean()) : Fields(nullptr);
  fields["std"] = any ? Number(scan.deviation()) : Fields(nullptr);
  fields["rms"] = any ? Number(scan.rms()) : Fields(nullptr);
}

Fields Describe(const verify::TensorInfo& tensor,
                const verify::TensorStatistics& one) {
  const verify::NumberScan& scan = one.whole;
  Fields fields{{"name", tensor.name},
                {"dtype", verify::DTypeName(tensor.dtype)},
                {"shape", tensor.shape},
                {"elements", one.elements},
                {"of", verify::IsPacked(tensor.dtype) ? "scales" : "elements"},
                {"nan", scan.num_nan},
                {"infinite", scan.num_infinite}};
  fields["first_bad"] =
      scan.finite() ? Fields(nullptr) : Fields(scan.first_bad);
  AddNumbers(scan, fields);
  fields["constant"] = scan.constant;
  fields["constant_rows"] = scan.constant_rows;
  fields["zero_rows"] = scan.zero_rows;
  fields["first_constant_row"] = scan.constant_rows == 0
                                     ? Fields(nullptr)
                                     : Fields(scan.first_constant_row);
  if (!one.slabs.empty()) {
    fields["experts"] = Fields::array();
    for (const verify::NumberScan& slab : one.slabs) {
      Fields expert = Fields::object();
      AddNumbers(slab, expert);
      fields["experts"].push_back(std::move(expert));
    }
  }
  return fields;
}

}  // namespace

verify::Result<void> WriteTensorStatistics(
    const verify::Checkpoint& checkpoint,
    const std::vector<verify::TensorStatistics>& statistics,
    const verify::StructureReport& report, const std::string& path) {
  Fields document{{"v", 1}, {"format", "lodestone-tensor-stats"}};
  document["files"] = Fields::array();
  for (const std::string& file : checkpoint.files()) {
    document["files"].push_back(
        std::filesystem::path(file).filename().string());
  }
  document["tensors"] = Fields::array();
  for (const verify::TensorStatistics& one : statistics) {
    document["tensors"].push_back(
        Describe(checkpoint.tensors().tensors()[one.tensor], one));
  }
  document["findings"] = Fields::array();
  for (const verify::StructureFinding& finding : report.findings) {
    document["findings"].push_back(
        {{"kind", verify::FindingKindName(finding.kind)},
         {"severity", SeverityName(finding.severity)},
         {"tensor", finding.tensor},
         {"detail", finding.detail}});
  }
  // A name that is not UTF-8 must not stop the file from being written.
  std::string text =
      document.dump(1, ' ', false, Fields::error_handler_t::replace);
  text += '\n';
  return verify::WriteFileAtomically(
      path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace cli
