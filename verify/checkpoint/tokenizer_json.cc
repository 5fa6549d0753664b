// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tokenizer_json.h"

#include <array>
#include <limits>
#include <utility>

#include "verify/base/json_builder.h"
#include "verify/base/text.h"
#include "verify/checkpoint/text_rules.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/vocabulary_builder.h"

namespace verify {
namespace {

// Everything but vocabulary, merges and added tokens: small in every file.
constexpr JsonLimits kRestLimits{kMaxTokenizerJsonBytes, 24, 1u << 16};
constexpr JsonLimits kItemLimits{kMaxTokenizerJsonBytes, 2, 32};
// A merge is a text, or a list of two; the longest text is a map of characters.
constexpr JsonLimits kFileLimits{
    kMaxTokenizerJsonBytes, 24,
    kMaxJsonTokens + 3 * kMaxJsonMerges + 32 * kMaxAddedTokens + (1u << 16),
    2 * kMaxCharsmapBytes};

Unexpected Corrupt(std::string_view what) {
  return TokenizerError(ErrorCode::kCorrupt, what);
}
Unexpected Unsupported(std::string_view what) {
  return TokenizerError(ErrorCode::kUnsupported, what);
}

// Takes the long parts of the file as they come, and builds a value of the
// rest, where null stands in their place.
class TokenizerEvents final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Value(Json(nullptr)); }
  bool boolean(bool value) override { return Value(Json(value)); }
  bool number_integer(number_integer_t value) override {
    return Value(Json(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Value(Json(value));
  }
  bool number_float(number_float_t value, const string_t&) override {
    return Value(Json(value));
  }
  bool string(string_t& value) override {
    if (part_ == Part::kMerges) return MergeText(std::move(value));
    return Value(Json(std::move(value)));
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t size) override {
    switch (part_) {
      case Part::kVocabulary:
        return Refuse(Corrupt("a token whose id is an object"));
      case Part::kMerges:
        return Refuse(Corrupt("a merge that is an object"));
      case Part::kAdded:
        if (!item_.has_value()) item_.emplace(kItemLimits);
        return Pass(*item_, item_->start_object(size));
      case Part::kRest:
        break;
    }
    if (IsPath(2, "model", "vocab")) {
      part_ = Part::kVocabulary;
      return Pass(rest_, rest_.null());
    }
    objects_.push_back(true);
    return Pass(rest_, rest_.start_object(size));
  }

  bool end_object() override {
    if (part_ == Part::kVocabulary) {
      part_ = Part::kRest;
      has_vocabulary_ = true;
      return true;
    }
    if (part_ == Part::kAdded) {
      item_->end_object();
      return !item_->closed() || AddItem();
    }
    objects_.pop_back();
    return Pass(rest_, rest_.end_object());
  }

  bool start_array(size_t size) override {
    switch (part_) {
      case Part::kVocabulary:
        return Refuse(Corrupt("a token whose id is a list"));
      case Part::kMerges:
        if (in_pair_) return Refuse(Corrupt("a merge of lists"));
        in_pair_ = true;
        pair_.clear();
        return true;
      case Part::kAdded:
        if (!item_.has_value()) {
          return Refuse(Corrupt("an added token that is a list"));
        }
        return Pass(*item_, item_->start_array(size));
      case Part::kRest:
        break;
    }
    const bool is_merges = IsPath(2, "model", "merges");
    if (is_merges || IsPath(1, "added_tokens", {})) {
      part_ = is_merges ? Part::kMerges : Part::kAdded;
      has_merges_ |= is_merges;
      return Pass(rest_, rest_.null());
    }
    objects_.push_back(false);
    return Pass(rest_, rest_.start_array(size));
  }

  bool end_array() override {
    if (part_ == Part::kMerges && in_pair_) {
      in_pair_ = false;
      if (pair_.size() != 2) {
        return Refuse(Corrupt("a merge that is no pair"));
      }
      return Keep(builder_.AddMerge(pair_[0], pair_[1]));
    }
    if (part_ == Part::kAdded && item_.has_value()) {
      return Pass(*item_, item_->end_array());
    }
    if (part_ != Part::kRest) {
      part_ = Part::kRest;
      return true;
    }
    objects_.pop_back();
    return Pass(rest_, rest_.end_array());
  }

  bool key(string_t& name) override {
    if (part_ == Part::kVocabulary) {
      token_ = std::move(name);
      return true;
    }
    if (part_ == Part::kAdded) return Pass(*item_, item_->key(name));
    if (objects_.size() <= 2) keys_[objects_.size() - 1] = name;
    return Pass(rest_, rest_.key(name));
  }

  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    rest_.parse_error(position, token, error);
    error_ = rest_.error();
    return false;
  }

  Json& rest() { return rest_.root(); }
  VocabularyBuilder& builder() { return builder_; }
  bool has_vocabulary() const { return has_vocabulary_; }
  bool has_merges() const { return has_merges_; }
  const Error& error() const { return error_; }

 private:
  enum class Part { kRest, kVocabulary, kMerges, kAdded };

  // What is about to begin is at this path of keys, objects all the way.
  bool IsPath(size_t depth, std::string_view first,
              std::string_view second) const {
    if (objects_.size() != depth || keys_[0] != first) return false;
    for (const bool is_object : objects_) {
      if (!is_object) return false;
    }
    return depth == 1 || keys_[1] == second;
  }

  bool Refuse(Unexpected failure) {
    error_ = std::move(failure).error();
    return false;
  }
  bool Keep(const Result<void>& result) {
    if (!result) error_ = result.error();
    return result.has_value();
  }
  bool Pass(const JsonBuilder& builder, bool ok) {
    if (!ok) error_ = builder.error();
    return ok;
  }

  // A value that is neither a container nor a merge.
  bool Value(Json value) {
    switch (part_) {
      case Part::kVocabulary:
        return AddVocabulary(value);
      case Part::kMerges:
        return Refuse(Corrupt("a merge that is no text"));
      case Part::kAdded:
        if (!item_.has_value()) {
          return Refuse(Corrupt("an added token that is no object"));
        }
        return Pass(*item_, Forward(*item_, std::move(value)));
      case Part::kRest:
        break;
    }
    return Pass(rest_, Forward(rest_, std::move(value)));
  }

  static bool Forward(JsonBuilder& builder, Json value) {
    if (value.is_string()) {
      return builder.string(value.get_ref<std::string&>());
    }
    if (value.is_boolean()) return builder.boolean(value.get<bool>());
    if (value.is_number_unsigned()) {
      return builder.number_unsigned(value.get<uint64_t>());
    }
    if (value.is_number_integer()) {
      return builder.number_integer(value.get<int64_t>());
    }
    if (value.is_number_float()) {
      return builder.number_float(value.get<double>(), {});
    }
    return builder.null();
  }

  bool AddVocabulary(const Json& value) {
    const auto id = AsUnsigned(value);
    if (!id.has_value() || *id > std::numeric_limits<uint32_t>::max()) {
      return Refuse(Corrupt(StrCat(
          "token ", TokenName(token_),
          " has an id that is none: ", EscapeForTerminal(value.dump(), 32))));
    }
    return Keep(
        builder_.AddToken({static_cast<uint32_t>(*id), std::move(token_)}));
  }

  bool MergeText(std::string text) {
    if (in_pair_) {
      if (pair_.size() == 2) return Refuse(Corrupt("a merge of three"));
      pair_.push_back(std::move(text));
      return true;
    }
    const size_t space = text.find(' ');
    if (space == std::string::npos ||
        text.find(' ', space + 1) != std::string::npos) {
      return Refuse(Corrupt(
          StrCat("the merge ", TokenName(text), " has not exactly one space")));
    }
    const std::string_view both(text);
    return Keep(
        builder_.AddMerge(both.substr(0, space), both.substr(space + 1)));
  }

  bool AddItem() {
    const Json item = std::move(item_->root());
    item_.reset();
    const auto id = item.find("id");
    const auto content = item.find("content");
    const auto number = id == item.end() ? std::nullopt : AsUnsigned(*id);
    if (!number.has_value() || *number > std::numeric_limits<uint32_t>::max() ||
        content == item.end() || !content->is_string()) {
      return Refuse(
          Corrupt("an added token needs a whole number \"id\" and a text "
                  "\"content\""));
    }
    const auto is_set = [&item](std::string_view flag) {
      const auto it = item.find(flag);
      return it != item.end() && *it == Json(true);
    };
    return Keep(builder_.AddToken(
        {static_cast<uint32_t>(*number), content->get<std::string>(), true,
         is_set("special"),
         is_set("lstrip") || is_set("rstrip") || is_set("single_word")}));
  }

  JsonBuilder rest_{kRestLimits};
  std::optional<JsonBuilder> item_;
  VocabularyBuilder builder_;
  Part part_ = Part::kRest;
  std::vector<bool> objects_;  // of the rest: whether each container is one
  std::array<std::string, 2> keys_;
  std::string token_;  // of the vocabulary, whose id is to come
  bool in_pair_ = false;
  std::vector<std::string> pair_;
  bool has_vocabulary_ = false;
  bool has_merges_ = false;
  Error error_{ErrorCode::kCorrupt, "JSON: not valid", {}, {}, {}};
};

Result<bool> BoolOr(const Json& model, std::string_view key, bool absent) {
  const auto it = model.find(key);
  if (it == model.end() || it->is_null()) return absent;
  if (!it->is_boolean()) {
    return Corrupt(StrCat("\"", key, "\" is neither true nor false"));
  }
  return it->get<bool>();
}

// Absent, null, false, 0 and empty text all mean "not used".
bool IsUnused(const Json& model, std::string_view key) {
  const auto it = model.find(key);
  return it == model.end() || it->is_null() || *it == Json(false) ||
         *it == Json(0) || *it == Json(0.0) || *it == Json("");
}

Result<void> CheckModel(const Json& model, const TokenizerEvents& events) {
  const auto type = model.find("type");
  if (type != model.end() && *type != Json("BPE")) {
    if (!type->is_string()) return Corrupt("\"model.type\" is no text");
    return Unsupported(StrCat("a model of the type ",
                              TokenName(type->get_ref<const std::string&>()),
                              ", only BPE is read"));
  }
  if (!events.has_vocabulary()) return Corrupt("there is no \"model.vocab\"");
  if (!events.has_merges()) return Corrupt("there is no \"model.merges\"");
  for (const std::string_view key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!IsUnused(model, key)) {
      return Unsupported(StrCat("\"model.", key, "\" is not implemented"));
    }
  }
  return {};
}

}  // namespace

