// SPDX-License-Identifier: Apache-2.0
#include "inference/text/literal_matcher.h"

#include <algorithm>

#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

Result<LiteralMatcher> LiteralMatcher::Create(
    std::vector<std::pair<std::string, TokenId>> literals) {
  std::sort(literals.begin(), literals.end());
  LiteralMatcher matcher;
  matcher.literals_.reserve(literals.size());
  std::vector<uint32_t> open;  // each begins with the one before
  for (auto& [text, id] : literals) {
    if (text.size() > kMaxLiteralBytes) {
      return Fail(ErrorCode::kLimit,
                  StrCat("tokenizer: the added token \"",
                         verify::EscapeForTerminal(text, 64), "\" has ",
                         text.size(), " bytes, at most ", kMaxLiteralBytes,
                         " implemented"))
          .Id("E-TOKENIZER");
    }
    while (!open.empty() &&
           !text.starts_with(matcher.literals_[open.back()].text)) {
      open.pop_back();
    }
    if (open.size() >= kMaxNested) {
      return Fail(ErrorCode::kLimit,
                  StrCat("tokenizer: more than ", kMaxNested,
                         " added tokens begin with each other"))
          .Id("E-TOKENIZER");
    }
    const auto place = static_cast<uint32_t>(matcher.literals_.size());
    matcher.first_bytes_.set(static_cast<unsigned char>(text.front()));
    matcher.literals_.push_back(
        {std::move(text), id, open.empty() ? 0 : open.back() + 1});
    open.push_back(place);
  }
  return matcher;
}

// Those that `rest` begins with are the greatest one not above it, or among
// those that this one begins with.
const LiteralMatcher::Literal* LiteralMatcher::At(std::string_view rest) const {
  auto it = std::upper_bound(literals_.begin(), literals_.end(), rest,
                             [](std::string_view wanted, const Literal& one) {
                               return wanted < one.text;
                             });
  if (it == literals_.begin()) return nullptr;
  const Literal* literal = &*(it - 1);
  while (!rest.starts_with(literal->text)) {
    if (literal->shorter == 0) return nullptr;
    literal = &literals_[literal->shorter - 1];
  }
  return literal;
}

std::optional<LiteralMatcher::Found> LiteralMatcher::Next(std::string_view text,
                                                          size_t from) const {
  if (empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!first_bytes_.test(static_cast<unsigned char>(text[begin]))) continue;
    if (const Literal* literal = At(text.substr(begin))) {
      return Found{begin, literal->text.size(), literal->id};
    }
  }
  return std::nullopt;
}

}  // namespace inference
