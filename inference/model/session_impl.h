// SPDX-License-Identifier: Apache-2.0
// What a Session holds; shared by session.cc and session_file.cc alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/model/kv_cache.h"
#include "inference/model/model.h"
#include "verify/base/result.h"

namespace inference {

struct Session::Impl {
  const Model* model;
  KvCache cache;
  std::vector<float> logits;    // [vocab_size]
  std::vector<TokenId> tokens;  // cache.position() of them

  // Whether these can be appended.
  verify::Result<void> CheckTokens(std::span<const TokenId> ids) const;
  // After a failure: where the sequence was. A ring that has gone round cannot
  // go back: it starts anew.
  void GoBack(uint64_t start);
};

}  // namespace inference
