// SPDX-License-Identifier: Apache-2.0
#include "inference/model/model_identity.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "inference/model/model_impl.h"
#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::AsBytes;
using verify::StrCat;

// Lengths go first, so that no two lists of texts read the same.
void HashText(verify::Sha256Hasher& hasher, std::string_view text) {
  hasher.Update(AsBytes(StrCat(text.size(), ' ')));
  hasher.Update(AsBytes(text));
}

void HashConfig(verify::Sha256Hasher& hasher,
                const verify::ModelConfig& config) {
  for (const uint64_t number :
       {config.dim, config.num_layers, config.head_dim, config.ff_dim,
        config.num_heads, config.num_kv_heads, config.vocab_size,
        config.sliding_window.value_or(0), config.num_experts,
        config.num_experts_per_token, uint64_t{config.tied_embeddings}}) {
    HashText(hasher, StrCat(number));
  }
  // Their bits: %g would take neighbours for equal.
  for (const double number : {config.norm_eps, config.rope_theta}) {
    hasher.Update(std::as_bytes(std::span(&number, 1)));
  }
  HashText(hasher, config.rope_style == verify::RopeStyle::kHalf
                       ? "half"
                       : "interleaved");
}

void HashPage(verify::Sha256Hasher& hasher, verify::ByteSpan bytes) {
  const size_t size = std::min(bytes.size(), kIdentityPageBytes);
  hasher.Update(bytes.subspan((bytes.size() - size) / 2, size));
}

}  // namespace

verify::Sha256Digest IdentifyModel(const Model& model) {
  const Model::Impl& impl = *model.impl_;
  verify::Sha256Hasher hasher;
  HashText(hasher, "lodestone model identity 1");
  HashConfig(hasher, impl.config);
  const auto& tensors = impl.checkpoint.tensors().tensors();
  const size_t step = std::max<size_t>(
      1, (tensors.size() + kIdentityPages - 1) / kIdentityPages);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const verify::TensorInfo& tensor = tensors[i];
    HashText(hasher, tensor.name);
    HashText(hasher, verify::DTypeName(tensor.dtype));
    HashText(hasher, verify::ShapeText(tensor.shape));
    for (const verify::TensorSlice& place : verify::PlacesIn(tensor)) {
      HashText(hasher, StrCat(place.file_index, ' ', place.offset, ' ',
                              place.size_bytes));
    }
    if (i % step == 0) HashPage(hasher, impl.checkpoint.Slices(tensor)[0]);
  }
  const Tokenizer& tokenizer = impl.tokenizer;
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    HashText(hasher, tokenizer.PieceBytes(id));
    HashText(hasher, tokenizer.IsControl(id) ? "control" : "text");
  }
  return hasher.Finish();
}

}  // namespace inference
