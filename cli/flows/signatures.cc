// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/signatures.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/manifest/oms_signature.h"
#include "verify/manifest/published_sums.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::AsBytes;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Evidence;
using verify::Fail;
using verify::Minisig;
using verify::Result;
using verify::SignatureFinding;
using verify::StrCat;
using verify::TrustLevel;

constexpr std::string_view kMinisigSuffix = ".minisig";
constexpr std::string_view kMinisigStart = "untrusted comment:";
constexpr size_t kMaxSignatures = 1000;

std::string FileName(const std::string& path) {
  return fs::path(path).filename().string();
}

bool IsRegular(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(path, ignored));
}

// Whoever can make two files of one MD5 or SHA-1 and has one of them signed
// has the other signed too.
bool IsStrong(const verify::PublishedSum& sum) {
  return sum.algorithm != verify::SumAlgorithm::kMd5 &&
         sum.algorithm != verify::SumAlgorithm::kSha1;
}

std::string SignerText(const Evidence& evidence) {
  const std::string key = evidence.signer_key.empty()
                              ? "that it does not name"
                              : EscapeForTerminal(evidence.signer_key, 128);
  if (evidence.level != TrustLevel::kTrustedKey) {
    return StrCat("signed by unknown key ", key, ": adds no trust");
  }
  return StrCat("signed by ", EscapeForTerminal(evidence.signer_name, 200),
                " (", key, ")");
}

class SignatureCheck {
 public:
  SignatureCheck(const SignatureOptions& options, Context& context)
      : options_(options), context_(context), output_(context.output) {}

  Result<SignatureReport> Run();

 private:
  Result<void> Find();
  void FindBeside();
  Result<void> CheckOne(const std::string& signature_file);
  Result<std::optional<Evidence>> Judge(const std::string& signature_file);
  Result<std::optional<Evidence>> JudgeMinisig(
      const std::string& signature_file, std::string_view text);
  std::string TargetOf(const std::string& signature_file) const;
  void CheckLinks(const Evidence& evidence);
  void Refuse(verify::Error error);
  std::string RelativeName(const std::string& path) const;

  const SignatureOptions& options_;
  Context& context_;
  Output& output_;
  SignatureReport report_;
  KeyRing keys_;
  bool is_folder_ = true;
  std::string folder_;
  std::vector<std::string> candidates_;  // paths of signature files
  // Names in the folder of signatures and of lists that are signed: they stand
  // for other files and are not covered themselves.
  std::set<std::string> own_files_;
};

void SignatureCheck::Refuse(verify::Error error) {
  if (!report_.error.has_value()) report_.error = std::move(error);
}

// Relative to the folder; empty if the path is not in it.
std::string SignatureCheck::RelativeName(const std::string& path) const {
  const std::string name = fs::path(path).lexically_normal().lexically_relative(
      fs::path(folder_).lexically_normal());
  return name.empty() || name.starts_with("..") ? std::string() : name;
}

Result<void> SignatureCheck::Find() {
  if (!options_.signature_file.empty()) {
    candidates_.push_back(options_.signature_file);
    return {};
  }
  const std::string bundle = StrCat(folder_, "/", verify::kOmsFileName);
  if (IsRegular(bundle)) candidates_.push_back(bundle);
  if (is_folder_) FindBeside();
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end;
       it.increment(error)) {
    const std::string path = it->path().string();
    if (path.ends_with(kMinisigSuffix) && IsRegular(path)) {
      found.push_back(path);
    }
    if (found.size() > kMaxSignatures) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(folder_), "\": more than ",
                         kMaxSignatures, " signatures"));
    }
  }
  if (error) return verify::FailErrno("list", folder_, error.value());
  std::sort(found.begin(), found.end());
  for (std::string& path : found) {
    std::string target = FileName(path);
    target.resize(target.size() - kMinisigSuffix.size());
    // Of one file only what may speak of it.
    if (!is_folder_ && target != FileName(options_.path) &&
        target != verify::kOmsFileName && !verify::IsSumsListName(target)) {
      continue;
    }
    candidates_.push_back(std::move(path));
  }
  return {};
}

