// SPDX-License-Identifier: Apache-2.0
// `eval perplexity`: a part of the verb eval.
#pragma once

#include <cstdint>
#include <string>

#include "cli/context.h"
#include "inference/ops/kv_row.h"
#include "verify/base/result.h"

namespace CLI {
class App;
}

namespace cli {

class PerplexityTask {
 public:
  // Adds the task to the verb.
  void AddTo(CLI::App& eval);
  // Whether it was asked for.
  bool chosen() const;
  verify::Result<CommandResult> Run(Context& context) const;

 private:
  const CLI::App* app_ = nullptr;
  std::string model_;
  std::string file_;
  uint64_t context_tokens_ = 512;
  uint64_t chunks_ = 0;
  size_t num_threads_ = 0;
  bool exact_ = false;
  inference::KvType kv_ = inference::KvType::kF16;
};

}  // namespace cli
