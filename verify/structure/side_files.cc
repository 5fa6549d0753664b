// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/side_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/digest/digest.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

// Of the JSON files that are searched; tokenizer.json has a reader of its own.
constexpr uint64_t kMaxConfigBytes = 4u << 20;
constexpr int kMaxConfigDepth = 32;
constexpr std::string_view kGgufTemplateKey = "tokenizer.chat_template";
constexpr std::string_view kDefaultTemplate = "default";

struct NamedEnding {
  std::string_view ending;
  ActiveKind kind;
  std::string_view detail;
};

// By name where the content is text, or may be packed or stripped.
constexpr std::array kEndings = {
    NamedEnding{".py", ActiveKind::kScript, "Python source"},
    NamedEnding{".pyw", ActiveKind::kScript, "Python source"},
    NamedEnding{".pyc", ActiveKind::kScript, "compiled Python"},
    NamedEnding{".ipynb", ActiveKind::kScript, "a notebook"},
    NamedEnding{".sh", ActiveKind::kScript, "a shell script"},
    NamedEnding{".bat", ActiveKind::kScript, "a batch script"},
    NamedEnding{".cmd", ActiveKind::kScript, "a batch script"},
    NamedEnding{".ps1", ActiveKind::kScript, "a PowerShell script"},
    NamedEnding{".js", ActiveKind::kScript, "JavaScript"},
    NamedEnding{".jar", ActiveKind::kProgram, "a Java program"},
    NamedEnding{".wasm", ActiveKind::kProgram, "a WebAssembly program"},
    NamedEnding{".so", ActiveKind::kProgram, "a library"},
    NamedEnding{".dll", ActiveKind::kProgram, "a library"},
    NamedEnding{".dylib", ActiveKind::kProgram, "a library"},
    NamedEnding{".pyd", ActiveKind::kProgram, "a library"},
    NamedEnding{".exe", ActiveKind::kProgram, "a Windows program"},
    NamedEnding{".llamafile", ActiveKind::kProgram, "a llamafile program"},
    NamedEnding{".skops", ActiveKind::kPickle, "a skops archive of objects"},
    NamedEnding{".pkl", ActiveKind::kPickle, "a pickle"},
    NamedEnding{".pickle", ActiveKind::kPickle, "a pickle"},
    NamedEnding{".joblib", ActiveKind::kPickle, "a pickle"},
    NamedEnding{".dill", ActiveKind::kPickle, "a pickle"},
};

// JSON files in which loaders look for code to import, and for templates.
constexpr std::array<std::string_view, 9> kSearchedConfigs = {
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "adapter_config.json",
    "model_index.json",
    "chat_template.json",
    "modules.json"};

constexpr std::array<std::string_view, 3> kCodeKeys = {
    "auto_map", "trust_remote_code", "custom_pipelines"};

