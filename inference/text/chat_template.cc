// SPDX-License-Identifier: Apache-2.0
#include "inference/text/chat_template.h"

#include <string_view>
#include <utility>

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kBetween = "\n\n";

// Turns of the same role in a row joined, the system turn moved into the first
// user turn: user, assistant, user, ... as the template knows them.
Result<std::vector<ChatTurn>> Arrange(std::span<const ChatTurn> turns) {
  std::vector<ChatTurn> joined;
  for (const ChatTurn& turn : turns) {
    if (!joined.empty() && joined.back().role == turn.role) {
      joined.back().text = StrCat(joined.back().text, kBetween, turn.text);
    } else {
      joined.push_back(turn);
    }
  }
  if (!joined.empty() && joined.front().role == Role::kSystem) {
    if (joined.size() == 1 || joined[1].role != Role::kUser) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a system turn must be followed by a user turn");
    }
    joined[1].text = StrCat(joined[0].text, kBetween, joined[1].text);
    joined.erase(joined.begin());
  }
  for (size_t i = 0; i < joined.size(); ++i) {
    const Role expected = i % 2 == 0 ? Role::kUser : Role::kAssistant;
    if (joined[i].role == expected) continue;
    return Fail(ErrorCode::kInvalidArgument,
                joined[i].role == Role::kSystem
                    ? "only the first turn can be the system's"
                    : "the first turn after the system's must be the user's");
  }
  if (joined.size() % 2 == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "the last turn must be the user's");
  }
  return joined;
}

}  // namespace

Result<std::vector<TokenId>> ChatPromptV1(const Tokenizer& tokenizer,
                                          std::span<const ChatTurn> turns) {
  ASSIGN_OR_RETURN(const std::vector<ChatTurn> arranged, Arrange(turns));
  std::vector<TokenId> ids = {tokenizer.bos_id()};
  const auto append = [&](std::string_view text) {
    const std::vector<TokenId> part = tokenizer.Encode(text);
    ids.insert(ids.end(), part.begin(), part.end());
  };
  // Each text is encoded by itself, so that each gets its own leading "▁".
  for (const ChatTurn& turn : arranged) {
    if (turn.role == Role::kUser) {
      append(StrCat("[INST] ", turn.text, " [/INST]"));
    } else {
      append(turn.text);
      ids.push_back(tokenizer.eos_id());
    }
  }
  return ids;
}

}  // namespace inference