Result<TokenVocabulary> ReadTokenizerJson(std::string_view text) {
  if (auto within = CheckJsonLimits(text, kFileLimits); !within) {
    const Error error = std::move(within).error();
    return TokenizerError(error.code, error.message);
  }
  TokenizerEvents events;
  if (!Json::sax_parse(text.begin(), text.end(), &events)) {
    return Unexpected(events.error());
  }
  const Json& root = events.rest();
  if (!root.is_object()) return Corrupt("tokenizer.json is no object");
  const auto model = root.find("model");
  if (model == root.end() || !model->is_object()) {
    return Corrupt("there is no \"model\"");
  }
  RETURN_IF_ERROR(CheckModel(*model, events));
  const auto added = root.find("added_tokens");
  if (added != root.end() && !added->is_null()) {
    return Corrupt("\"added_tokens\" is no list");
  }
  TokenVocabulary vocabulary;
  ASSIGN_OR_RETURN(vocabulary.byte_fallback,
                   BoolOr(*model, "byte_fallback", false));
  ASSIGN_OR_RETURN(vocabulary.ignore_merges,
                   BoolOr(*model, "ignore_merges", false));
  ASSIGN_OR_RETURN(vocabulary.fuse_unknown, BoolOr(*model, "fuse_unk", false));
  ASSIGN_OR_RETURN(const std::string begin_text,
                   ReadTextRules(root, vocabulary));
  RETURN_IF_ERROR(events.builder().Finish(vocabulary));
  vocabulary.adds_begin = !begin_text.empty();
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (vocabulary.adds_begin && token.text == begin_text) {
      vocabulary.begin_id = token.id;
    }
  }
  const auto unknown = model->find("unk_token");
  if (unknown == model->end() || unknown->is_null()) return vocabulary;
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (*unknown == Json(token.text)) vocabulary.unknown_id = token.id;
  }
  if (!vocabulary.unknown_id.has_value()) {
    return Corrupt("\"unk_token\" is no token");
  }
  return vocabulary;
}

Result<void> CompareVocabularies(const TokenVocabulary& json,
                                 const TokenizerModel& model) {
  if (json.is_byte_level) return {};
  for (const VocabularyToken& token : json.tokens) {
    if (token.id >= model.pieces.size()) break;
    const std::string& piece = model.pieces[token.id].text;
    if (piece == token.text) continue;
    return Corrupt(StrCat("id ", token.id, " is ", TokenName(token.text),
                          " in tokenizer.json, ", TokenName(piece),
                          " in tokenizer.model"));
  }
  return {};
}

}  // namespace verify
