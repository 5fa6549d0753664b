// SPDX-License-Identifier: Apache-2.0
// What a conversion is asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "verify/checkpoint/dtype.h"

namespace inference {

// The layout that is written.
enum class ResultForm {
  kGguf,          // one file, or several with a number each
  kHuggingFace,   // folder: config.json, model*.safetensors, tokenizer
  kConsolidated,  // folder: params.json, consolidated*.safetensors, tokenizer
};

// Whether all weights get one type or each the one that suits it
// (quant_policy.h).
enum class TypeMix { kNone, kMedium };

// Values that are NaN or infinite.
enum class NonFinite {
  kRefuse,
  kKeep,  // in f32, f16 and bf16; still refused in packed types
};

// About 2 MiB of the result are computed and written as one.
inline constexpr uint64_t kDefaultUnitBytes = 2u << 20;
// What files of a Hugging Face folder have by custom.
inline constexpr uint64_t kDefaultShardBytes = 5'000'000'000;

// By what the errors of packed types are weighed (importance.h).
struct ImportanceChoice {
  enum class From {
    kNone,
    kCalibration,  // a run of the model itself
    kFile,
  };
  From from = From::kNone;
  std::string file;         // kFile: what --save-imatrix or llama-imatrix wrote
  std::string calibration;  // kCalibration: a file of text, UTF-8; empty: the
                            // program's own text
  std::string save_to;      // a file to keep the matrix in; empty: none
};

// What was taken.
struct ImportanceForecast {
  std::string dataset;
  std::string sha256;
  uint64_t num_tensors = 0;  // of the result whose errors are weighed
};

// A type that tensors could not have, since their rows are no whole number of
// its blocks.
struct FallbackForecast {
  verify::DType wanted = verify::DType::kBF16;
  verify::DType written = verify::DType::kBF16;
  uint64_t row_elements = 0;
  std::string first_tensor;
  uint64_t num_tensors = 0;
};

// What is known before the first byte is written.
struct ConvertForecast {
  std::string path;
  uint64_t total_bytes = 0;   // of all files of the result
  uint64_t needed_bytes = 0;  // of them not yet taken on the disk
  uint64_t free_bytes = 0;    // on the disk, before anything is taken
  uint64_t resume_bytes = 0;  // of them written by an earlier run
  struct File {
    std::string path;  // below the folder that holds the result
    uint64_t bytes = 0;
  };
  std::vector<File> files;
  std::vector<FallbackForecast> fallbacks;  // each of them is a note, too
  std::optional<ImportanceForecast> importance;
  std::vector<std::string> notes;
};

struct ConvertOptions {
  std::string input;   // file or folder, as Checkpoint::Open takes it
  std::string output;  // the GGUF file or the folder
  verify::DType to = verify::DType::kBF16;  // any that CanEncode names
  TypeMix mix = TypeMix::kNone;             // kMedium with q4_k and q5_k alone
  ResultForm form = ResultForm::kGguf;
  // Bytes that no file of weights is to pass, if a single tensor does not.
  // 0: one file, or what is the custom of the form.
  uint64_t split_bytes = 0;
  NonFinite non_finite = NonFinite::kRefuse;
  ImportanceChoice importance = {};
  bool overwrite = false;  // a file; a folder is never replaced
  size_t num_threads = 0;
  uint64_t unit_bytes = kDefaultUnitBytes;
  // Called once, before the first byte is written.
  std::function<void(const ConvertForecast&)> on_forecast = nullptr;
};

}  // namespace inference
