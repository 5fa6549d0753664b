// SPDX-License-Identifier: Apache-2.0
#include "p2p/bencode.h"

#include <charconv>
#include <limits>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

// Walks the input once with a stack of its own.
class BencodeParser {
 public:
  BencodeParser(ByteSpan bytes, const BencodeLimits& limits)
      : text_(verify::AsText(bytes)), limits_(limits) {}

  Result<void> Parse(std::vector<BencodeDocument::Node>& nodes);

 private:
  struct Open {
    uint32_t node = 0;
    bool is_dictionary = false;
    bool expects_value = false;
    std::optional<std::string_view> last_key;
  };

  verify::Unexpected Corrupt(std::string message, size_t offset) const {
    return Fail(ErrorCode::kCorrupt, StrCat("bencode: ", message)).At(offset);
  }
  Result<void> ReadInteger();
  Result<std::string_view> ReadString(uint32_t& text_begin);
  Result<void> Value(std::vector<BencodeDocument::Node>& nodes);

  std::string_view text_;
  BencodeLimits limits_;
  size_t position_ = 0;
  std::vector<Open> open_;
};

// At an "i".
Result<void> BencodeParser::ReadInteger() {
  const size_t begin = position_;
  const size_t digits = begin + 1;
  size_t end = digits;
  if (end < text_.size() && text_[end] == '-') ++end;
  const size_t first_digit = end;
  while (end < text_.size() && IsDigit(text_[end])) ++end;
  if (end == text_.size()) return Corrupt("integer without an end", begin);
  if (text_[end] != 'e' || end == first_digit) {
    return Corrupt("integer that is not digits and \"e\"", begin);
  }
  const bool is_negative = first_digit > digits;
  if (text_[first_digit] == '0' && (end - first_digit > 1 || is_negative)) {
    return Corrupt("integer that begins with 0", begin);
  }
  int64_t value = 0;
  if (std::from_chars(text_.data() + digits, text_.data() + end, value).ec !=
      std::errc()) {
    return Corrupt("integer beyond 64 bits", begin);
  }
  position_ = end + 1;
  return {};
}

// At a digit.
Result<std::string_view> BencodeParser::ReadString(uint32_t& text_begin) {
  const size_t begin = position_;
  size_t end = begin;
  while (end < text_.size() && IsDigit(text_[end])) ++end;
  if (end == text_.size() || text_[end] != ':') {
    return Corrupt("string length without \":\"", begin);
  }
  if (text_[begin] == '0' && end - begin > 1) {
    return Corrupt("string length that begins with 0", begin);
  }
  uint64_t size = 0;
  const bool fits =
      std::from_chars(text_.data() + begin, text_.data() + end, size).ec ==
      std::errc();
  const size_t content = end + 1;
  const size_t remaining = text_.size() - content;
  if (!fits || size > remaining) {
    return Corrupt(
        StrCat("string of ",
               verify::EscapeForTerminal(text_.substr(begin, end - begin), 24),
               " bytes where ", remaining, " remain"),
        begin);
  }
  text_begin = static_cast<uint32_t>(content);
  position_ = content + static_cast<size_t>(size);
  return text_.substr(content, static_cast<size_t>(size));
}

Result<void> BencodeParser::Value(std::vector<BencodeDocument::Node>& nodes) {
  const size_t begin = position_;
  const char c = text_[begin];
  const bool expects_key = !open_.empty() && open_.back().is_dictionary &&
                           !open_.back().expects_value;
  if (expects_key && !IsDigit(c)) {
    return Corrupt("dictionary key that is no string", begin);
  }
  if (nodes.size() >= limits_.max_tokens) {
    return Fail(ErrorCode::kLimit,
                StrCat("bencode: more than ", limits_.max_tokens, " values"))
        .At(begin);
  }
  const auto index = static_cast<uint32_t>(nodes.size());
  BencodeDocument::Node node;
  node.begin = static_cast<uint32_t>(begin);
  node.next = index + 1;
  node.text = node.begin + 1;
  if (c == 'l' || c == 'd') {
    if (open_.size() >= limits_.max_depth) {
      return Fail(ErrorCode::kLimit, StrCat("bencode: nested more than ",
                                            limits_.max_depth, " deep"))
          .At(begin);
    }
    ++position_;
    nodes.push_back(node);
    // The value of the key above is this whole container.
    if (!open_.empty()) open_.back().expects_value = false;
    open_.push_back({.node = index, .is_dictionary = c == 'd', .last_key = {}});
    return {};
  }
  if (c == 'i') {
    RETURN_IF_ERROR(ReadInteger());
  } else if (IsDigit(c)) {
    ASSIGN_OR_RETURN(const std::string_view content, ReadString(node.text));
    if (expects_key) {
      Open& dictionary = open_.back();
      if (dictionary.last_key.has_value() && content <= *dictionary.last_key) {
        return Corrupt(
            StrCat("dictionary key \"", verify::EscapeForTerminal(content, 60),
                   content == *dictionary.last_key ? "\" twice"
                                                   : "\" out of order"),
            begin);
      }
      dictionary.last_key = content;
    }
  } else {
    return Corrupt("neither integer, string, list nor dictionary", begin);
  }
  node.end = static_cast<uint32_t>(position_);
  nodes.push_back(node);
  if (!open_.empty()) open_.back().expects_value = expects_key;
  return {};
}