// NAME.sig beside the folder, and a model.sig there that was made of a folder
// of this name.
void SignatureCheck::FindBeside() {
  const fs::path folder = fs::path(folder_).lexically_normal();
  const std::string name = folder.filename().string();
  if (name.empty() || name == "." || name == "..") return;
  const std::string parent =
      folder.parent_path().empty() ? "." : folder.parent_path().string();
  const std::string own = StrCat(parent, "/", name, ".sig");
  const std::string shared = StrCat(parent, "/", verify::kOmsFileName);
  for (const std::string& path : {own, shared}) {
    if (!IsRegular(path)) continue;
    const auto text =
        verify::ReadSmallTextFile(path, verify::kMaxOmsBundleBytes);
    // Other programs write .sig too.
    if (!text || !verify::TrimAscii(std::string_view(*text).substr(0, 64))
                      .starts_with('{')) {
      continue;
    }
    if (path == shared) {
      const auto bundle = verify::ParseOmsBundle(*text);
      if (!bundle) continue;
      const auto statement = verify::ParseOmsStatement(bundle->payload);
      if (!statement || statement->model_name != name) continue;
    }
    candidates_.push_back(path);
  }
}

// The file that a minisign signature is of.
std::string SignatureCheck::TargetOf(const std::string& signature_file) const {
  if (signature_file.ends_with(kMinisigSuffix)) {
    std::string target = signature_file;
    target.resize(target.size() - kMinisigSuffix.size());
    if (IsRegular(target)) return target;
    const std::string inside = StrCat(folder_, "/", FileName(target));
    if (IsRegular(inside)) return inside;
  }
  return is_folder_ ? std::string() : options_.path;
}

Result<std::optional<Evidence>> SignatureCheck::JudgeMinisig(
    const std::string& signature_file, std::string_view text) {
  const std::string source = FileName(signature_file);
  ASSIGN_OR_RETURN(const Minisig minisig, Minisig::Parse(text));
  const std::string target = TargetOf(signature_file);
  if (target.empty()) {
    return Fail(ErrorCode::kMismatch, "the file that it signs is not here")
        .Id("E-MINISIG");
  }
  const std::string name = FileName(target);
  Evidence evidence;
  evidence.source = source;
  const auto set_signer = [&](const SignatureFinding& signer) {
    evidence.level = signer.level;
    evidence.signer_key = signer.key;
    evidence.signer_name = signer.name;
    if (!signer.trusted_comment.empty()) {
      output_.Say(StrCat("      trusted comment: ",
                         EscapeForTerminal(signer.trusted_comment)));
    }
  };
  const bool is_bundle = name == verify::kOmsFileName;
  if (is_bundle || verify::IsSumsListName(name)) {
    if (const std::string own = RelativeName(target); !own.empty()) {
      own_files_.insert(own);
    }
    // Read once: what is parsed is what was signed.
    ASSIGN_OR_RETURN(
        const std::string list,
        verify::ReadSmallTextFile(target, is_bundle ? verify::kMaxOmsBundleBytes
                                                    : verify::kMaxSumsBytes));
    ASSIGN_OR_RETURN(
        const SignatureFinding signer,
        CheckMinisig(minisig, verify::Blake2b512(AsBytes(list)), keys_.View()));
    set_signer(signer);
    // A list by an unknown key is read where lists are.
    if (signer.level != TrustLevel::kTrustedKey) return std::optional(evidence);
    if (is_bundle) {
      ASSIGN_OR_RETURN(const verify::OmsBundle bundle,
                       verify::ParseOmsBundle(list));
      ASSIGN_OR_RETURN(evidence, OmsEvidence(bundle, source, signer));
      return std::optional(std::move(evidence));
    }
    ASSIGN_OR_RETURN(evidence.sums, verify::ParsePublishedSums(list, name));
    const size_t all = evidence.sums.size();
    std::erase_if(evidence.sums,
                  [](const auto& sum) { return !IsStrong(sum); });
    if (evidence.sums.size() < all) {
      output_.Warning(
          "WEAK_SIGNED_SUMS",
          StrCat("\"", EscapeForTerminal(name),
                 "\": ", all - evidence.sums.size(),
                 " signed digests are MD5 or SHA-1 and prove no origin"),
          "ask its publisher to sign SHA-256");
    }
    for (verify::PublishedSum& sum : evidence.sums) sum.list = source;
    evidence.exhaustive = !evidence.sums.empty();
    return std::optional(std::move(evidence));
  }
  ASSIGN_OR_RETURN(
      const SignatureFinding signer,
      CheckMinisignedFile(signature_file, target, keys_, context_));
  set_signer(signer);
  if (signer.level == TrustLevel::kTrustedKey) {
    const std::string relative = RelativeName(target);
    verify::PublishedSum sum;
    sum.name = relative.empty() ? name : relative;
    sum.algorithm = verify::SumAlgorithm::kBlake2b;
    sum.digest.assign(signer.digest.begin(), signer.digest.end());
    sum.list = source;
    evidence.sums.push_back(std::move(sum));
  }
  return std::optional(std::move(evidence));
}

