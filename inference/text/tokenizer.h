// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back, for every kind of vocabulary that verify reads:
// SentencePiece (tokenizer.model), byte pair encoding (tokenizer.json,
// tekken.json) and both in GGUF. The kinds differ in encoding alone
// (text_encoder.h). Tested by tests/inference/text/tokenizer_test.cc and
// bpe_encoder_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/text/text_encoder.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {

// Thread-safe once created. Movable.
class Tokenizer {
 public:
  // `release`: the version that a file's name states, "v3" of
  // tokenizer.model.v3; empty if it states none.
  // Errors, all with the id E-TOKENIZER: those of MakeSentencePieceEncoder and
  // MakeBpeEncoder; kLimit (an id far beyond the number of tokens).
  static verify::Result<Tokenizer> Create(const verify::TokenizerModel& model,
                                          std::string_view release = {});
  static verify::Result<Tokenizer> Create(
      const verify::TokenVocabulary& vocabulary);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Ids of `text` alone, no BOS. Control pieces written in the text are
  // ordinary text; invalid UTF-8 counts as U+FFFD, byte by byte. Empty text
  // gives no ids. Time grows with the length of the text (n log n).
  std::vector<TokenId> Encode(std::string_view text) const;

  // The same, but control pieces written in the text become their ids, the
  // longest first: for prompts that the program itself puts together, never
  // for what a user has typed. What stands between two of them is encoded by
  // itself.
  std::vector<TokenId> EncodeMarked(std::string_view text) const;

  // What a model is given to go on with `text`: BOS, if this vocabulary puts
  // one, and the ids of the text.
  std::vector<TokenId> EncodePrompt(std::string_view text) const;

  // Text of ids: control pieces vanish, one leading space is dropped where
  // encoding has put it, bytes join to UTF-8. Ids outside the vocabulary are
  // skipped.
  std::string Decode(std::span<const TokenId> ids) const;

  // The bytes that one id adds in the middle of a text ("▁" is a space, a byte
  // piece its byte, a control piece nothing); may be incomplete UTF-8.
  std::string_view PieceBytes(TokenId id) const;
  // False for ids outside the vocabulary, as are the next two.
  bool IsControl(TokenId id) const;
  // A piece that stands for one byte that is no character, "<0x41>".
  bool IsByte(TokenId id) const;
  bool IsUnknown(TokenId id) const;
  // The id of a control piece: "[INST]".
  std::optional<TokenId> ControlId(std::string_view name) const;

  size_t vocab_size() const;
  // -1 if there is none.
  TokenId bos_id() const;
  TokenId eos_id() const;
  bool adds_bos() const;

  // The version of instruct template that the file states ("v3"), or nothing.
  const std::string& release() const;
  // Its pieces are bytes and not characters (tekken, GPT-2 and their kind).
  bool is_byte_level() const;

  // What decoding does with "▁" at the start of a text.
  enum class LeadingSpace { kKeep, kDropFirst, kDropAll };
  LeadingSpace leading_space() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace inference
