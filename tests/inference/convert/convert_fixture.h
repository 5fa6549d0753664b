// SPDX-License-Identifier: Apache-2.0
// Small models for the tests of conversion, and what they share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inference/convert/convert.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/progress.h"
#include "verify/structure/model_config.h"

namespace inference {

inline verify::Result<ConvertOutcome> ConvertNow(
    const ConvertOptions& options) {
  return Convert(options, verify::CancelToken(), nullptr);
}

// A folder with those tensors in Mistral's layout; its path.
inline std::string WriteMistralFolder(
    const tests::TempDir& dir, std::string_view name,
    const verify::ModelConfig& config,
    const std::vector<tests::TinyTensor>& tensors) {
  const std::string folder(name);
  dir.Write(folder + "/consolidated.safetensors",
            tests::SafetensorsFile(tensors));
  dir.Write(folder + "/params.json", tests::ParamsJson(config));
  dir.Write(folder + "/tokenizer.model",
            tests::TinyTokenizer(config.vocab_size));
  return dir.File(folder);
}

inline std::string WriteMistralFolder(const tests::TempDir& dir,
                                      std::string_view name,
                                      const verify::ModelConfig& config) {
  return WriteMistralFolder(dir, name, config, tests::TinyTensors(config));
}

// Cancels at a given call.
class CancellingSink final : public verify::ProgressSink {
 public:
  explicit CancellingSink(int at) : at_(at) {}

  void OnProgress(std::string_view, uint64_t, uint64_t) override {
    if (++calls_ == at_) token_.Cancel();
  }
  const verify::CancelToken& token() const { return token_; }
  int calls() const { return calls_; }

 private:
  const int at_;
  int calls_ = 0;
  verify::CancelToken token_;
};

}  // namespace inference