// Nothing: a signature that says nothing of this copy.
Result<std::optional<Evidence>> SignatureCheck::Judge(
    const std::string& signature_file) {
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(signature_file, verify::kMaxOmsBundleBytes));
  std::optional<Evidence> evidence;
  if (text.starts_with(kMinisigStart)) {
    ASSIGN_OR_RETURN(evidence, JudgeMinisig(signature_file, text));
  } else {
    ASSIGN_OR_RETURN(
        evidence, CheckOmsBundle(text, FileName(signature_file), keys_.View()));
  }
  if (!evidence.has_value() || is_folder_) return evidence;
  // A folder's signature says of one file what it says of that one.
  const std::string name = FileName(options_.path);
  std::erase_if(evidence->sums,
                [&](const auto& sum) { return sum.name != name; });
  evidence->exhaustive = false;
  evidence->ignored.clear();
  const bool about_it =
      !evidence->sums.empty() || evidence->level != TrustLevel::kTrustedKey;
  if (!about_it) return std::optional<Evidence>();
  return evidence;
}

Result<void> SignatureCheck::CheckOne(const std::string& signature_file) {
  const std::string shown = EscapeForTerminal(FileName(signature_file));
  if (const std::string own = RelativeName(signature_file); !own.empty()) {
    own_files_.insert(own);
  }
  auto evidence = Judge(signature_file);
  if (!evidence) {
    verify::Error error = evidence.error();
    const bool about_it = error.code != ErrorCode::kCancelled &&
                          error.code != ErrorCode::kIo &&
                          error.code != ErrorCode::kNotFound &&
                          error.code != ErrorCode::kInternal;
    if (!about_it) return verify::Unexpected(std::move(error));
    // Whatever rule it breaks: it is a signature that is no good.
    if (error.code != ErrorCode::kUnsupported &&
        error.code != ErrorCode::kMismatch) {
      error.code = ErrorCode::kUntrusted;
    }
    error.message = StrCat(shown, ": ", error.message);
    output_.Event("check", {{"id", "signature.file"},
                            {"level", "signature"},
                            {"status", "fail"},
                            {"subject", signature_file},
                            {"detail", error.message},
                            {"evidence", {{"code", error.id}}}});
    Refuse(std::move(error));
    return {};
  }
  if (!evidence->has_value()) return {};
  const Evidence& found = **evidence;
  const bool trusted = found.level == TrustLevel::kTrustedKey;
  output_.Event("check", {{"id", "signature.key"},
                          {"level", "signature"},
                          {"status", trusted ? "pass" : "warn"},
                          {"subject", signature_file},
                          {"detail", SignerText(found)},
                          {"evidence",
                           {{"key", found.signer_key},
                            {"name", found.signer_name},
                            {"files", found.sums.size()}}}});
  report_.evidence.push_back(std::move(**evidence));
  return {};
}

