// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/evidence.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/flows/content_plan.h"
#include "cli/flows/evidence_forms.h"
#include "cli/flows/list_files.h"
#include "cli/state/paths.h"
#include "verify/base/text.h"
#include "verify/manifest/published_sums.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::Evidence;
using verify::PublishedSum;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kHubRecords = ".cache/huggingface/download/";
constexpr std::string_view kHubRecordEnding = ".metadata";
constexpr std::string_view kShardIndexEnding = ".safetensors.index.json";

// "a/b/" of "a/b/c"; empty for "c".
std::string FolderOf(const std::string& relative) {
  return relative.substr(0, relative.find_last_of('/') + 1);
}

// The name of the file that a record of the hub's client is about, or nothing.
std::string HubRecordName(std::string_view relative) {
  if (!relative.starts_with(kHubRecords) ||
      !relative.ends_with(kHubRecordEnding)) {
    return "";
  }
  relative.remove_prefix(kHubRecords.size());
  relative.remove_suffix(kHubRecordEnding.size());
  return std::string(relative);
}

class Finder {
 public:
  Finder(const std::string& path, Output& output)
      : path_(path), output_(output) {}

  Result<FoundEvidence> Run() {
    std::error_code error;
    const fs::path full = CanonicalPath(path_);
    const std::string parent = full.parent_path().string();
    const std::string name = full.filename().string();
    if (fs::is_directory(path_, error)) {
      std::vector<std::string> skipped;
      ASSIGN_OR_RETURN(const std::vector<ListedFile> files,
                       ListFiles(path_, skipped));
      FindWithin(files);
      FindBesideFolder(parent, name);
    } else {
      FindBesideFile(parent, name);
    }
    return std::move(found_);
  }

 private:
  void FindWithin(const std::vector<ListedFile>& files);
  void FindBesideFolder(const std::string& parent, const std::string& name);
  void FindBesideFile(const std::string& parent, const std::string& name);
  bool Take(Result<Evidence> evidence);
  void TakeHubRecord(const std::string& path, const std::string& name);

  const std::string& path_;
  Output& output_;
  FoundEvidence found_;
  Evidence hub_;  // what all records of the hub's client say
};

// A source that cannot be read is a warning. False for such a one.
bool Finder::Take(Result<Evidence> evidence) {
  if (!evidence) {
    output_.Warning("SUMS_UNREADABLE", evidence.error().message,
                    evidence.error().hint);
    return false;
  }
  if (!evidence->sums.empty() || !evidence->required.empty()) {
    found_.evidence.push_back(std::move(*evidence));
  }
  return true;
}

void Finder::TakeHubRecord(const std::string& path, const std::string& name) {
  auto evidence =
      ReadHubRecord(path, name, "the record of the Hugging Face client");
  // The client writes it anew with each download; an old form says nothing.
  if (!evidence) return;
  hub_.source = evidence->source;
  hub_.sums.push_back(std::move(evidence->sums.front()));
}

void Finder::FindWithin(const std::vector<ListedFile>& files) {
  std::set<std::string_view> names;
  for (const ListedFile& file : files) names.insert(file.relative);
  for (const ListedFile& file : files) {
    const std::string about = HubRecordName(file.relative);
    // What was taken away since then is not missed.
    if (names.contains(about)) TakeHubRecord(file.path, about);
    if (IsBookkeeping(file.relative)) continue;
    const std::string folder = FolderOf(file.relative);
    const std::string name = file.relative.substr(folder.size());
    if (verify::IsSumsListName(name)) {
      if (Take(ReadSumList(file.path, name, file.relative, folder))) {
        found_.source_files.push_back(file.relative);
      }
    } else if (name.ends_with(kShardIndexEnding)) {
      // What is wrong with the index itself is said by the structure check.
      auto index = ReadShardIndex(file.path, file.relative, folder);
      if (index) Take(std::move(index));
    }
  }
  if (!hub_.sums.empty()) found_.evidence.push_back(std::move(hub_));
}

// Lists in the folder that holds the model's, made there: of those only what
// they say of this folder. What else they are about is not our concern.
void Finder::FindBesideFolder(const std::string& parent,
                              const std::string& name) {
  const auto lists = verify::ListSumLists(parent);
  if (!lists) return;
  const std::string prefix = name + "/";
  for (const std::string& list : *lists) {
    auto evidence = ReadSumList(parent + "/" + list, list, "../" + list, "");
    if (!evidence) continue;
    std::erase_if(evidence->sums, [&](const PublishedSum& sum) {
      return !sum.name.starts_with(prefix);
    });
    for (PublishedSum& sum : evidence->sums) sum.name.erase(0, prefix.size());
    Take(std::move(evidence));
  }
}

void Finder::FindBesideFile(const std::string& parent,
                            const std::string& name) {
  if (const auto lists = verify::ListSumLists(parent)) {
    for (const std::string& list : *lists) {
      auto evidence = ReadSumList(parent + "/" + list, list, list, "");
      if (evidence) {
        std::erase_if(evidence->sums, [&](const PublishedSum& sum) {
          return sum.name != name;
        });
      }
      Take(std::move(evidence));
    }
  }
  const std::string record =
      StrCat(parent, "/", kHubRecords, name, kHubRecordEnding);
  std::error_code error;
  if (fs::is_regular_file(record, error)) TakeHubRecord(record, name);
  if (!hub_.sums.empty()) found_.evidence.push_back(std::move(hub_));
}

}  // namespace

Result<FoundEvidence> FindEvidence(const std::string& path, Output& output) {
  return Finder(path, output).Run();
}

}  // namespace cli
