// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/evidence_forms.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/flows/content_plan.h"
#include "cli/flows/list_files.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/digest/hash_engine.h"
#include "verify/manifest/hub_metadata.h"
#include "verify/manifest/published_sums.h"

namespace cli {
namespace {

namespace fs = std::filesystem;
using verify::EscapeForTerminal;
using verify::Evidence;
using verify::PublishedSum;
using verify::Result;
using verify::StrCat;

PublishedSum Sha256Of(const std::string& name, std::vector<std::byte> digest,
                      const std::string& source) {
  PublishedSum sum;
  sum.name = name;
  sum.algorithm = verify::SumAlgorithm::kSha256;
  sum.digest = std::move(digest);
  sum.list = source;
  return sum;
}

template <typename T>
Result<T> Named(Result<T> result, const std::string& source) {
  if (result) return result;
  return verify::WithContext(
      std::move(result).error(),
      StrCat("\"", EscapeForTerminal(source, 200), "\""));
}

}  // namespace

Result<Evidence> ReadSumList(const std::string& path, const std::string& name,
                             const std::string& source,
                             const std::string& prefix) {
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(path, verify::kMaxSumsBytes));
  Evidence evidence;
  evidence.source = source;
  ASSIGN_OR_RETURN(evidence.sums, verify::ParsePublishedSums(text, name));
  for (PublishedSum& sum : evidence.sums) sum.name.insert(0, prefix);
  return evidence;
}

Result<Evidence> ReadShardIndex(const std::string& path,
                                const std::string& source,
                                const std::string& prefix) {
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(path, verify::kMaxSafetensorsIndexBytes));
  ASSIGN_OR_RETURN(const verify::SafetensorsIndex index,
                   Named(verify::ParseSafetensorsIndex(text), source));
  Evidence evidence;
  evidence.source = source;
  const fs::path folder = fs::path(path).parent_path();
  for (const std::string& shard : index.shards) {
    // Only its compressed form may be there.
    const std::string here = verify::PathHere((folder / shard).string());
    evidence.required.push_back(prefix + fs::path(here).filename().string());
  }
  return evidence;
}

Result<Evidence> ReadLfsPointerFile(const std::string& path,
                                    const std::string& name,
                                    const std::string& source) {
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(path, verify::kMaxLfsPointerBytes));
  ASSIGN_OR_RETURN(verify::LfsPointer pointer,
                   Named(verify::ParseLfsPointer(text), source));
  Evidence evidence;
  evidence.source = source;
  evidence.sums.push_back(Sha256Of(name, std::move(pointer.sha256), source));
  evidence.sums.back().size_bytes = pointer.size_bytes;
  return evidence;
}

Result<Evidence> ReadHubRecord(const std::string& path, const std::string& name,
                               const std::string& source) {
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(path, verify::kMaxHubMetadataBytes));
  ASSIGN_OR_RETURN(verify::HubMetadata metadata,
                   Named(verify::ParseHubMetadata(text), source));
  Evidence evidence;
  evidence.source = source;
  const bool in_lfs =
      metadata.etag.size() == verify::SumBytes(verify::SumAlgorithm::kSha256);
  evidence.sums.push_back(Sha256Of(name, std::move(metadata.etag), source));
  if (!in_lfs) evidence.sums.back().algorithm = verify::SumAlgorithm::kGitBlob;
  return evidence;
}

Result<Evidence> ReadReferenceFolder(const std::string& folder,
                                     Context& context) {
  std::vector<std::string> skipped;
  ASSIGN_OR_RETURN(const std::vector<ListedFile> files,
                   ListFiles(folder, skipped));
  Evidence evidence;
  evidence.source = folder;
  verify::HashRequest request;
  std::vector<const ListedFile*> hashed;
  for (const ListedFile& file : files) {
    if (IsBookkeeping(file.relative)) continue;
    if (file.size_bytes < verify::kMaxLfsPointerBytes) {
      ASSIGN_OR_RETURN(
          const std::string text,
          verify::ReadSmallTextFile(file.path, verify::kMaxLfsPointerBytes));
      if (verify::LooksLikeLfsPointer(text)) {
        ASSIGN_OR_RETURN(Evidence pointer,
                         ReadLfsPointerFile(file.path, file.relative, folder));
        evidence.sums.push_back(std::move(pointer.sums.front()));
        continue;
      }
    }
    verify::HashFile hash;
    hash.path = file.path;
    hash.size_bytes = file.size_bytes;
    request.files.push_back(std::move(hash));
    hashed.push_back(&file);
  }
  StageProgress progress(context.output, "sources");
  ASSIGN_OR_RETURN(const verify::HashOutcome outcome,
                   verify::HashFiles(request, context.cancel, &progress));
  for (size_t i = 0; i < hashed.size(); ++i) {
    const verify::FileDigests& digests = outcome.files[i];
    const auto* sha256 = digests.Sum(verify::SumAlgorithm::kSha256);
    if (sha256 == nullptr) {
      return verify::Fail(
          verify::ErrorCode::kIo,
          StrCat("\"", EscapeForTerminal(hashed[i]->path), "\": ",
                 digests.error.empty() ? "it changed while it was read"
                                       : digests.error));
    }
    evidence.sums.push_back(Sha256Of(hashed[i]->relative, *sha256, folder));
    evidence.sums.back().size_bytes = hashed[i]->size_bytes;
  }
  return evidence;
}

}  // namespace cli
