// SPDX-License-Identifier: Apache-2.0
// One catalogue entry as TOML, both ways: the reader is the rule book, the
// writer writes nothing that the reader would refuse.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

// The parser is compiled here, with a depth of its own and no exceptions: the
// library's build of it has neither.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_MAX_NESTED_VALUES 16
#define TOML_ENABLE_FORMATTERS 0
// Version 3.3 asserts that what follows "[[" can begin a key, or, with NDEBUG,
// lets the compiler assume so; "[[[" is neither, and the parser has an error
// for it when asked nicely: no assertion, no assumption.
#undef NDEBUG
#define TOML_ASSERT(condition) static_assert(true)
#include <toml++/toml.h>

#include "p2p/catalog.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr int64_t kFormat = 1;
constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxTextBytes = 1000;
constexpr size_t kMaxLinkBytes = 16u << 10;
constexpr int64_t kMaxPayloadBytes = int64_t{1} << 50;

verify::Unexpected Refuse(std::string_view place, std::string_view what,
                          ErrorCode code = ErrorCode::kCorrupt) {
  return Fail(code, StrCat(EscapeForTerminal(place), ": ", what))
      .Id("E-CATALOG")
      .Hint("`lodestone catalog show NAME` shows the form of an entry");
}

bool IsName(std::string_view text) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  return !text.empty() && text.size() <= kMaxNameBytes &&
         kFirst.find(text.front()) != std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string_view::npos;
}

bool IsDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  for (const size_t at : {0u, 1u, 2u, 3u, 5u, 6u, 8u, 9u}) {
    if (text[at] < '0' || text[at] > '9') return false;
  }
  const int month = (text[5] - '0') * 10 + (text[6] - '0');
  const int day = (text[8] - '0') * 10 + (text[9] - '0');
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

std::optional<Certainty> CertaintyOf(std::string_view name) {
  for (const Certainty certainty :
       {Certainty::kCertain, Certainty::kHigh, Certainty::kMedium,
        Certainty::kUnconfirmed}) {
    if (CertaintyName(certainty) == name) return certainty;
  }
  return std::nullopt;
}

// Reads the keys of one table; the first thing wrong stays and is the error.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string place)
      : table_(table), place_(std::move(place)) {}

  // Every key of the table must be one of these.
  void Allow(std::initializer_list<std::string_view> keys) {
    for (const auto& [key, value] : table_) {
      if (std::find(keys.begin(), keys.end(), key.str()) == keys.end()) {
        Say(StrCat("unknown key \"", EscapeForTerminal(key.str(), 80), "\""));
      }
    }
  }

  std::string Text(std::string_view key, bool required = true,
                   size_t max_bytes = kMaxTextBytes) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) {
      if (required) Say(StrCat("no \"", key, "\""));
      return {};
    }
    const toml::value<std::string>* text = node->as_string();
    if (text == nullptr) {
      Say(StrCat("\"", key, "\" is no text"));
      return {};
    }
    const std::string& value = text->get();
    if ((required && value.empty()) || value.size() > max_bytes ||
        EscapeForTerminal(value, max_bytes) != value) {
      Say(StrCat("\"", key, "\" is empty, longer than ", max_bytes,
                 " bytes or holds characters that cannot be shown"));
      return {};
    }
    return value;
  }

  std::optional<uint64_t> Number(std::string_view key, bool required,
                                 int64_t max = kMaxPayloadBytes) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) {
      if (required) Say(StrCat("no \"", key, "\""));
      return std::nullopt;
    }
    const toml::value<int64_t>* number = node->as_integer();
    if (number == nullptr || number->get() < 0 || number->get() > max) {
      Say(StrCat("\"", key, "\" is no number from 0 to ", max));
      return std::nullopt;
    }
    return static_cast<uint64_t>(number->get());
  }

  double Percent(std::string_view key) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return 0;
    const auto number = node->value<double>();
    if (!number.has_value() || !std::isfinite(*number) || *number < 0 ||
        *number > 50) {
      Say(StrCat("\"", key, "\" is no number from 0 to 50"));
      return 0;
    }
    return *number;
  }

  Certainty Sure() {
    const std::string name = Text("certainty");
    const auto certainty = CertaintyOf(name);
    if (!name.empty() && !certainty.has_value()) {
      Say(StrCat("certainty \"", EscapeForTerminal(name, 80),
                 "\" is none of certain, high, medium, unconfirmed"));
    }
    return certainty.value_or(Certainty::kUnconfirmed);
  }

  const toml::array* Array(std::string_view key) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return nullptr;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      Say(StrCat("\"", key, "\" is no list"));
    } else if (array->size() > kMaxCatalogItems) {
      Say(StrCat("\"", key, "\" has ", array->size(), " items, at most ",
                 kMaxCatalogItems, " are read"),
          ErrorCode::kLimit);
      return nullptr;
    }
    return array;
  }

  // Calls `read` with a reader for each table of the list.
  template <typename F>
  void Tables(std::string_view key, F read) {
    const toml::array* array = Array(key);
    if (array == nullptr) return;
    for (size_t i = 0; i < array->size(); ++i) {
      const toml::table* table = (*array)[i].as_table();
      const std::string place = StrCat(place_, ": ", key, " ", i + 1);
      if (table == nullptr) {
        Say(StrCat("\"", key, "\" item ", i + 1, " is no table"));
        return;
      }
      TableReader reader(*table, place);
      read(reader);
      Adopt(reader);
    }
  }

  // What is wrong in a table of this one.
  void Adopt(const TableReader& part) {
    if (!error_.has_value()) error_ = part.error_;
  }
  void Say(std::string what, ErrorCode code = ErrorCode::kCorrupt) {
    if (!error_.has_value()) error_ = Refuse(place_, what, code).error();
  }
  Result<void> Done() const {
    if (error_.has_value()) return verify::Unexpected(*error_);
    return {};
  }

 private:
  const toml::table& table_;
  std::string place_;
  std::optional<verify::Error> error_;
};

