// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back, by the SentencePiece library over a vocabulary
// that verify has read and checked. Tested by
// tests/inference/text/tokenizer_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {

using TokenId = int32_t;

// Thread-safe once created. Movable.
class Tokenizer {
 public:
  // Errors, all with the id E-TOKENIZER: kUnsupported (not BPE or unigram,
  // normalisation rules, a control piece that is one character and so could
  // be typed), kLimit (a piece too long, too deeply nested, or texts built to
  // collide in a hash table), kCorrupt (the library refuses it).
  static verify::Result<Tokenizer> Create(const verify::TokenizerModel& model);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Ids of `text` alone, no BOS. Control pieces written in the text are
  // ordinary text; invalid UTF-8 counts as U+FFFD, byte by byte. Empty text
  // gives no ids. Time grows with the length of the text.
  std::vector<TokenId> Encode(std::string_view text) const;

  // Text of ids as SentencePiece decodes them: control pieces vanish, one
  // leading space is dropped, bytes join to UTF-8. Ids outside the vocabulary
  // are skipped.
  std::string Decode(std::span<const TokenId> ids) const;

  // The bytes that one id adds in the middle of a text ("▁" is a space, a byte
  // piece its byte, a control piece nothing); may be incomplete UTF-8.
  std::string_view PieceBytes(TokenId id) const;
  // False for ids outside the vocabulary, as is IsByte.
  bool IsControl(TokenId id) const;
  bool IsByte(TokenId id) const;

  size_t vocab_size() const;
  TokenId bos_id() const;
  TokenId eos_id() const;

  // What decoding does with "▁" at the start of a text.
  enum class LeadingSpace { kKeep, kDropFirst, kDropAll };
  LeadingSpace leading_space() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of ids into text that is complete UTF-8 at every step: bytes
// of an unfinished character wait for the next id; the first leading space of
// the stream is dropped. All of Next and Finish is what Decode gives. The
// tokenizer must outlive it. One thread.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer);

  // New text since the last call; may be empty.
  std::string Next(TokenId id);
  // What still waits, invalid bytes as U+FFFD.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;     // bytes of an unfinished character
  bool drop_space_ = true;  // the next piece may lose its leading space
};

}  // namespace inference
