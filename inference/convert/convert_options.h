// SPDX-License-Identifier: Apache-2.0
// What a conversion is asked for.
#pragma once

#include <cstdint>
#include <functional>
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
  bool overwrite = false;  // a file; a folder is never replaced
  size_t num_threads = 0;
  uint64_t unit_bytes = kDefaultUnitBytes;
  // Called once, before the first byte is written.
  std::function<void(const ConvertForecast&)> on_forecast = nullptr;
};

}  // namespace inference