Result<void> BencodeParser::Parse(std::vector<BencodeDocument::Node>& nodes) {
  if (text_.empty()) return Corrupt("no bytes at all", 0);
  if (text_.size() >= std::numeric_limits<uint32_t>::max()) {
    return Fail(ErrorCode::kLimit,
                StrCat("bencode: ", text_.size(), " bytes are too many"));
  }
  do {
    if (position_ == text_.size()) {
      return Corrupt("input ends inside a list or dictionary", position_);
    }
    if (text_[position_] == 'e' && !open_.empty()) {
      const Open& top = open_.back();
      if (top.expects_value) return Corrupt("key without a value", position_);
      ++position_;
      nodes[top.node].end = static_cast<uint32_t>(position_);
      nodes[top.node].next = static_cast<uint32_t>(nodes.size());
      open_.pop_back();
      continue;
    }
    RETURN_IF_ERROR(Value(nodes));
  } while (!open_.empty());
  if (position_ != text_.size()) {
    return Corrupt(StrCat(text_.size() - position_, " bytes behind the end"),
                   position_);
  }
  return {};
}

Result<BencodeDocument> BencodeDocument::Parse(ByteSpan bytes,
                                               const BencodeLimits& limits) {
  BencodeDocument document;
  document.bytes_ = bytes;
  RETURN_IF_ERROR(BencodeParser(bytes, limits).Parse(document.nodes_));
  return document;
}

BencodeKind BencodeValue::kind() const {
  switch (
      static_cast<char>(document_->bytes_[document_->nodes_[index_].begin])) {
    case 'i':
      return BencodeKind::kInteger;
    case 'l':
      return BencodeKind::kList;
    case 'd':
      return BencodeKind::kDictionary;
    default:
      return BencodeKind::kString;
  }
}

std::optional<int64_t> BencodeValue::AsInteger() const {
  if (kind() != BencodeKind::kInteger) return std::nullopt;
  const auto& node = document_->nodes_[index_];
  const std::string_view text = verify::AsText(document_->bytes_);
  int64_t value = 0;
  std::from_chars(text.data() + node.text, text.data() + node.end - 1, value);
  return value;
}

std::optional<std::string_view> BencodeValue::AsString() const {
  if (kind() != BencodeKind::kString) return std::nullopt;
  const auto& node = document_->nodes_[index_];
  return verify::AsText(document_->bytes_)
      .substr(node.text, node.end - node.text);
}

ByteSpan BencodeValue::raw() const {
  const auto& node = document_->nodes_[index_];
  return document_->bytes_.subspan(node.begin, node.end - node.begin);
}

size_t BencodeValue::offset() const { return document_->nodes_[index_].begin; }

std::optional<BencodeValue> BencodeValue::Find(std::string_view key) const {
  if (!is_dictionary()) return std::nullopt;
  for (auto it = begin(); it != end(); ++it) {
    const std::string_view here = *(*it).AsString();
    ++it;
    if (here == key) return *it;
    if (here > key) break;
  }
  return std::nullopt;
}

BencodeValue::Iterator& BencodeValue::Iterator::operator++() {
  index_ = document_->nodes_[index_].next;
  return *this;
}

BencodeValue::Iterator BencodeValue::begin() const {
  const BencodeKind own = kind();
  if (own == BencodeKind::kInteger || own == BencodeKind::kString) return end();
  return {document_, index_ + 1};
}

BencodeValue::Iterator BencodeValue::end() const {
  return {document_, document_->nodes_[index_].next};
}

void BencodeWriter::BeforeValue() {
  if (levels_.empty()) {
    CHECK(!done_);  // one value at the top
    done_ = true;
  } else if (levels_.back().is_dictionary) {
    CHECK(levels_.back().expects_value);
    levels_.back().expects_value = false;
  }
}

void BencodeWriter::AppendString(std::string_view text) {
  out_ += std::to_string(text.size());
  out_.push_back(':');
  out_ += text;
}

void BencodeWriter::Integer(int64_t value) {
  BeforeValue();
  out_ += StrCat("i", value, "e");
}

void BencodeWriter::String(std::string_view text) {
  BeforeValue();
  AppendString(text);
}

void BencodeWriter::Raw(ByteSpan value) {
  BeforeValue();
  out_ += verify::AsText(value);
}

void BencodeWriter::BeginList() {
  BeforeValue();
  out_.push_back('l');
  levels_.push_back({.last_key = {}});
}

void BencodeWriter::BeginDictionary() {
  BeforeValue();
  out_.push_back('d');
  levels_.push_back({.is_dictionary = true, .last_key = {}});
}

void BencodeWriter::Key(std::string_view key) {
  CHECK(!levels_.empty() && levels_.back().is_dictionary &&
        !levels_.back().expects_value);
  CHECK(!levels_.back().last_key.has_value() || key > *levels_.back().last_key);
  levels_.back().last_key = std::string(key);
  levels_.back().expects_value = true;
  AppendString(key);
}

void BencodeWriter::End() {
  CHECK(!levels_.empty() && !levels_.back().expects_value);
  levels_.pop_back();
  out_.push_back('e');
}

std::vector<std::byte> BencodeWriter::Take() {
  CHECK(done_ && levels_.empty());
  const ByteSpan bytes = verify::AsBytes(out_);
  std::vector<std::byte> taken(bytes.begin(), bytes.end());
  out_.clear();
  done_ = false;
  return taken;
}

}  // namespace p2p