// A library with its version behind: "libx.so.1.2".
bool IsVersionedLibrary(std::string_view lower) {
  const size_t at = lower.rfind(".so.");
  if (at == std::string_view::npos) return false;
  return std::all_of(lower.begin() + static_cast<std::ptrdiff_t>(at + 4),
                     lower.end(),
                     [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

std::optional<ActiveContent> ByName(const std::string& path) {
  const std::string lower = AsciiLower(path);
  for (const NamedEnding& known : kEndings) {
    if (lower.ends_with(known.ending)) {
      return ActiveContent{known.kind, path, std::string(known.detail)};
    }
  }
  if (IsVersionedLibrary(lower)) {
    return ActiveContent{ActiveKind::kProgram, path, "a library"};
  }
  return std::nullopt;
}

Result<std::optional<ActiveContent>> ByContent(const ByteSource& file,
                                               const std::string& path) {
  ASSIGN_OR_RETURN(const SniffedContent content, SniffContent(file));
  if (content.format.has_value()) return std::optional<ActiveContent>();
  if (content.description == "a script") {
    return std::optional(
        ActiveContent{ActiveKind::kScript, path, content.description});
  }
  if (content.description == "a bare pickle") {
    return std::optional(
        ActiveContent{ActiveKind::kPickle, path, content.description});
  }
  if (content.description.ends_with(" program")) {
    return std::optional(
        ActiveContent{ActiveKind::kProgram, path, content.description});
  }
  return std::optional<ActiveContent>();
}

// Says nothing where loaders are told not to: null, false, empty.
bool AsksForNothing(const Json& value) {
  return value.is_null() || value == Json(false) ||
         (value.is_structured() && value.empty());
}

// The first key of `kCodeKeys` at any depth that asks for something.
std::optional<std::string_view> FindCodeKey(const Json& value) {
  if (value.is_object()) {
    for (const std::string_view key : kCodeKeys) {
      const auto it = value.find(key);
      if (it != value.end() && !AsksForNothing(*it)) return key;
    }
  }
  if (!value.is_structured()) return std::nullopt;
  for (const Json& inner : value) {  // no deeper than ParseJson lets it be
    if (const auto found = FindCodeKey(inner)) return found;
  }
  return std::nullopt;
}

// git runs what an attribute names; that of Git LFS is on every repository of
// models and runs what the user installed.
std::optional<std::string> FindFilter(std::string_view text) {
  constexpr std::array<std::string_view, 3> kNames = {
      "filter=", "diff=", "merge="};
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = TrimAscii(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('#')) continue;
    for (const std::string_view name : kNames) {
      for (size_t at = line.find(name); at != std::string_view::npos;
           at = line.find(name, at + 1)) {
        std::string_view value = line.substr(at + name.size());
        value = value.substr(0, value.find_first_of(" \t"));
        if (value != "lfs") return StrCat(name, EscapeForTerminal(value, 64));
      }
    }
  }
  return std::nullopt;
}

uint64_t CountControl(std::string_view text) {
  uint64_t count = 0;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    size_t size = 1;
    if (byte < 0x80) {
      const bool is_blank = byte == '\n' || byte == '\t' || byte == '\r';
      if ((byte < 0x20 && !is_blank) || byte == 0x7f) ++count;
    } else {
      size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      const std::string_view one = text.substr(i, size);
      if (!IsValidUtf8(one)) {
        size = 1;
        ++count;
      } else if (EscapeForTerminal(one) != one) {
        ++count;
      }
    }
    i += size;
  }
  return count;
}

// "__globals__" and such: the way out of a template into the program that
// renders it. No published template has one.
bool HasDunder(std::string_view text) {
  for (size_t at = text.find("__"); at != std::string_view::npos;
       at = text.find("__", at + 1)) {
    size_t end = at + 2;
    while (end < text.size() && text[end] >= 'a' && text[end] <= 'z') ++end;
    if (end > at + 2 && text.substr(end).starts_with("__")) return true;
  }
  return false;
}

std::vector<std::string> FindConcerns(std::string_view text,
                                      uint64_t num_control) {
  std::vector<std::string> concerns;
  if (num_control > 0) {
    concerns.push_back(StrCat(num_control, " characters that hide or control"));
  }
  if (text.size() > kPlainChatTemplateBytes) {
    concerns.push_back(StrCat("longer than ", kPlainChatTemplateBytes,
                              " bytes, which is unusual"));
  }
  std::string packed = AsciiLower(text);
  std::erase_if(packed, [](char c) { return c == ' ' || c == '\t'; });
  if (HasDunder(packed) || packed.find("|attr(") != std::string::npos ||
      packed.find("\\x5f") != std::string::npos ||
      packed.find("\\u005f") != std::string::npos) {
    concerns.push_back(
        "reaches for the insides of the program that renders "
        "it");
  }
  return concerns;
}

class SideFileReader {
 public:
  explicit SideFileReader(std::string folder) : folder_(std::move(folder)) {}

  Result<SideFiles> Read(const GgufFile* gguf) {
    if (gguf != nullptr) RETURN_IF_ERROR(ReadMetadata(*gguf));
    if (!folder_.empty()) {
      RETURN_IF_ERROR(List());
      for (const std::string& path : paths_) RETURN_IF_ERROR(Look(path));
    }
    Compare();
    return std::move(result_);
  }

 private:
  Result<void> ReadMetadata(const GgufFile& gguf) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : gguf.metadata) {
      if (key.starts_with(kGgufTemplateKey)) keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    for (const std::string& key : keys) {
      // "tokenizer.chat_templates" only lists the names of the others.
      const std::string* const text = gguf.String(key);
      if (text == nullptr) continue;
      const std::string name = key.size() > kGgufTemplateKey.size() + 1
                                   ? key.substr(kGgufTemplateKey.size() + 1)
                                   : std::string(kDefaultTemplate);
      RETURN_IF_ERROR(AddTemplate("GGUF metadata", name, *text));
    }
    return {};
  }

  Result<void> List() {
    std::error_code error;
    fs::recursive_directory_iterator it(folder_, error);
    for (; !error && it != fs::recursive_directory_iterator();
         it.increment(error)) {
      if (it.depth() >= kMaxSideFolders) {
        return Limit(StrCat("folders deeper than ", kMaxSideFolders));
      }
      if (paths_.size() >= kMaxSideFiles) {
        return Limit(StrCat("more than ", kMaxSideFiles, " files"));
      }
      std::error_code ignored;
      if (it->is_symlink(ignored)) {
        it.disable_recursion_pending();
        continue;
      }
      if (!it->is_regular_file(ignored)) continue;
      paths_.push_back(it->path().lexically_relative(folder_).generic_string());
    }
    if (error) return FailErrno("list", folder_, error.value());
    std::sort(paths_.begin(), paths_.end());
    return {};
  }

  Unexpected Limit(std::string_view what) const {
    return Fail(ErrorCode::kLimit,
                StrCat("\"", EscapeForTerminal(folder_), "\": ", what))
        .Id("E-FOLDER");
  }

  std::string FullPath(const std::string& path) const {
    return (fs::path(folder_) / path).string();
  }

  Result<void> Look(const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const std::string full = FullPath(path);
    if (auto active = ByName(path)) {
      result_.active.push_back(std::move(*active));
      return {};
    }
    if (name == ".gitattributes") {
      ASSIGN_OR_RETURN(const std::string text,
                       ReadSmallTextFile(full, kMaxConfigBytes));
      if (const auto filter = FindFilter(text)) {
        result_.active.push_back({ActiveKind::kFilter, path,
                                  StrCat("names a program to git: ", *filter)});
      }
      return {};
    }
    if (name.ends_with(".jinja") || name.ends_with(".jinja2")) {
      ASSIGN_OR_RETURN(const std::string text,
                       ReadSmallTextFile(full, kMaxChatTemplateBytes));
      const std::string stem = name.substr(0, name.rfind('.'));
      return AddTemplate(path, stem == "chat_template" ? "default" : stem,
                         text);
    }
    if (std::find(kSearchedConfigs.begin(), kSearchedConfigs.end(), name) !=
        kSearchedConfigs.end()) {
      return LookIntoJson(path, full);
    }
    auto file = ReadOnlyFile::Open(full);
    // Gone, or not ours to read: whoever needs it will say so.
    if (!file) return {};
    ASSIGN_OR_RETURN(auto active, ByContent(*file, path));
    if (active.has_value()) result_.active.push_back(std::move(*active));
    return {};
  }

  Result<void> LookIntoJson(const std::string& path, const std::string& full) {
    ASSIGN_OR_RETURN(const std::string text,
                     ReadSmallTextFile(full, kMaxConfigBytes));
    JsonLimits limits;
    limits.max_depth = kMaxConfigDepth;
    limits.max_values = 1u << 20;
    auto json = ParseJson(text, limits);
    if (!json) {
      return WithContext(std::move(json).error(),
                         StrCat("\"", EscapeForTerminal(full), "\""));
    }
    if (const auto key = FindCodeKey(*json)) {
      result_.active.push_back({ActiveKind::kRemoteCode, path,
                                StrCat("\"", *key, "\" asks for code")});
    }
    if (!json->is_object()) return {};
    const auto chat = json->find("chat_template");
    if (chat == json->end() || chat->is_null()) return {};
    return AddJsonTemplates(path, *chat);
  }

  // A text, or a list of {"name", "template"}.
  Result<void> AddJsonTemplates(const std::string& path, const Json& chat) {
    if (chat.is_string()) {
      return AddTemplate(path, std::string(kDefaultTemplate),
                         chat.get_ref<const std::string&>());
    }
    if (!chat.is_array()) return RefuseTemplate(path);
    for (const Json& item : chat) {
      const bool fits = item.is_object() && item.contains("name") &&
                        item["name"].is_string() && item.contains("template") &&
                        item["template"].is_string();
      if (!fits) return RefuseTemplate(path);
      RETURN_IF_ERROR(AddTemplate(path, item["name"].get<std::string>(),
                                  item["template"].get<std::string>()));
    }
    return {};
  }

  Unexpected RefuseTemplate(const std::string& path) const {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", EscapeForTerminal(FullPath(path)),
                       "\": \"chat_template\" is neither text nor a list of "
                       "named texts"))
        .Id("E-TEMPLATE");
  }

  Result<void> AddTemplate(const std::string& place, const std::string& name,
                           const std::string& text) {
    if (text.size() > kMaxChatTemplateBytes) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(place),
                         "\": a chat template of ", text.size(),
                         " bytes, at most ", kMaxChatTemplateBytes))
          .Id("E-TEMPLATE");
    }
    if (result_.templates.size() >= kMaxChatTemplates) {
      return Limit(StrCat("more than ", kMaxChatTemplates, " chat templates"));
    }
    ChatTemplate entry;
    entry.place = place;
    entry.name = name;
    entry.sha256 = HexEncode(Sha256(AsBytes(text)));
    entry.size_bytes = text.size();
    entry.num_control = CountControl(text);
    entry.concerns = FindConcerns(text, entry.num_control);
    result_.templates.push_back(std::move(entry));
    return {};
  }

  void Compare() {
    for (const ChatTemplate& a : result_.templates) {
      for (const ChatTemplate& b : result_.templates) {
        if (a.name == b.name && a.sha256 != b.sha256) {
          result_.templates_differ = true;
        }
      }
    }
  }

  std::string folder_;
  std::vector<std::string> paths_;
  SideFiles result_;
};

}  // namespace

std::string_view ActiveKindName(ActiveKind kind) {
  switch (kind) {
    case ActiveKind::kProgram:
      return "program";
    case ActiveKind::kScript:
      return "script";
    case ActiveKind::kPickle:
      return "pickle";
    case ActiveKind::kRemoteCode:
      return "remote code";
    case ActiveKind::kFilter:
      return "git filter";
  }
  return "unknown";
}

Result<SideFiles> ReadSideFiles(const std::string& folder,
                                const GgufFile* gguf) {
  return SideFileReader(folder).Read(gguf);
}

}  // namespace verify
