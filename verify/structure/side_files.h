// SPDX-License-Identifier: Apache-2.0
// What lies beside the weights of a model and could run, or speak, in other
// software: programs, scripts, pickles, requests to import code, and chat
// templates. Everything here is looked at as bytes and text: nothing is run,
// imported, or rendered. Tested by tests/verify/structure/side_files_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"

namespace verify {

enum class ActiveKind {
  kProgram,     // ELF, Windows, macOS or llamafile, by content or by name
  kScript,      // source that an interpreter runs, notebooks too
  kPickle,      // a pickle that is not the weights
  kRemoteCode,  // a JSON file that asks loaders to import code
  kFilter,      // .gitattributes that names programs of its own
};
std::string_view ActiveKindName(ActiveKind kind);

struct ActiveContent {
  ActiveKind kind = ActiveKind::kProgram;
  std::string path;    // below the folder, parts joined by '/'
  std::string detail;  // "an ELF program", "\"auto_map\" asks for code"
};

struct ChatTemplate {
  std::string place;  // "tokenizer_config.json", "chat_template.jinja", ...
  std::string name;   // "default", "tool_use", ...
  std::string sha256;
  uint64_t size_bytes = 0;
  // Control characters other than tab and line ends, and characters that hide
  // or reorder text (zero-width, bidirectional); bytes that are not UTF-8.
  uint64_t num_control = 0;
  // Why a reader should look at it, in words; empty for most.
  std::vector<std::string> concerns;
};

struct SideFiles {
  std::vector<ActiveContent> active;    // by path
  std::vector<ChatTemplate> templates;  // GGUF first, then by path
  // Two places hold a template of the same name, with another text.
  bool templates_differ = false;
};

inline constexpr uint64_t kMaxChatTemplateBytes = 4u << 20;
// Published ones take up to half of this; more is a concern.
inline constexpr uint64_t kPlainChatTemplateBytes = 32u << 10;
inline constexpr size_t kMaxChatTemplates = 256;
inline constexpr size_t kMaxSideFiles = 100'000;
inline constexpr int kMaxSideFolders = 16;  // one in the other

// Looks through `folder` (empty: none) and the metadata of `gguf` (null: none).
// Symbolic links are not followed. Reads the first 4 KiB of each file, and the
// whole of small JSON files and templates. Thread-safe.
// Errors: kIo, kLimit (more files, deeper, or a larger template than above),
//         kCorrupt (a configuration that is no JSON, a template that is no
//         text; named).
Result<SideFiles> ReadSideFiles(const std::string& folder,
                                const GgufFile* gguf);

}  // namespace verify
