// SPDX-License-Identifier: Apache-2.0
#include "inference/text/chat_template.h"

#include <array>
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

enum class SystemPlace { kFirstUser, kLastUser, kOwnBlock };

struct Traits {
  std::string_view name;
  bool has_pieces;  // marks are control pieces, else ordinary text
  SystemPlace system;
  bool strips;  // spaces at the end of the assistant's text
};

// By InstructVersion. Source, but for the last: mistralai/mistral-common,
// src/mistral_common/tokens/tokenizers/instruct.py.
constexpr std::array kTraits = {
    Traits{"v1", false, SystemPlace::kFirstUser, false},
    Traits{"v2", true, SystemPlace::kLastUser, true},
    Traits{"v3", true, SystemPlace::kLastUser, true},
    Traits{"v3-tekken", true, SystemPlace::kLastUser, true},
    Traits{"v7", true, SystemPlace::kOwnBlock, true},
    // Source: tokenizer_config.json of Qwen/Qwen3-30B-A3B, without tools.
    Traits{"chatml", true, SystemPlace::kOwnBlock, false},
};

const Traits& TraitsOf(InstructVersion version) {
  return kTraits[static_cast<size_t>(version)];
}

verify::Unexpected OutOfOrder(std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, std::string(what));
}

verify::Unexpected NoTemplate(std::string_view what) {
  return Fail(ErrorCode::kUnsupported, std::string(what))
      .Id("E-TEMPLATE")
      .Hint("--raw goes on with the text as it is, without a template");
}

std::vector<ChatTurn> Joined(std::span<const ChatTurn> turns) {
  std::vector<ChatTurn> joined;
  for (const ChatTurn& turn : turns) {
    if (!joined.empty() && joined.back().role == turn.role) {
      joined.back().text = StrCat(joined.back().text, kBetween, turn.text);
    } else {
      joined.push_back(turn);
    }
  }
  return joined;
}

// User and assistant alternate, from user to user; a system turn stands first
// or, with its own block, before any user's.
Result<void> CheckOrder(std::span<const ChatTurn> turns, SystemPlace system) {
  Role expected = Role::kUser;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].role == Role::kSystem) {
      if (i > 0 && system != SystemPlace::kOwnBlock) {
        return OutOfOrder("only the first turn can be the system's");
      }
      if (expected != Role::kUser || i + 1 == turns.size() ||
          turns[i + 1].role != Role::kUser) {
        return OutOfOrder("a system turn must be followed by a user turn");
      }
      continue;
    }
    if (turns[i].role != expected) {
      return OutOfOrder("the first turn after the system's must be the user's");
    }
    expected = expected == Role::kUser ? Role::kAssistant : Role::kUser;
  }
  if (expected != Role::kAssistant) {
    return OutOfOrder("the last turn must be the user's");
  }
  return {};
}

// Turns as the template knows them.
Result<std::vector<ChatTurn>> Arrange(std::span<const ChatTurn> turns,
                                      SystemPlace system) {
  std::vector<ChatTurn> joined = Joined(turns);
  RETURN_IF_ERROR(CheckOrder(joined, system));
  const bool moves =
      joined.front().role == Role::kSystem && system != SystemPlace::kOwnBlock;
  if (moves) {
    ChatTurn& user =
        system == SystemPlace::kFirstUser ? joined[1] : joined.back();
    user.text = StrCat(joined.front().text, kBetween, user.text);
    joined.erase(joined.begin());
  }
  return joined;
}

// "v7m1" is v7 with pictures of another kind.
Result<InstructVersion> StatedVersion(const Tokenizer& tokenizer) {
  const std::string_view stated = tokenizer.release();
  const std::string_view version = stated.substr(0, stated.find('m'));
  if (version == "v1") return InstructVersion::kV1;
  if (version == "v2") return InstructVersion::kV2;
  if (version == "v3") {
    return tokenizer.is_byte_level() ? InstructVersion::kV3Tekken
                                     : InstructVersion::kV3;
  }
  if (version == "v7" || version == "v11" || version == "v13") {
    return InstructVersion::kV7;
  }
  return NoTemplate(StrCat("the tokenizer is of version \"",
                           verify::EscapeForTerminal(stated, 32),
                           "\", whose instruct template is not known"));
}

