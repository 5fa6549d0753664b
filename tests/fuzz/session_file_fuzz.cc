// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "inference/model/session_file.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/container/xxh64.h"
#include "verify/digest/digest.h"
#include "verify/structure/model_config.h"

namespace {

constexpr size_t kHeadBytes = 112;
constexpr size_t kSumBytes = 32;
constexpr uint64_t kMaxTokens = 16;

void Require(bool condition) {
  if (!condition) std::abort();
}

// As in the corpus.
verify::ModelConfig SmallConfig(bool windowed) {
  verify::ModelConfig config;
  config.num_layers = 2;
  config.num_kv_heads = 1;
  config.head_dim = 2;
  config.vocab_size = 10;
  if (windowed) config.sliding_window = 4;
  return config;
}

// What is read fits the model and the context, and comes from the file.
void TryRead(std::span<const std::byte> bytes, bool windowed) {
  const auto config = SmallConfig(windowed);
  inference::SessionOrigin origin;
  origin.kernels = "TEST";
  const verify::MemorySource file(bytes);
  auto content = inference::ReadSession(file, origin, config, kMaxTokens);
  if (!content) {
    Require(!content.error().id.empty() && !content.error().hint.empty());
    return;
  }
  Require(content->tokens.size() <= kMaxTokens);
  Require(content->cache.position() == content->tokens.size());
  Require(content->note.size() + 4 * content->tokens.size() < bytes.size());
  for (const inference::TokenId id : content->tokens) {
    Require(id >= 0 && id < 10);
  }
  // Every row that the next token would see can be touched.
  const uint64_t end = content->cache.position();
  const uint64_t begin = windowed && end > 4 ? end - 3 : 0;
  Require(content->cache.oldest() <= begin);
  for (uint64_t p = begin; p < end; ++p) {
    const auto* row =
        reinterpret_cast<const std::byte*>(content->cache.Value(1, p));
    Require(std::search(bytes.begin(), bytes.end(), row, row + 4) !=
            bytes.end());
  }
}

}  // namespace

// As it comes, and with both sums made right, which a fuzzer cannot find.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const bool windowed : {false, true}) TryRead(bytes, windowed);
  if (size < kHeadBytes + kSumBytes) return 0;
  std::vector<std::byte> mended(bytes.begin(), bytes.end());
  const auto all = std::span(mended);
  const uint64_t head_sum = verify::Xxh64(all.first(kHeadBytes - 8));
  std::memcpy(mended.data() + kHeadBytes - 8, &head_sum, sizeof(head_sum));
  const auto sum = verify::Sha256(all.first(size - kSumBytes));
  std::copy(sum.begin(), sum.end(), mended.end() - kSumBytes);
  for (const bool windowed : {false, true}) TryRead(mended, windowed);
  return 0;
}
