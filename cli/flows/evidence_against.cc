// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <set>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/flows/evidence.h"
#include "cli/flows/evidence_forms.h"
#include "cli/flows/list_files.h"
#include "cli/flows/source.h"
#include "cli/flows/transfer_sink.h"
#include "cli/state/paths.h"
#include "p2p/download.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/base/web_page.h"
#include "verify/manifest/evidence_check.h"
#include "verify/manifest/hub_metadata.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Evidence;
using verify::Fail;
using verify::PublishedSum;
using verify::Result;
using verify::StrCat;

// The largest form is a signed bundle.
constexpr uint64_t kMaxSourceBytes = 64u << 20;
constexpr size_t kHeadBytes = 512;

std::string Quoted(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 300), "\"");
}

class AgainstReader {
 public:
  AgainstReader(const AgainstOptions& options, Context& context)
      : options_(options), context_(context) {}

  Result<FoundEvidence> Run();

 private:
  Result<void> ReadFile(const std::string& path);
  void NoteSourceFile(const std::string& path);
  Result<void> ReadJson(const std::string& path, const std::string& text);
  Result<void> ReadLink(const std::string& text);
  Result<void> TakeTorrent(KnownTorrent torrent);
  Result<void> TakeSignature(const std::string& path);
  Result<void> Take(Evidence evidence);
  Result<void> FitToFile(Evidence& evidence);
  Result<void> FitToFolder(Evidence& evidence);
  Result<void> ListNames();
  bool IsHere(const std::string& name) const { return here_.contains(name); }
  verify::Unexpected NamesNothing(const Evidence& evidence) const;

  const AgainstOptions& options_;
  Context& context_;
  FoundEvidence found_;
  bool is_folder_ = false;
  std::string own_name_;  // of the folder or file
  std::set<std::string> here_;
};

Result<FoundEvidence> AgainstReader::Run() {
  RETURN_IF_ERROR(ListNames());
  for (const std::string& against : options_.against) {
    std::error_code error;
    const fs::file_status status = fs::status(against, error);
    if (fs::is_directory(status)) {
      ASSIGN_OR_RETURN(Evidence evidence,
                       ReadReferenceFolder(against, context_));
      RETURN_IF_ERROR(Take(std::move(evidence)));
    } else if (fs::exists(status)) {
      RETURN_IF_ERROR(ReadFile(against));
      NoteSourceFile(against);
    } else {
      RETURN_IF_ERROR(ReadLink(against));
    }
  }
  return std::move(found_);
}

// What there is to be named. A path that is not there is said later, by the
// check itself.
Result<void> AgainstReader::ListNames() {
  std::error_code error;
  const fs::path full = CanonicalPath(options_.path);
  own_name_ = full.filename().string();
  is_folder_ = fs::is_directory(full, error);
  if (!is_folder_) {
    here_.insert(own_name_);
    return {};
  }
  std::vector<std::string> skipped;
  ASSIGN_OR_RETURN(const std::vector<ListedFile> files,
                   ListFiles(options_.path, skipped));
  for (const ListedFile& file : files) here_.insert(file.relative);
  return {};
}

// A list that lies in the folder itself is not one of its files.
void AgainstReader::NoteSourceFile(const std::string& path) {
  const std::string folder = CanonicalPath(options_.path) + "/";
  const std::string full = CanonicalPath(path);
  if (!is_folder_ || !full.starts_with(folder)) return;
  const std::string relative = full.substr(folder.size());
  if (!verify::IsReadByModels(relative)) {
    found_.source_files.push_back(relative);
  }
}