class PromptBuilder {
 public:
  explicit PromptBuilder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void AddId(TokenId id) {
    if (id >= 0) ids_.push_back(id);
  }
  void AddText(std::string_view text) {
    const std::vector<TokenId> part = tokenizer_.Encode(text);
    ids_.insert(ids_.end(), part.begin(), part.end());
  }
  Result<void> AddControl(std::string_view name) {
    const auto id = tokenizer_.ControlId(name);
    if (!id.has_value()) {
      return NoTemplate(StrCat("the vocabulary has no control piece ", name,
                               ", which the instruct template needs"));
    }
    ids_.push_back(*id);
    return {};
  }
  Result<void> AddBlock(std::string_view open, std::string_view text,
                        std::string_view close) {
    RETURN_IF_ERROR(AddControl(open));
    AddText(text);
    return AddControl(close);
  }
  std::vector<TokenId> Take() { return std::move(ids_); }

 private:
  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;
};

constexpr std::string_view kTurnStart = "<|im_start|>";
constexpr std::string_view kTurnEnd = "<|im_end|>";

std::string_view NameOf(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
  }
  return "user";
}

// Each turn is START ROLE \n TEXT END \n; the answer begins as a turn does.
Result<std::vector<TokenId>> ChatMlPrompt(const Tokenizer& tokenizer,
                                          std::span<const ChatTurn> turns) {
  PromptBuilder prompt(tokenizer);
  if (tokenizer.adds_bos()) prompt.AddId(tokenizer.bos_id());
  for (const ChatTurn& turn : turns) {
    RETURN_IF_ERROR(prompt.AddBlock(
        kTurnStart, StrCat(NameOf(turn.role), "\n", turn.text), kTurnEnd));
    prompt.AddText("\n");
  }
  RETURN_IF_ERROR(prompt.AddControl(kTurnStart));
  prompt.AddText(StrCat(NameOf(Role::kAssistant), "\n"));
  return prompt.Take();
}

std::string_view WithoutSpacesBehind(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view InstructVersionName(InstructVersion version) {
  return TraitsOf(version).name;
}

Result<InstructVersion> ChooseInstructVersion(const Tokenizer& tokenizer) {
  if (!tokenizer.release().empty()) return StatedVersion(tokenizer);
  if (tokenizer.ControlId("[SYSTEM_PROMPT]").has_value()) {
    return InstructVersion::kV7;
  }
  if (tokenizer.ControlId("[INST]").has_value()) {
    return tokenizer.is_byte_level() ? InstructVersion::kV3Tekken
                                     : InstructVersion::kV3;
  }
  if (tokenizer.ControlId(kTurnStart).has_value() &&
      tokenizer.ControlId(kTurnEnd).has_value()) {
    return InstructVersion::kChatMl;
  }
  if (!tokenizer.is_byte_level()) return InstructVersion::kV1;
  return NoTemplate(
      "the vocabulary has no control piece [INST] or <|im_start|>: it is of a "
      "family whose instruct template is not known");
}

Result<std::vector<TokenId>> ChatPrompt(const Tokenizer& tokenizer,
                                        InstructVersion version,
                                        std::span<const ChatTurn> turns) {
  const Traits& traits = TraitsOf(version);
  ASSIGN_OR_RETURN(const std::vector<ChatTurn> arranged,
                   Arrange(turns, traits.system));
  if (version == InstructVersion::kChatMl) {
    return ChatMlPrompt(tokenizer, arranged);
  }
  PromptBuilder prompt(tokenizer);
  prompt.AddId(tokenizer.bos_id());
  // Each text is encoded by itself, so that each gets its own leading "▁".
  for (const ChatTurn& turn : arranged) {
    switch (turn.role) {
      case Role::kSystem:
        RETURN_IF_ERROR(
            prompt.AddBlock("[SYSTEM_PROMPT]", turn.text, "[/SYSTEM_PROMPT]"));
        break;
      case Role::kUser:
        if (traits.has_pieces) {
          RETURN_IF_ERROR(prompt.AddBlock("[INST]", turn.text, "[/INST]"));
        } else {
          prompt.AddText(StrCat("[INST] ", turn.text, " [/INST]"));
        }
        break;
      case Role::kAssistant:
        prompt.AddText(traits.strips ? WithoutSpacesBehind(turn.text)
                                     : std::string_view(turn.text));
        prompt.AddId(tokenizer.eos_id());
        break;
    }
  }
  return prompt.Take();
}

}  // namespace inference
