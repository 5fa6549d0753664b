// SPDX-License-Identifier: Apache-2.0
// How far the weights of quantised GGUF files lie from those of their source,
// for each class of tensors: what the tables of docs/decisions/0008 and 0012
// are made of. The files may be of any quantiser; all are read by the same
// readers.
//
// Usage: quant_error SOURCE FILE.gguf [FILE.gguf...] [--imatrix MATRIX.gguf]
// A line for each class and file: class, file, type of most of its elements,
// root of the mean square error, the same over the root of the mean square of
// the weights, and with a matrix the same of errors and weights that columns
// weigh.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/convert/importance.h"
#include "inference/convert/importance_file.h"
#include "inference/tensor/stored_matrix.h"
#include "verify/base/result.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"
#include "verify/structure/structure_check.h"

namespace {

using inference::StoredMatrix;
using verify::Checkpoint;
using verify::Result;
using verify::TensorRole;

constexpr uint64_t kRowsAtOnce = 64;

struct Opened {
  std::string path;
  Checkpoint checkpoint;
  verify::ModelConfig config;
};

Result<Opened> OpenModel(const std::string& path) {
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path));
  ASSIGN_OR_RETURN(const verify::ModelConfig config,
                   verify::LoadModelConfig(checkpoint));
  RETURN_IF_ERROR(verify::CheckRunnable(config));
  const verify::StructureReport report =
      verify::CheckStructure(checkpoint, config);
  for (const verify::StructureFinding& finding : report.findings) {
    if (!finding.fatal()) continue;
    return verify::Fail(verify::ErrorCode::kCorrupt,
                        verify::StrCat(path, ": ", finding.tensor, " is ",
                                       FindingKindName(finding.kind)));
  }
  return Opened{path, std::move(checkpoint), config};
}

struct Sums {
  double error = 0;
  double weight = 0;
  double weighed_error = 0;
  double weighed_weight = 0;
  uint64_t count = 0;
  std::map<verify::DType, uint64_t> elements;

  std::string_view MainType() const {
    const auto most = std::max_element(
        elements.begin(), elements.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == elements.end() ? "-" : verify::DTypeName(most->first);
  }
};

const char* ClassOf(TensorRole role) {
  switch (role) {
    case TensorRole::kTokenEmbedding:
      return "embedding";
    case TensorRole::kAttentionQ:
      return "attention q";
    case TensorRole::kAttentionK:
      return "attention k";
    case TensorRole::kAttentionV:
      return "attention v";
    case TensorRole::kAttentionOut:
      return "attention o";
    case TensorRole::kFfnGate:
      return "ffn w1";
    case TensorRole::kFfnDown:
      return "ffn w2";
    case TensorRole::kFfnUp:
      return "ffn w3";
    case TensorRole::kOutput:
      return "output";
    default:
      return nullptr;  // norms and routers are not packed
  }
}

// Adds the errors of one matrix. False if the two do not lie alike.
bool AddMatrix(const StoredMatrix& source, const StoredMatrix& packed,
               const std::vector<float>& columns, Sums& sums) {
  if (source.rows != packed.rows || source.cols != packed.cols ||
      (source.half_rotated_heads == 0) != (packed.half_rotated_heads == 0)) {
    return false;
  }
  const auto cols = static_cast<size_t>(source.cols);
  std::vector<float> from;
  std::vector<float> to;
  for (uint64_t first = 0; first < source.rows; first += kRowsAtOnce) {
    const uint64_t rows = std::min(kRowsAtOnce, source.rows - first);
    from.resize(static_cast<size_t>(rows) * cols);
    to.resize(from.size());
    DecodeRows(source, first, rows, from);
    DecodeRows(packed, first, rows, to);
    for (size_t i = 0; i < from.size(); ++i) {
      const auto value = static_cast<double>(from[i]);
      const double off = value - static_cast<double>(to[i]);
      const double of_column =
          columns.empty() ? 0 : static_cast<double>(columns[i % cols]);
      sums.error += off * off;
      sums.weight += value * value;
      sums.weighed_error += of_column * off * off;
      sums.weighed_weight += of_column * value * value;
    }
  }
  sums.count += source.rows * source.cols;
  sums.elements[packed.tensor->dtype] += source.rows * source.cols;
  return true;
}

Result<void> Compare(const Opened& source, const Opened& packed,
                     const std::optional<inference::ImportanceMatrix>& matrix,
                     std::map<std::string, Sums>& classes) {
  for (const verify::TensorSpec& spec :
       verify::ExpectedTensors(source.config, verify::NameScheme::kGguf)) {
    const char* const name = ClassOf(spec.role);
    if (name == nullptr) continue;
    const bool of_experts = spec.shape.size() == 3;
    const uint64_t count = of_experts ? spec.shape.front() : 1;
    for (uint64_t i = 0; i < count; ++i) {
      const int64_t expert = of_experts ? static_cast<int64_t>(i) : -1;
      ASSIGN_OR_RETURN(
          const StoredMatrix from,
          inference::FindStoredMatrix(source.checkpoint, source.config,
                                      spec.role, spec.layer, expert));
      ASSIGN_OR_RETURN(
          const StoredMatrix to,
          inference::FindStoredMatrix(packed.checkpoint, packed.config,
                                      spec.role, spec.layer, expert));
      const std::vector<float> columns = matrix.has_value()
                                             ? ColumnWeights(*matrix, spec, i)
                                             : std::vector<float>();
      for (const std::string& of : {std::string(name), std::string("all")}) {
        if (AddMatrix(from, to, columns, classes[of])) continue;
        return verify::Fail(
            verify::ErrorCode::kUnsupported,
            verify::StrCat(packed.path, ": \"", spec.name,
                           "\" lies in another order than in the source; give "
                           "the source as GGUF"));
      }
    }
  }
  return {};
}

Result<void> Run(const std::vector<std::string>& paths,
                 const std::string& matrix_path) {
  ASSIGN_OR_RETURN(const Opened source, OpenModel(paths.front()));
  std::optional<inference::ImportanceMatrix> matrix;
  if (!matrix_path.empty()) {
    ASSIGN_OR_RETURN(matrix, inference::ReadImportance(matrix_path));
    RETURN_IF_ERROR(CheckImportance(*matrix, source.config));
  }
  for (size_t i = 1; i < paths.size(); ++i) {
    ASSIGN_OR_RETURN(const Opened packed, OpenModel(paths[i]));
    std::map<std::string, Sums> classes;
    RETURN_IF_ERROR(Compare(source, packed, matrix, classes));
    for (const auto& [name, sums] : classes) {
      const auto count = static_cast<double>(sums.count);
      std::printf("%s\t%s\t%s\t%.6e\t%.6e", name.c_str(), paths[i].c_str(),
                  std::string(sums.MainType()).c_str(),
                  std::sqrt(sums.error / count),
                  std::sqrt(sums.error / sums.weight));
      if (sums.weighed_weight > 0) {
        std::printf("\t%.6e",
                    std::sqrt(sums.weighed_error / sums.weighed_weight));
      }
      std::printf("\n");
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  std::string matrix;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--imatrix" && i + 1 < argc) {
      matrix = argv[++i];
    } else {
      paths.emplace_back(argv[i]);
    }
  }
  if (paths.size() < 2) {
    std::fprintf(stderr,
                 "usage: quant_error SOURCE FILE.gguf... [--imatrix FILE]\n");
    return 2;
  }
  const auto done = Run(paths, matrix);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().ToString().c_str());
  return 1;
}