// Told by the content; the name only says which file a bare digest is of.
Result<void> AgainstReader::ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const verify::ReadOnlyFile file,
                   verify::ReadOnlyFile::Open(path));
  if (file.size() > kMaxSourceBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--against: ", Quoted(path), " has ", file.size(),
                       " bytes: no list, torrent or signature is that large"))
        .Id("E-AGAINST");
  }
  if (file.size() == 0) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("--against: ", Quoted(path), " is empty"))
        .Id("E-EMPTY");
  }
  std::string head(
      static_cast<size_t>(std::min<uint64_t>(kHeadBytes, file.size())), '\0');
  RETURN_IF_ERROR(file.ReadAt(
      0, std::as_writable_bytes(std::span<char>(head.data(), head.size()))));
  const std::string name = fs::path(path).filename().string();
  if (verify::LooksLikeWebPage(head)) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("--against: ", Quoted(path), " is an HTML page"))
        .Id("E-HTML")
        .Hint("fetch it again, by the address of the file itself");
  }
  if (head.size() > 2 && head[0] == 'd' && head[1] >= '0' && head[1] <= '9' &&
      head.find(':') < 12) {
    ASSIGN_OR_RETURN(KnownTorrent torrent, ReadTorrentFile(path));
    return TakeTorrent(std::move(torrent));
  }
  if (verify::LooksLikeLfsPointer(head)) {
    ASSIGN_OR_RETURN(
        Evidence evidence,
        ReadLfsPointerFile(path, is_folder_ ? name : own_name_, name));
    return Take(std::move(evidence));
  }
  const std::string_view start = verify::TrimAscii(head);
  if (start.starts_with('{') || start.starts_with('[')) {
    ASSIGN_OR_RETURN(const std::string text,
                     verify::ReadSmallTextFile(path, kMaxSourceBytes));
    return ReadJson(path, text);
  }
  if (start.starts_with("untrusted comment:")) return TakeSignature(path);
  // A bare digest of one file that is not called after it.
  std::string list_name = name;
  if (!is_folder_ && !verify::IsSumsListName(name) &&
      start.find_first_not_of("0123456789abcdefABCDEF") ==
          std::string_view::npos) {
    list_name = own_name_ + ".sha256";
  }
  ASSIGN_OR_RETURN(Evidence evidence, ReadSumList(path, list_name, name, ""));
  return Take(std::move(evidence));
}

Result<void> AgainstReader::ReadJson(const std::string& path,
                                     const std::string& text) {
  const std::string name = fs::path(path).filename().string();
  verify::JsonLimits limits;
  limits.max_bytes = kMaxSourceBytes;
  auto json = verify::ParseJson(text, limits);
  if (!json) return verify::WithContext(std::move(json).error(), Quoted(path));
  if (json->is_object() && json->contains("weight_map")) {
    ASSIGN_OR_RETURN(Evidence evidence, ReadShardIndex(path, name, ""));
    found_.evidence.push_back(std::move(evidence));
    return {};
  }
  if (json->is_object() && json->contains("format_version")) {
    // What is wrong with it is said by its own reader.
    found_.manifest_file = path;
    return {};
  }
  if (json->is_object() && json->contains("dsseEnvelope")) {
    return TakeSignature(path);
  }
  if (json->is_object() && json->contains("verb") &&
      (*json)["verb"] == "verify") {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--against: ", Quoted(path),
                       " is a report: it tells what was found, not what should "
                       "be there"))
        .Id("E-REPORT")
        .Hint("give what that check was made against; the report names it");
  }
  return Fail(ErrorCode::kCorrupt,
              StrCat("--against: ", Quoted(path),
                     " is JSON, but of no kind that says what files are like"))
      .Id("E-AGAINST");
}

Result<void> AgainstReader::TakeTorrent(KnownTorrent torrent) {
  if (found_.torrent.has_value()) {
    return Fail(ErrorCode::kInvalidArgument,
                "--against: two torrents are given, and a copy is of one")
        .Id("E-AGAINST");
  }
  torrent.partial =
      TorrentStore::Default().FindPartial(torrent.metainfo, options_.path);
  found_.torrent = std::move(torrent);
  return {};
}

Result<void> AgainstReader::TakeSignature(const std::string& path) {
  if (!found_.signature_file.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "--against: two signatures are given; one at a time is judged")
        .Id("E-AGAINST");
  }
  found_.signature_file = path;
  return {};
}

