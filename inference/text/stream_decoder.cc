// SPDX-License-Identifier: Apache-2.0
#include "inference/text/stream_decoder.h"

#include <string_view>

#include "inference/text/utf8_repair.h"

namespace inference {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      drop_space_(tokenizer.leading_space() != Tokenizer::LeadingSpace::kKeep) {
}

std::string StreamDecoder::Next(TokenId id) {
  std::string_view bytes = tokenizer_.PieceBytes(id);
  if (bytes.empty()) return {};
  if (drop_space_) {
    // A byte piece for a space is kept: only "▁" stands for the prefix.
    const bool dropped = bytes.front() == ' ' && !tokenizer_.IsByte(id) &&
                         !tokenizer_.IsUnknown(id);
    if (dropped) bytes.remove_prefix(1);
    drop_space_ =
        dropped && bytes.empty() &&
        tokenizer_.leading_space() == Tokenizer::LeadingSpace::kDropAll;
  }
  pending_ += bytes;
  return TakeCharacters(pending_, false);
}

std::string StreamDecoder::Finish() { return TakeCharacters(pending_, true); }

}  // namespace inference