// A path that a torrent could hold.
bool IsPath(std::string_view path) {
  size_t begin = 0;
  while (true) {
    const size_t slash = path.find('/', begin);
    const std::string_view part = path.substr(
        begin, slash == std::string_view::npos ? slash : slash - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255 ||
        part.find('\\') != std::string_view::npos) {
      return false;
    }
    if (slash == std::string_view::npos) return true;
    begin = slash + 1;
  }
}

void ReadLinks(TableReader& root, CatalogEntry& entry) {
  const std::string text = root.Text("magnet", true, kMaxLinkBytes);
  auto parsed = ParseMagnet(text);
  if (!parsed) {
    root.Say(StrCat("magnet: ", parsed.error().message));
    return;
  }
  std::vector<std::string> dropped = parsed->warnings;
  FilterEndpoints(parsed->magnet, false, dropped);
  if (!parsed->repairs.empty() || !dropped.empty()) {
    root.Say(StrCat(
        "magnet: only a repaired link with usable endpoints may "
        "stand here: ",
        parsed->repairs.empty() ? dropped.front() : parsed->repairs.front()));
    return;
  }
  entry.magnet = std::move(parsed->magnet);
  root.Tables("published", [&](TableReader& reader) {
    reader.Allow({"magnet", "where"});
    CatalogLink link{reader.Text("magnet", true, kMaxLinkBytes),
                     reader.Text("where")};
    const auto published = ParseMagnet(link.magnet);
    if (!published) {
      reader.Say(published.error().message);
    } else if (published->magnet.info_hashes != entry.magnet.info_hashes) {
      reader.Say("its info-hash is not that of the entry's magnet");
    }
    entry.published.push_back(std::move(link));
  });
}

void ReadContent(TableReader& root, const toml::table& table,
                 std::string_view origin, CatalogEntry& entry) {
  const toml::table* size = table["size"].as_table();
  if (size == nullptr) {
    root.Say("no table \"size\"");
  } else {
    TableReader reader(*size, StrCat(origin, ": size"));
    reader.Allow({"bytes", "within_percent", "files", "note"});
    entry.size_bytes = reader.Number("bytes", true).value_or(0);
    entry.within_percent = reader.Percent("within_percent");
    entry.num_files =
        reader.Number("files", false, static_cast<int64_t>(kMaxTorrentFiles));
    entry.size_note = reader.Text("note", false);
    if (entry.size_bytes == 0) reader.Say("\"bytes\" is 0");
    root.Adopt(reader);
  }
  root.Tables("files", [&](TableReader& reader) {
    reader.Allow({"path", "bytes", "certainty"});
    CatalogFile file;
    file.path = reader.Text("path");
    file.size_bytes = reader.Number("bytes", false);
    file.certainty = reader.Sure();
    if (!IsPath(file.path)) reader.Say("the path leaves the folder");
    for (const CatalogFile& other : entry.files) {
      if (other.path == file.path) {
        reader.Say(StrCat("\"", file.path, "\" is listed twice"));
      }
    }
    entry.files.push_back(std::move(file));
  });
  root.Tables("sums", [&](TableReader& reader) {
    reader.Allow({"digest", "file", "publisher", "where", "certainty"});
    CatalogSum sum;
    const std::string hex = reader.Text("digest");
    const auto digest = verify::HexDecode(hex);
    if (!digest.has_value() || (digest->size() != 16 && digest->size() != 20 &&
                                digest->size() != 32)) {
      reader.Say("\"digest\" is no md5, sha1 or sha256 in hex");
    } else {
      sum.digest = *digest;
    }
    sum.file = reader.Text("file", false);
    sum.publisher = reader.Text("publisher");
    sum.where = reader.Text("where");
    sum.certainty = reader.Sure();
    if (!sum.file.empty() && !IsPath(sum.file)) {
      reader.Say("the path leaves the folder");
    }
    if (sum.file.empty() && sum.certainty != Certainty::kUnconfirmed) {
      reader.Say("a sum without a file can only be unconfirmed");
    }
    entry.sums.push_back(std::move(sum));
  });
  root.Tables("provenance", [&](TableReader& reader) {
    reader.Allow({"says", "where", "certainty"});
    CatalogStatement statement;
    statement.says = reader.Text("says");
    statement.where = reader.Text("where");
    statement.certainty = reader.Sure();
    entry.provenance.push_back(std::move(statement));
  });
}

