// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/manifest_check.h"

#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

bool HasSignature(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path + ".minisig", ignored)) ||
         fs::exists(fs::symlink_status(path + ".sig", ignored));
}

std::string SignerWords(const FoundManifest& found) {
  if (!found.signer.has_value()) return "not signed";
  const std::string key = EscapeForTerminal(found.signer->key, 128);
  if (!found.signer->trusted) return StrCat("signed by unknown key ", key);
  return StrCat("signed by ", EscapeForTerminal(found.signer->name, 200), " (",
                key, ")");
}

ManifestReport ReportOf(const FoundManifest& found, Context& context) {
  Output& output = context.output;
  const std::string name = fs::path(found.path).filename().string();
  const bool trusted = found.signer.has_value() && found.signer->trusted;
  const std::string words =
      StrCat("version ", found.manifest.version, ", ", SignerWords(found));
  output.Event(
      "check",
      {{"id", "manifest.file"},
       {"level", "signature"},
       {"status", found.signer.has_value() && !trusted ? "warn" : "pass"},
       {"subject", found.path},
       {"detail", words},
       {"evidence",
        {{"version", found.manifest.version},
         {"sha256", found.sha256},
         {"files", found.manifest.files.size()}}}});
  output.Say(StrCat("      ", EscapeForTerminal(name), ": ", words));
  if (found.signer.has_value() && !trusted) {
    output.Warning("UNKNOWN_KEY",
                   StrCat(EscapeForTerminal(name), ": ", SignerWords(found),
                          ", which says nothing of who that is"),
                   "lodestone keys trust KEYFILE accepts a publisher's key");
  }
  const std::string remark =
      ManifestClockRemark(found.manifest, int64_t{std::time(nullptr)});
  if (!remark.empty()) {
    output.Warning("MANIFEST_CLOCK", remark,
                   "ask the publisher for a newer one, or set the clock");
  }
  ManifestReport report;
  report.evidence = verify::ManifestEvidence(
      found.manifest, name,
      found.signer.has_value() ? &*found.signer : nullptr);
  report.seen = found.seen;
  return report;
}

}  // namespace

Result<ManifestReport> CheckNamedManifest(const std::string& manifest_path,
                                          const std::vector<std::string>& keys,
                                          Context& context) {
  ASSIGN_OR_RETURN(const KeyRing ring, LoadKeyRing(keys, context));
  ASSIGN_OR_RETURN(const FoundManifest found,
                   ReadManifest(manifest_path, ring));
  return ReportOf(found, context);
}

Result<ManifestReport> CheckManifest(const std::string& path,
                                     const std::string& kept,
                                     const std::vector<std::string>& keys,
                                     Context& context) {
  const auto manifest_path = FindManifest(path, kept);
  if (!manifest_path.has_value()) return ManifestReport();
  auto report = CheckNamedManifest(*manifest_path, keys, context);
  if (report) return report;
  verify::Error error = report.error();
  const bool about_it = error.code == ErrorCode::kUntrusted ||
                        error.code == ErrorCode::kCorrupt ||
                        error.code == ErrorCode::kLimit ||
                        error.code == ErrorCode::kUnsupported;
  if (!about_it) return verify::Unexpected(std::move(error));
  ManifestReport refused;
  // Who keeps the memory of versions is asked to look, too.
  if (HasSignature(*manifest_path) || error.id == "E-SEEN") {
    refused.error = std::move(error);
  } else {
    context.output.Warning("MANIFEST_UNREADABLE", error.message, error.hint);
  }
  return refused;
}

}  // namespace cli
