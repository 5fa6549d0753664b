// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/describe.h"

#include <fmt/core.h>

#include <string_view>
#include <vector>

#include "verify/base/text.h"

namespace cli {
namespace {

template <typename T>
Fields OrNull(const std::optional<T>& value) {
  return value.has_value() ? Fields(*value) : Fields(nullptr);
}

std::string_view SumName(const p2p::CatalogSum& sum) {
  return sum.digest.size() == 16   ? "md5"
         : sum.digest.size() == 20 ? "sha1"
                                   : "sha256";
}

// A published link as it would be used, and what that took.
struct LinkAccount {
  std::vector<std::string> repairs;
  std::vector<std::string> dropped;
};

LinkAccount AccountOf(const p2p::CatalogLink& link) {
  LinkAccount account;
  auto parsed = p2p::ParseMagnet(link.magnet);
  if (!parsed) return account;  // an entry holds none such
  account.repairs = std::move(parsed->repairs);
  account.dropped = std::move(parsed->warnings);
  p2p::FilterEndpoints(parsed->magnet, false, account.dropped);
  return account;
}

}  // namespace

Fields HashField(const std::optional<p2p::InfoHashV1>& hash) {
  return hash.has_value() ? Fields(verify::HexEncode(*hash)) : Fields(nullptr);
}

Fields HashField(const std::optional<p2p::InfoHashV2>& hash) {
  return hash.has_value() ? Fields(verify::HexEncode(*hash)) : Fields(nullptr);
}

Fields DescribeEntry(const p2p::CatalogEntry& entry) {
  const p2p::InfoHashes& hashes = entry.magnet.info_hashes;
  return {{"name", entry.name},
          {"aliases", entry.aliases},
          {"title", entry.title},
          {"publisher", entry.publisher},
          {"license", entry.license},
          {"architecture", entry.architecture},
          {"released", entry.released},
          {"parameters", OrNull(entry.parameters)},
          {"info_hash_v1", HashField(hashes.v1)},
          {"info_hash_v2", HashField(hashes.v2)},
          {"magnet", p2p::FormatMagnet(entry.magnet)},
          {"size_bytes", entry.size_bytes},
          {"size_is_estimate", entry.within_percent > 0},
          {"note", entry.note},
          {"origin", entry.origin}};
}

Fields DescribeEntryInFull(const p2p::CatalogEntry& entry) {
  Fields fields = DescribeEntry(entry);
  fields["size_note"] = entry.size_note;
  fields["num_files"] = OrNull(entry.num_files);
  fields["published"] = Fields::array();
  for (const p2p::CatalogLink& link : entry.published) {
    const LinkAccount account = AccountOf(link);
    fields["published"].push_back({{"magnet", link.magnet},
                                   {"where", link.where},
                                   {"repairs", account.repairs},
                                   {"dropped", account.dropped}});
  }
  fields["files"] = Fields::array();
  for (const p2p::CatalogFile& file : entry.files) {
    fields["files"].push_back(
        {{"path", file.path},
         {"bytes", OrNull(file.size_bytes)},
         {"certainty", p2p::CertaintyName(file.certainty)}});
  }
  fields["sums"] = Fields::array();
  for (const p2p::CatalogSum& sum : entry.sums) {
    fields["sums"].push_back(
        {{"algorithm", SumName(sum)},
         {"digest", verify::HexEncode(sum.digest)},
         {"file", sum.file.empty() ? Fields(nullptr) : Fields(sum.file)},
         {"publisher", sum.publisher},
         {"where", sum.where},
         {"certainty", p2p::CertaintyName(sum.certainty)}});
  }
  fields["provenance"] = Fields::array();
  for (const p2p::CatalogStatement& statement : entry.provenance) {
    fields["provenance"].push_back(
        {{"says", statement.says},
         {"where", statement.where},
         {"certainty", p2p::CertaintyName(statement.certainty)}});
  }
  return fields;
}

std::string EntryText(const p2p::CatalogEntry& entry) {
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<13}{}\n", key, value);
  };
  line("name", entry.name);
  std::string aliases;
  for (const std::string& alias : entry.aliases) {
    aliases += (aliases.empty() ? "" : ", ") + alias;
  }
  line("also", aliases);
  line("title", entry.title);
  line("publisher", entry.publisher);
  line("released", entry.released);
  line("licence", entry.license);
  line("architecture", entry.architecture);
  if (entry.parameters.has_value()) {
    line("parameters", std::to_string(*entry.parameters));
  }
  line("size",
       fmt::format("{}{}{}", p2p::CatalogSizeText(entry),
                   entry.size_note.empty() ? "" : "; ", entry.size_note));
  line("note", entry.note);
  line("magnet", p2p::FormatMagnet(entry.magnet));
  for (const p2p::CatalogLink& link : entry.published) {
    line("published", verify::EscapeForTerminal(link.magnet, 4096));
    line("", link.where);
    const LinkAccount account = AccountOf(link);
    for (const std::string& repair : account.repairs) line("", repair);
    for (const std::string& dropped : account.dropped) line("", dropped);
  }
  for (const p2p::CatalogFile& file : entry.files) {
    line("file", fmt::format("{}{} ({})", file.path,
                             file.size_bytes.has_value()
                                 ? ", " + verify::FormatSize(*file.size_bytes)
                                 : "",
                             p2p::CertaintyName(file.certainty)));
  }
  for (const p2p::CatalogSum& sum : entry.sums) {
    line("sum", fmt::format("{} {} of {}; {}; {} ({})", SumName(sum),
                            verify::HexEncode(sum.digest),
                            sum.file.empty() ? "an unnamed file" : sum.file,
                            sum.publisher, sum.where,
                            p2p::CertaintyName(sum.certainty)));
  }
  for (const p2p::CatalogStatement& statement : entry.provenance) {
    line("source", fmt::format("{}: {} ({})", statement.says, statement.where,
                               p2p::CertaintyName(statement.certainty)));
  }
  line("origin", verify::EscapeForTerminal(entry.origin));
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace cli