void Append(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  // What the reader lets in needs no other escapes.
  out += StrCat(key, " = \"");
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out += "\"\n";
}

void AppendNumber(std::string& out, std::string_view key,
                  std::optional<uint64_t> value) {
  if (value.has_value()) out += StrCat(key, " = ", *value, "\n");
}

}  // namespace

Result<CatalogEntry> ParseCatalogEntry(std::string_view text,
                                       std::string_view origin) {
  if (text.size() > kMaxCatalogFileBytes) {
    return Refuse(origin,
                  StrCat(text.size(), " bytes, at most ", kMaxCatalogFileBytes,
                         " are read"),
                  ErrorCode::kLimit);
  }
  if (!verify::IsValidUtf8(text)) return Refuse(origin, "not UTF-8");
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Refuse(origin, StrCat("line ", error.source().begin.line, ": ",
                                 EscapeForTerminal(error.description(), 300)));
  }
  const toml::table& table = parsed.table();
  TableReader root(table, std::string(origin));
  if (root.Number("format", true) != kFormat) {
    root.Say(StrCat("\"format\" is not ", kFormat));
  }
  root.Allow({"format", "name", "aliases", "title", "publisher", "license",
              "architecture", "parameters", "released", "note", "magnet",
              "size", "published", "files", "sums", "provenance"});
  CatalogEntry entry;
  entry.origin = origin;
  entry.name = root.Text("name");
  if (!IsName(entry.name)) {
    root.Say("\"name\" is not made of a-z, 0-9, \".\", \"_\" and \"-\"");
  }
  if (const toml::array* aliases = root.Array("aliases")) {
    for (const toml::node& node : *aliases) {
      const toml::value<std::string>* alias = node.as_string();
      if (alias == nullptr || !IsName(alias->get())) {
        root.Say("an alias is not made of a-z, 0-9, \".\", \"_\" and \"-\"");
        break;
      }
      entry.aliases.push_back(alias->get());
    }
  }
  entry.title = root.Text("title");
  entry.publisher = root.Text("publisher");
  entry.license = root.Text("license");
  entry.architecture = root.Text("architecture");
  entry.released = root.Text("released");
  if (!IsDate(entry.released)) root.Say("\"released\" is not YYYY-MM-DD");
  entry.note = root.Text("note", false);
  entry.parameters = root.Number("parameters", false);
  ReadLinks(root, entry);
  ReadContent(root, table, origin, entry);
  RETURN_IF_ERROR(root.Done());
  return entry;
}

std::string FormatCatalogEntry(const CatalogEntry& entry) {
  std::string out = StrCat("format = ", kFormat, "\n");
  Append(out, "name", entry.name);
  if (!entry.aliases.empty()) {
    out += "aliases = [";
    for (size_t i = 0; i < entry.aliases.size(); ++i) {
      out += StrCat(i == 0 ? "" : ", ", "\"", entry.aliases[i], "\"");
    }
    out += "]\n";
  }
  Append(out, "title", entry.title);
  Append(out, "publisher", entry.publisher);
  Append(out, "license", entry.license);
  Append(out, "architecture", entry.architecture);
  AppendNumber(out, "parameters", entry.parameters);
  Append(out, "released", entry.released);
  Append(out, "note", entry.note);
  Append(out, "magnet", FormatMagnet(entry.magnet));
  out += "\n[size]\n";
  AppendNumber(out, "bytes", entry.size_bytes);
  if (entry.within_percent > 0) {
    std::array<char, 40> number{};
    const auto end =
        std::to_chars(number.data(), number.data() + number.size(),
                      entry.within_percent, std::chars_format::fixed);
    std::string text(number.data(), end.ptr);
    if (text.find('.') == std::string::npos) text += ".0";
    out += StrCat("within_percent = ", text, "\n");
  }
  AppendNumber(out, "files", entry.num_files);
  Append(out, "note", entry.size_note);
  for (const CatalogLink& link : entry.published) {
    out += "\n[[published]]\n";
    Append(out, "magnet", link.magnet);
    Append(out, "where", link.where);
  }
  for (const CatalogFile& file : entry.files) {
    out += "\n[[files]]\n";
    Append(out, "path", file.path);
    AppendNumber(out, "bytes", file.size_bytes);
    Append(out, "certainty", CertaintyName(file.certainty));
  }
  for (const CatalogSum& sum : entry.sums) {
    out += "\n[[sums]]\n";
    Append(out, "digest", verify::HexEncode(sum.digest));
    Append(out, "file", sum.file);
    Append(out, "publisher", sum.publisher);
    Append(out, "where", sum.where);
    Append(out, "certainty", CertaintyName(sum.certainty));
  }
  for (const CatalogStatement& statement : entry.provenance) {
    out += "\n[[provenance]]\n";
    Append(out, "says", statement.says);
    Append(out, "where", statement.where);
    Append(out, "certainty", CertaintyName(statement.certainty));
  }
  return out;
}

}  // namespace p2p
