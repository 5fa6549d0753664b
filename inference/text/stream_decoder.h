// SPDX-License-Identifier: Apache-2.0
// Ids to text while they come. Tested by
// tests/inference/text/tokenizer_test.cc.
#pragma once

#include <string>

#include "inference/text/tokenizer.h"

namespace inference {

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
