// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/saved_turns.h"

#include <array>
#include <optional>
#include <utility>

#include "verify/base/json.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using inference::ChatTurn;
using inference::Role;
using verify::ErrorCode;
using verify::Json;
using verify::Result;

struct RoleName {
  Role role;
  std::string_view name;
};
constexpr std::array<RoleName, 3> kRoles = {{{Role::kSystem, "system"},
                                             {Role::kUser, "user"},
                                             {Role::kAssistant, "assistant"}}};

constexpr verify::JsonLimits kNoteLimits = {.max_depth = 4,
                                            .max_values = 1u << 20};

std::string_view NameOf(Role role) {
  for (const RoleName& entry : kRoles) {
    if (entry.role == role) return entry.name;
  }
  return "user";
}

std::optional<ChatTurn> TurnOf(const Json& value) {
  if (!value.is_object() || value.size() != 2) return std::nullopt;
  const auto role = value.find("role");
  const auto text = value.find("text");
  if (role == value.end() || text == value.end() || !role->is_string() ||
      !text->is_string()) {
    return std::nullopt;
  }
  for (const RoleName& entry : kRoles) {
    if (role->get_ref<const std::string&>() == entry.name) {
      return ChatTurn{entry.role, text->get<std::string>()};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string WriteTurns(const std::vector<ChatTurn>& turns) {
  auto list = nlohmann::ordered_json::array();
  for (const ChatTurn& turn : turns) {
    list.push_back({{"role", NameOf(turn.role)}, {"text", turn.text}});
  }
  // Bytes that are no UTF-8 become U+FFFD, as they are for the tokenizer.
  return nlohmann::ordered_json{{"turns", std::move(list)}}.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<std::vector<ChatTurn>> ReadTurns(std::string_view note) {
  std::vector<ChatTurn> turns;
  if (note.empty()) return turns;
  auto json = verify::ParseJson(note, kNoteLimits);
  if (!json) {
    verify::Error error = std::move(json).error();
    error.id = "E-SESSION";
    return verify::WithContext(std::move(error), "the turns of the session");
  }
  const auto bad = [](std::string message) {
    return verify::Fail(ErrorCode::kCorrupt, std::move(message))
        .Id("E-SESSION");
  };
  if (!json->is_object() || json->size() != 1 || !json->contains("turns") ||
      !(*json)["turns"].is_array()) {
    return bad("the turns of the session are not a list of turns");
  }
  for (const Json& value : (*json)["turns"]) {
    auto turn = TurnOf(value);
    if (!turn.has_value()) {
      return bad(verify::StrCat("turn ", turns.size(),
                                " of the session is not a role and a text"));
    }
    turns.push_back(std::move(*turn));
  }
  return turns;
}

}  // namespace cli
