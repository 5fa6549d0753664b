// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "p2p/bencode.h"

namespace {

// Writes the value again; one form only is accepted, so the bytes must agree.
void Rewrite(const p2p::BencodeValue& value, p2p::BencodeWriter& writer) {
  if (const auto number = value.AsInteger()) {
    writer.Integer(*number);
  } else if (const auto text = value.AsString()) {
    writer.String(*text);
  } else if (value.is_list()) {
    writer.BeginList();
    for (const p2p::BencodeValue item : value) Rewrite(item, writer);
    writer.End();
  } else {
    writer.BeginDictionary();
    for (auto it = value.begin(); it != value.end(); ++it) {
      const auto key = (*it).AsString();
      if (!key.has_value()) std::abort();
      const auto found = value.Find(*key);
      ++it;
      if (!found.has_value() || found->offset() != (*it).offset()) std::abort();
      writer.Key(*key);
      Rewrite(*it, writer);
    }
    writer.End();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto document =
      p2p::BencodeDocument::Parse(bytes, {.max_depth = 64, .max_tokens = 4096});
  if (!document) return 0;
  p2p::BencodeWriter writer;
  Rewrite(document->root(), writer);
  const std::vector<std::byte> again = writer.Take();
  if (verify::AsText(again) != verify::AsText(bytes)) std::abort();
  return 0;
}
