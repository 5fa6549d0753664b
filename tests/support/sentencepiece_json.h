// SPDX-License-Identifier: Apache-2.0
// A SentencePiece model as a tokenizer.json.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace tests {

// Every way to make a piece of two others, the best piece first: what the
// converters of SentencePiece models write (huggingface/transformers,
// convert_slow_tokenizer.py, SentencePieceExtractor).
inline verify::Json FromSentencePiece(const verify::TokenizerModel& model) {
  struct Merge {
    float score;
    size_t left_bytes;
    size_t right_bytes;
    std::string text;
  };
  std::map<std::string_view, size_t> ids;
  verify::Json json;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const auto& piece = model.pieces[id];
    json["model"]["vocab"][piece.text] = id;
    if (piece.type == verify::PieceType::kNormal) ids[piece.text] = id;
    if (piece.type != verify::PieceType::kNormal &&
        piece.type != verify::PieceType::kByte) {
      json["added_tokens"].push_back(
          {{"id", id}, {"content", piece.text}, {"special", true}});
    }
  }
  std::vector<Merge> merges;
  for (const auto& [text, id] : ids) {
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (ids.count(text.substr(0, cut)) == 0) continue;
      if (ids.count(text.substr(cut)) == 0) continue;
      merges.push_back(
          {model.pieces[id].score, cut, text.size() - cut,
           verify::StrCat(text.substr(0, cut), " ", text.substr(cut))});
    }
  }
  // Of pieces of one score (runs of blanks) longer parts first: so a run grows
  // from the left.
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) {
                     return std::tie(a.score, a.left_bytes, a.right_bytes) >
                            std::tie(b.score, b.left_bytes, b.right_bytes);
                   });
  json["model"]["merges"] = verify::Json::array();
  for (const Merge& merge : merges) {
    json["model"]["merges"].push_back(merge.text);
  }
  json["model"]["type"] = "BPE";
  json["model"]["byte_fallback"] = true;
  json["model"]["unk_token"] = "<unk>";
  return json;
}

// The rules that the files of Mistral 7B and Mixtral have: the prefix before
// every text, "▁" for spaces.
inline void AddMistralRules(verify::Json& json) {
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers",
                         {{{"type", "Prepend"}, {"prepend", "\xe2\x96\x81"}},
                          {{"type", "Replace"},
                           {"pattern", {{"String", " "}}},
                           {"content", "\xe2\x96\x81"}}}}};
  json["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "Replace"},
         {"pattern", {{"String", "\xe2\x96\x81"}}},
         {"content", " "}},
        {{"type", "ByteFallback"}},
        {{"type", "Fuse"}},
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
}

}  // namespace tests