// A magnet and the like; its metadata from here or from the swarm.
Result<void> AgainstReader::ReadLink(const std::string& text) {
  ASSIGN_OR_RETURN(Source source, ReadSource(text, options_.session, context_));
  const TorrentStore store = TorrentStore::Default();
  if (source.metainfo.has_value()) {
    return TakeTorrent(
        {std::move(source.torrent), std::move(*source.metainfo), text, {}});
  }
  if (auto known = store.FindByKey(source.magnet.info_hashes.Key())) {
    return TakeTorrent(std::move(*known));
  }
  p2p::DownloadOptions fetch;
  fetch.magnet = source.magnet;
  fetch.session = options_.session;
  fetch.metadata_timeout_s = options_.metadata_timeout_s;
  OutputTransferSink sink(context_.output, ".");
  auto fetched = p2p::FetchTorrent(fetch, context_.cancel, sink);
  if (!fetched) {
    sink.EndStage(false, "");
    return verify::Unexpected(std::move(fetched).error());
  }
  sink.EndStage(true,
                StrCat(fetched->metainfo.files.size(), " files, ",
                       verify::FormatSize(fetched->metainfo.total_bytes())));
  if (!fetched->torrent.empty()) {
    // Only so that the next run need not ask the swarm again.
    static_cast<void>(store.Save(fetched->torrent, fetched->metainfo, ""));
  }
  return TakeTorrent({std::move(fetched->torrent),
                      std::move(fetched->metainfo),
                      "the magnet link",
                      {}});
}

verify::Unexpected AgainstReader::NamesNothing(const Evidence& evidence) const {
  std::string example =
      evidence.sums.empty()
          ? std::string(", and no digest stands in it")
          : StrCat("; it speaks of ", Quoted(evidence.sums.front().name));
  if (evidence.sums.size() > 1) {
    example += StrCat(" and ", evidence.sums.size() - 1, " more");
  }
  return Fail(ErrorCode::kNotFound, StrCat(Quoted(evidence.source), " names ",
                                           is_folder_ ? "no file in " : "not ",
                                           Quoted(options_.path), example))
      .Id("E-LIST-NAMES")
      .Hint(
          "the names in it are relative to the folder that is checked: give "
          "that folder, or the list that belongs to it");
}

Result<void> AgainstReader::Take(Evidence evidence) {
  if (is_folder_) {
    RETURN_IF_ERROR(FitToFolder(evidence));
  } else {
    RETURN_IF_ERROR(FitToFile(evidence));
  }
  found_.evidence.push_back(std::move(evidence));
  return {};
}

// Of one file: what the source says of a file of that name, wherever the
// source has it.
Result<void> AgainstReader::FitToFile(Evidence& evidence) {
  const auto is_own = [&](const PublishedSum& sum) {
    return sum.name == own_name_ || sum.name.ends_with("/" + own_name_);
  };
  std::erase_if(evidence.sums,
                [&](const PublishedSum& sum) { return !is_own(sum); });
  if (evidence.sums.empty()) return NamesNothing(evidence);
  const std::string name = evidence.sums.front().name;
  for (PublishedSum& sum : evidence.sums) {
    if (sum.name != name) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat(Quoted(evidence.source), " speaks of ", Quoted(name),
                         " and of ", Quoted(sum.name)))
          .Id("E-LIST-NAMES")
          .Hint("give the folder of both, or a list of this file alone");
    }
    sum.name = own_name_;
  }
  if (name != own_name_) {
    context_.output.Say(StrCat("      ", EscapeForTerminal(evidence.source),
                               ": ", EscapeForTerminal(name),
                               " is taken as this file"));
  }
  return {};
}

Result<void> AgainstReader::FitToFolder(Evidence& evidence) {
  const auto any_here = [&](size_t skip) {
    return std::any_of(
        evidence.sums.begin(), evidence.sums.end(),
        [&](const PublishedSum& sum) { return IsHere(sum.name.substr(skip)); });
  };
  if (any_here(0)) return {};
  const std::string prefix = own_name_ + "/";
  const bool all_below = !evidence.sums.empty() &&
                         std::all_of(evidence.sums.begin(), evidence.sums.end(),
                                     [&](const PublishedSum& sum) {
                                       return sum.name.starts_with(prefix);
                                     });
  if (!all_below || !any_here(prefix.size())) return NamesNothing(evidence);
  for (PublishedSum& sum : evidence.sums) sum.name.erase(0, prefix.size());
  context_.output.Say(StrCat(
      "      ", EscapeForTerminal(evidence.source), ": its names begin with ",
      EscapeForTerminal(prefix), ", which is taken as this folder"));
  return {};
}

}  // namespace

Result<FoundEvidence> ReadAgainst(const AgainstOptions& options,
                                  Context& context) {
  return AgainstReader(options, context).Run();
}

}  // namespace cli
