// SPDX-License-Identifier: Apache-2.0
#include "inference/text/template_text.h"

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::StrCat;

// Splits off a system turn that stands first, for the versions that put it
// before a user's text.
constexpr std::string_view kTakeSystem =
    "{%- if messages[0]['role'] == 'system' %}\n"
    "{%- set system = messages[0]['content'] + '\\n\\n' %}\n"
    "{%- set turns = messages[1:] %}\n"
    "{%- else %}\n"
    "{%- set system = '' %}\n"
    "{%- set turns = messages %}\n"
    "{%- endif %}\n";

constexpr std::string_view kRefuseOthers =
    "{%- else %}\n"
    "{{- raise_exception('only system, user and assistant turns are known') "
    "}}\n"
    "{%- endif %}\n"
    "{%- endfor %}";

// No control pieces but the ends: brackets are text, and an answer begins with
// a space of its own.
constexpr std::string_view kTurnsV1 =
    "{{- bos_token }}\n"
    "{%- for turn in turns %}\n"
    "{%- if turn['role'] == 'user' %}\n"
    "{{- '[INST] ' + (system if loop.first else '') + turn['content'] + "
    "' [/INST]' }}\n"
    "{%- elif turn['role'] == 'assistant' %}\n"
    "{{- ' ' + turn['content'] + eos_token }}\n";

constexpr std::string_view kTurnsV3 =
    "{{- bos_token }}\n"
    "{%- for turn in turns %}\n"
    "{%- if turn['role'] == 'user' %}\n"
    "{{- '[INST]' + (system if loop.last else '') + turn['content'] + "
    "'[/INST]' }}\n"
    "{%- elif turn['role'] == 'assistant' %}\n"
    "{{- turn['content'].rstrip(' ') + eos_token }}\n";

constexpr std::string_view kTurnsV7 =
    "{{- bos_token }}\n"
    "{%- for turn in messages %}\n"
    "{%- if turn['role'] == 'system' %}\n"
    "{{- '[SYSTEM_PROMPT]' + turn['content'] + '[/SYSTEM_PROMPT]' }}\n"
    "{%- elif turn['role'] == 'user' %}\n"
    "{{- '[INST]' + turn['content'] + '[/INST]' }}\n"
    "{%- elif turn['role'] == 'assistant' %}\n"
    "{{- turn['content'].rstrip(' ') + eos_token }}\n";

// What a file of that version states. That of v3-tekken follows from its
// tokens, which are bytes.
std::string_view ReleaseOf(InstructVersion version) {
  return version == InstructVersion::kV3Tekken
             ? InstructVersionName(InstructVersion::kV3)
             : InstructVersionName(version);
}

}  // namespace

std::string TemplateText(InstructVersion version) {
  const std::string head =
      StrCat("{#- Mistral instruct ", ReleaseOf(version), " #}\n");
  switch (version) {
    case InstructVersion::kV1:
      return StrCat(head, kTakeSystem, kTurnsV1, kRefuseOthers);
    case InstructVersion::kV7:
      return StrCat(head, kTurnsV7, kRefuseOthers);
    default:
      return StrCat(head, kTakeSystem, kTurnsV3, kRefuseOthers);
  }
}

std::optional<std::string_view> ReleaseOfTemplate(std::string_view text) {
  for (const InstructVersion version :
       {InstructVersion::kV1, InstructVersion::kV2, InstructVersion::kV3,
        InstructVersion::kV7}) {
    if (text == TemplateText(version)) return ReleaseOf(version);
  }
  return std::nullopt;
}

std::optional<InstructVersion> KnownInstructVersion(
    const Tokenizer& tokenizer) {
  if (tokenizer.release().empty() &&
      !tokenizer.ControlId("[INST]").has_value()) {
    return std::nullopt;
  }
  const auto version = ChooseInstructVersion(tokenizer);
  if (!version) return std::nullopt;
  return *version;
}

}  // namespace inference
