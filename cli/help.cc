// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/exit_code.h"
#include "cli/version.h"
#include "p2p/settings.h"

namespace cli {
namespace {

struct Topic {
  std::string_view name;
  std::string_view text;  // empty: made by code
};

constexpr std::array<Topic, 5> kTopics = {{
    {"exit-codes", ""},
    {"environment",
     "LODESTONE_MODELS        where `get` puts models without --output\n"
     "LODESTONE_JSON, LODESTONE_QUIET, LODESTONE_VERBOSE,\n"
     "LODESTONE_YES, LODESTONE_NO_INPUT,\n"
     "LODESTONE_PROGRESS      as the flags of the same name\n"
     "XDG_DATA_HOME           models, and the torrents that `get` and\n"
     "                        `publish` have seen (~/.local/share)\n"
     "SOURCE_DATE_EPOCH       creation date that `publish` writes\n"
     "TERM, COLUMNS           how progress is drawn\n"},
    {"json",
     "With --json every verb prints one JSON object a line on stdout and\n"
     "nothing else there. Common fields: v (schema version, 1), type, seq, "
     "ts,\n"
     "job, verb. Types: start, plan, stage, progress, file, check, metric,\n"
     "token, experts, warning, error, and last of all result, which holds ok,\n"
     "exit_code, exit_name, path, summary, elapsed_s and next. Ignore fields\n"
     "and types that you do not know. Sizes are bytes, times seconds.\n"
     "The schema: share/doc/lodestone/json-events.schema.json.\n"
     "catalog, inspect and other verbs that only tell print one object\n"
     "instead, with v and verb, and error, exit_code and exit_name if they\n"
     "fail: json-documents.schema.json beside it.\n"},
    {"security",
     "Nothing in a download is executed: a .pth is read by a parser that "
     "knows\n"
     "a closed list of pickle opcodes and globals and refuses all others.\n"
     "What is downloaded stays in a private folder (mode 0700) until every\n"
     "piece, the published sums and the model's structure are right, and only\n"
     "then gets its name. \"verified\" always names its level; v1 pieces are\n"
     "SHA-1 (a weak anchor), md5 lists find accidents only.\n"},
    {"formats",
     "read:  consolidated.00.pth and .pt (torch.save), safetensors in "
     "Mistral's\n"
     "       and Hugging Face's layouts, GGUF v2 and v3 (f32, f16, bf16, "
     "q8_0);\n"
     "       in one file or in parts; tokenizer.model (SentencePiece),\n"
     "       tekken.json, tokenizer.json (BPE)\n"
     "write: GGUF v3 (f32, f16, bf16, q8_0, q6_k, q5_k, q4_k, q5_1, q5_0, "
     "q4_1,\n"
     "       q4_0, iq4_nl, mxfp4)\n"
     "unpack: tar, zstd and tar.zst, seekable zstd too\n"
     "run:   Mistral 7B (dense) and Mixtral (mixture of experts)\n"},
}};

}  // namespace

void PrintVersion(bool json) {
  const std::string libtorrent = p2p::LibtorrentVersion();
  if (json) {
    const nlohmann::ordered_json document{{"v", 1},
                                          {"verb", "version"},
                                          {"version", kVersion},
                                          {"libtorrent", libtorrent}};
    fmt::print("{}\n", document.dump());
    return;
  }
  fmt::print("lodestone {} (libtorrent {})\n", kVersion, libtorrent);
}

std::string HelpTopicNames() {
  std::string names;
  for (const Topic& topic : kTopics) {
    if (!names.empty()) names += ", ";
    names += topic.name;
  }
  return names;
}

bool PrintHelpTopic(const std::string& name) {
  for (const Topic& topic : kTopics) {
    if (topic.name != name) continue;
    if (!topic.text.empty()) {
      fmt::print("{}", topic.text);
      return true;
    }
    for (const ExitCodeInfo& info : ExitCodes()) {
      fmt::print("{:>3}  {:<12} {}\n", static_cast<int>(info.code), info.name,
                 info.meaning);
    }
    return true;
  }
  return false;
}

std::string HelpFooter() {
  return "Start here:\n"
         "  lodestone demo\n"
         "  lodestone get 'magnet:?xt=urn:btih:…' --output models\n"
         "  lodestone chat models/NAME\n"
         "More: lodestone VERB --help, lodestone help " +
         HelpTopicNames();
}

}  // namespace cli
