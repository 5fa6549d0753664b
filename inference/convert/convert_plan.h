// SPDX-License-Identifier: Apache-2.0
// What the result of a conversion is made of, known before the first number is
// read: files with their beginnings, tensors with their places and sources, and
// the units in which they are computed (docs/decisions/0009). How a form lays
// them out: plan_gguf, plan_safetensors.
// Tested by tests/inference/convert/convert_plan_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inference/convert/convert_options.h"
#include "inference/convert/importance.h"
#include "inference/convert/source_reader.h"
#include "inference/convert/tensor_stream.h"
#include "inference/tensor/stored_matrix.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/digest/digest.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// All are open at once, and a process may often have no more than 1024.
inline constexpr size_t kMaxResultFiles = 500;

// What is converted; outlives plans of it.
struct ConvertSource {
  verify::Checkpoint checkpoint;
  verify::ModelConfig config;
  // Of that checkpoint.
  SourceReader reader = {};
  // What weighs the errors of packed types; it fits the model.
  std::optional<ImportanceMatrix> importance = std::nullopt;
};

// A tensor of the result and the matrices whose rows it is made of, in order:
// one, or one per expert. `file` and `offset` are its place.
struct PlannedTensor {
  std::string name;
  std::vector<uint64_t> shape;
  RowForm form;
  std::vector<StoredMatrix> sources;
  // Weights of the columns of each source; empty if errors are not weighed.
  std::vector<std::vector<float>> importance;
  uint32_t file = 0;
  uint64_t offset = 0;        // from the start of the file
  uint64_t bytes = 0;         // without the padding
  uint64_t padded_bytes = 0;  // zeros after it included
};

// `head` is what stands before the tensors, or the whole of a small file.
struct PlannedFile {
  std::string name;  // plain
  std::string head;
  uint64_t bytes = 0;
};

// Rows of one source of a tensor, and where they stand in the unit.
struct UnitRows {
  uint32_t tensor = 0;
  uint32_t source = 0;
  uint64_t first = 0;
  uint64_t count = 0;
  uint64_t at = 0;
};

// A stretch of one file that is computed and written as one: rows of a tensor,
// or several small tensors with the padding between them.
struct Unit {
  uint32_t file = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::vector<UnitRows> rows;
};

struct ConvertPlan {
  // The result is a folder that holds the files; else they stand in the folder
  // that the output names a file of.
  bool is_folder = false;
  std::vector<PlannedFile> files;
  std::vector<PlannedTensor> tensors;  // sorted by place
  std::vector<Unit> units;             // sorted by place
  std::vector<FallbackForecast> fallbacks;
  std::vector<std::string> notes;

  uint64_t total_bytes() const;
  // What is written before the tensors.
  uint64_t head_bytes() const;
  // Tensors whose errors are weighed.
  uint64_t num_weighed() const;
};

// The matrices that fill a tensor of the result: for a shape of three
// dimensions one for each expert.
verify::Result<std::vector<StoredMatrix>> FindSources(
    const ConvertSource& source, const verify::TensorSpec& spec);

// The tensor without its place.
verify::Result<PlannedTensor> PlanTensor(const ConvertSource& source,
                                         const verify::TensorSpec& spec,
                                         const RowForm& form);

// How tensors are cut into units.
struct UnitRules {
  uint64_t bytes = 0;  // about so many each, at least one row
  // Of a source that can be read at any place, but not at once: a unit is of
  // one matrix, and of one that is read across has all rows.
  bool one_matrix = false;
};

// Units cover each tensor with its padding. Requires tensors that are sorted by
// place and stand side by side in each file.
// Errors: those of ConvertedRowBytes.
verify::Result<std::vector<Unit>> CutUnits(
    const std::vector<PlannedTensor>& tensors, const UnitRules& rules);

// Tells plans apart: two with the same digest write the same bytes in the same
// units, if what it is of the sources that `source_states` says stays so.
verify::Sha256Digest DigestOf(const ConvertPlan& plan,
                              const std::vector<std::string>& source_states);

}  // namespace inference
