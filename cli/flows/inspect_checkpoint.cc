// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/inspect_checkpoint.h"

#include <fmt/core.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/archive_flow.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/structure/model_config.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

struct Totals {
  uint64_t bytes = 0;
  uint64_t elements = 0;
  std::map<std::string_view, uint64_t> tensors_by_dtype;
};

Totals TotalsOf(const verify::Checkpoint& checkpoint) {
  Totals totals;
  for (const verify::TensorInfo& tensor : checkpoint.tensors().tensors()) {
    totals.bytes += tensor.size_bytes;
    totals.elements += verify::NumElements(tensor.shape).value_or(0);
    ++totals.tensors_by_dtype[verify::DTypeName(tensor.dtype)];
  }
  return totals;
}

std::string NameOfFile(const verify::Checkpoint& checkpoint,
                       const verify::FilePlace& place) {
  return fs::path(checkpoint.files()[place.file]).filename().string();
}

// How a tensor lies in more than one place; empty if it does not.
std::string_view CutOf(const verify::TensorInfo& tensor,
                       const std::vector<verify::FilePlace>& places) {
  if (tensor.sliced()) return tensor.sliced_dim == 0 ? "rows" : "columns";
  return places.size() > 1 ? "bytes" : "";
}

Fields Describe(const verify::Checkpoint& checkpoint, const Totals& totals,
                const Result<verify::ModelConfig>& config, bool list_tensors) {
  Fields fields{{"kind", "checkpoint"},
                {"format", verify::CheckpointFormatName(checkpoint.format())}};
  fields["files"] = Fields::array();
  for (const std::string& path : checkpoint.files()) {
    std::error_code ignored;
    fields["files"].push_back({{"path", fs::path(path).filename().string()},
                               {"bytes", fs::file_size(path, ignored)}});
  }
  fields["num_tensors"] = checkpoint.tensors().size();
  fields["elements"] = totals.elements;
  fields["tensor_bytes"] = totals.bytes;
  fields["dtypes"] = Fields::object();
  for (const auto& [dtype, count] : totals.tensors_by_dtype) {
    fields["dtypes"][std::string(dtype)] = count;
  }
  if (config) {
    fields["model"] = verify::Describe(*config);
    fields["family"] = verify::FamilyName(config->family);
    fields["runnable"] = config->runnable();
  } else {
    fields["model"] = nullptr;
    fields["model_error"] = config.error().message;
  }
  if (!list_tensors) return fields;
  fields["tensors"] = Fields::array();
  for (const verify::TensorInfo& tensor : checkpoint.tensors().tensors()) {
    const auto places = checkpoint.PlacesOf(tensor);
    Fields one{{"name", tensor.name},
               {"dtype", verify::DTypeName(tensor.dtype)},
               {"shape", tensor.shape},
               {"file", NameOfFile(checkpoint, places.front())},
               {"offset", places.front().offset},
               {"bytes", tensor.size_bytes}};
    if (!tensor.contiguous()) one["strides"] = tensor.strides;
    if (const std::string_view cut = CutOf(tensor, places); !cut.empty()) {
      one["cut"] = cut;
      one["places"] = Fields::array();
      for (const verify::FilePlace& place : places) {
        one["places"].push_back({{"file", NameOfFile(checkpoint, place)},
                                 {"offset", place.offset},
                                 {"bytes", place.size_bytes}});
      }
    }
    fields["tensors"].push_back(std::move(one));
  }
  return fields;
}

void Print(const verify::Checkpoint& checkpoint, const Totals& totals,
           const Result<verify::ModelConfig>& config, bool list_tensors,
           Output& output) {
  const auto line = [&](std::string_view key, const std::string& value) {
    output.Print(fmt::format("{:<10} {}", key, value));
  };
  line("format",
       std::string(verify::CheckpointFormatName(checkpoint.format())));
  if (config) {
    line("model", StrCat(verify::Describe(*config),
                         config->runnable()
                             ? ""
                             : "; known by shape, Lodestone does not run it"));
  } else {
    line("model", StrCat("not known: ", config.error().message));
  }
  std::string dtypes;
  for (const auto& [dtype, count] : totals.tensors_by_dtype) {
    dtypes += StrCat(dtypes.empty() ? "" : ", ", count, " ", dtype);
  }
  line("tensors",
       StrCat(checkpoint.tensors().size(), " (", dtypes, "), ", totals.elements,
              " elements, ", verify::FormatSize(totals.bytes)));
  for (const std::string& path : checkpoint.files()) {
    std::error_code ignored;
    line("file",
         StrCat(EscapeForTerminal(fs::path(path).filename().string()), "  ",
                verify::FormatSize(fs::file_size(path, ignored))));
  }
  if (!list_tensors) return;
  for (const verify::TensorInfo& tensor : checkpoint.tensors().tensors()) {
    const auto places = checkpoint.PlacesOf(tensor);
    const std::string_view cut = CutOf(tensor, places);
    output.Print(fmt::format(
        "{:<9} {:<22} {:>14} {:>12}  {}  {}{}", verify::DTypeName(tensor.dtype),
        verify::ShapeText(tensor.shape), places.front().offset,
        tensor.size_bytes,
        EscapeForTerminal(NameOfFile(checkpoint, places.front())),
        EscapeForTerminal(tensor.name),
        cut.empty() ? ""
                    : fmt::format("  ({} in {} places)", cut, places.size())));
  }
}

}  // namespace

bool IsCheckpoint(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return true;
  // A piece says nothing by itself, and the whole need not be there.
  const auto set = verify::WeightSetOf(path);
  if (set && set->in_pieces()) return true;
  if (!fs::is_regular_file(path, ignored)) return false;
  if (path.ends_with(".safetensors.index.json")) return true;
  const auto file = verify::ReadOnlyFile::Open(path);
  if (!file) return false;
  const auto content = verify::SniffContent(*file);
  return content.has_value() && content->format.has_value();
}

bool IsCompressedCheckpoint(const std::string& path) {
  const auto inside = WeightsWithin(path);
  return inside.has_value() && inside->seekable;
}

Result<CommandResult> InspectCheckpoint(const std::string& path,
                                        bool list_tensors, Context& context) {
  ASSIGN_OR_RETURN(const verify::Checkpoint opened,
                   verify::Checkpoint::OpenTables(path));
  const verify::Checkpoint* const checkpoint = &opened;
  const auto config = verify::LoadModelConfig(*checkpoint);
  const Totals totals = TotalsOf(*checkpoint);
  Print(*checkpoint, totals, config, list_tensors, context.output);
  CommandResult result;
  result.summary = Describe(*checkpoint, totals, config, list_tensors);
  return result;
}

}  // namespace cli