// A link may lead to other bytes tomorrow, and out of the folder today.
void SignatureCheck::CheckLinks(const Evidence& evidence) {
  std::set<std::string> seen;
  for (const verify::PublishedSum& sum : evidence.sums) {
    for (size_t end = sum.name.find('/');; end = sum.name.find('/', end + 1)) {
      const std::string part = sum.name.substr(0, end);
      if (seen.insert(part).second) {
        std::error_code ignored;
        if (fs::is_symlink(
                fs::symlink_status(StrCat(folder_, "/", part), ignored))) {
          Refuse(
              Fail(ErrorCode::kUntrusted,
                   StrCat("\"", EscapeForTerminal(part), "\" is a link, and ",
                          EscapeForTerminal(evidence.source),
                          " signs a file of its own there"))
                  .Id("E-SYMLINK")
                  .Hint("put the file itself in its place")
                  .error());
        }
      }
      if (end == std::string::npos) break;
    }
  }
}

Result<SignatureReport> SignatureCheck::Run() {
  std::error_code error;
  is_folder_ = fs::is_directory(options_.path, error);
  folder_ = is_folder_ ? options_.path
                       : fs::path(options_.path).parent_path().string();
  if (folder_.empty()) folder_ = ".";
  // What is not there is said where the files are looked at.
  if (!fs::exists(options_.path, error)) return std::move(report_);
  RETURN_IF_ERROR(Find());
  if (candidates_.empty() && options_.keys.empty()) return std::move(report_);
  ASSIGN_OR_RETURN(keys_, LoadKeyRing(options_.keys, context_));
  if (candidates_.empty()) return std::move(report_);
  output_.StageBegin("signature");
  Result<void> done;
  for (size_t i = 0; done && i < candidates_.size(); ++i) {
    done = CheckOne(candidates_[i]);
  }
  std::string text;
  for (Evidence& evidence : report_.evidence) {
    if (evidence.level == TrustLevel::kTrustedKey) CheckLinks(evidence);
    evidence.ignored.insert(evidence.ignored.end(), own_files_.begin(),
                            own_files_.end());
    text += StrCat(text.empty() ? "" : "; ", EscapeForTerminal(evidence.source),
                   " ", SignerText(evidence));
  }
  report_.source_files.assign(own_files_.begin(), own_files_.end());
  output_.StageEnd("signature", done && !report_.error.has_value(),
                   text.empty() ? "none that is right" : text);
  if (!done) return verify::Unexpected(done.error());
  return std::move(report_);
}

}  // namespace

Result<SignatureFinding> CheckMinisignedFile(const std::string& signature_file,
                                             const std::string& file,
                                             const KeyRing& keys,
                                             Context& context) {
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(signature_file, verify::kMaxMinisigBytes));
  ASSIGN_OR_RETURN(const Minisig minisig, Minisig::Parse(text));
  verify::Blake2b512Digest digest{};
  if (verify::IsKnownMinisigner(minisig, keys.View())) {
    ASSIGN_OR_RETURN(const verify::ReadOnlyFile source,
                     verify::ReadOnlyFile::Open(file));
    StageProgress progress(context.output, "signature");
    ASSIGN_OR_RETURN(digest,
                     verify::Blake2bOfFile(source, context.cancel, &progress));
  }
  return CheckMinisig(minisig, digest, keys.View());
}

Result<SignatureReport> CheckSignatures(const SignatureOptions& options,
                                        Context& context) {
  return SignatureCheck(options, context).Run();
}

}  // namespace cli
