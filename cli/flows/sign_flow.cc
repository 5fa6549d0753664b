// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/sign_flow.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/accepted_keys.h"
#include "cli/flows/list_files.h"
#include "cli/flows/passphrase.h"
#include "cli/state/paths.h"
#include "verify/base/file.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"
#include "verify/digest/hash_engine.h"
#include "verify/manifest/oms_signature.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::AsBytes;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::Secret;
using verify::StrCat;

constexpr std::string_view kSecretSuffix = ".key";
constexpr std::string_view kMinisigSuffix = ".minisig";
constexpr std::string_view kSumsName = "SHA256SUMS";

verify::Unexpected UnfitFiles(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, std::move(message))
      .Id("E-SIGN-FILES");
}

// The file of a key that was named: a path, or a name in the keys' folder.
Result<std::string> FindSecretKey(const std::string& key) {
  std::error_code ignored;
  if (!key.empty()) {
    if (fs::exists(key, ignored)) return key;
    std::string kept = StrCat(KeysFolder(), "/", key, kSecretSuffix);
    if (verify::IsKeyName(key) && fs::exists(kept, ignored)) return kept;
    return Fail(ErrorCode::kNotFound,
                StrCat("no secret key \"", EscapeForTerminal(key), "\""))
        .Id("E-NO-KEY")
        .Hint("lodestone keys list shows those kept");
  }
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(KeysFolder(), ignored)) {
    if (entry.path().extension() == kSecretSuffix) {
      found.push_back(entry.path().string());
    }
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound, "there is no secret key to sign with")
        .Id("E-NO-KEY")
        .Hint("lodestone keys generate NAME makes one");
  }
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("there are ", found.size(), " secret keys"))
      .Id("E-KEY-NAME")
      .Hint("--key NAME chooses one");
}

Result<Secret> ReadSecretFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return verify::FailErrno("look at", path, errno);
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Fail(ErrorCode::kUntrusted,
                StrCat("secret key \"", EscapeForTerminal(path),
                       "\": others may read or change it"))
        .Id("E-KEY-FILE")
        .Hint("chmod 600 it; if others had it, make a new key");
  }
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   verify::ReadSmallFile(path, verify::kMaxKeyFileBytes));
  Secret secret{verify::ByteSpan(bytes)};
  verify::WipeBytes(bytes);
  return secret;
}

// What a signature of the folder covers: all regular files but those that
// stand for others (signatures, and the list that is made).
Result<std::vector<verify::PublishedSum>> HashFolder(
    const SignOptions& options, const std::string& output,
    const std::vector<std::string_view>& left_out, Context& context) {
  std::vector<std::string> skipped;
  ASSIGN_OR_RETURN(std::vector<ListedFile> files,
                   ListFiles(options.path, skipped));
  for (const std::string& name : skipped) {
    if (verify::IsOutsideOmsScope(name)) continue;
    return UnfitFiles(StrCat("\"", EscapeForTerminal(name),
                             "\" is no regular file, and a signature is of "
                             "files"));
  }
  for (const ListedFile& file : files) {
    if (file.link_target.empty() || verify::IsOutsideOmsScope(file.relative)) {
      continue;
    }
    return UnfitFiles(StrCat("\"", EscapeForTerminal(file.relative),
                             "\" is a link, and a signature is of files"));
  }
  std::erase_if(files, [&](const ListedFile& file) {
    std::error_code ignored;
    return verify::IsOutsideOmsScope(file.relative) ||
           std::find(left_out.begin(), left_out.end(), file.relative) !=
               left_out.end() ||
           (fs::exists(output, ignored) &&
            fs::equivalent(file.path, output, ignored)) ||
           (file.relative.ends_with(kMinisigSuffix) &&
            file.relative.find('/') == std::string::npos);
  });
  verify::PathSet names;
  std::vector<std::string_view> parts;
  verify::HashRequest request;
  request.num_threads = options.num_threads;
  for (const ListedFile& file : files) {
    const std::string shown = EscapeForTerminal(file.relative);
    if (const auto problem = verify::CheckPath(file.relative, parts)) {
      return UnfitFiles(StrCat("\"", shown, "\": ", problem->reason));
    }
    if (const auto collision = names.AddFile(parts)) {
      return UnfitFiles(StrCat("\"", shown, "\": ", *collision));
    }
    verify::HashFile wanted;
    wanted.path = file.path;
    wanted.size_bytes = file.size_bytes;
    request.files.push_back(std::move(wanted));
  }
  if (files.empty()) {
    return UnfitFiles(StrCat("\"", EscapeForTerminal(options.path),
                             "\" holds no file to sign"));
  }
  StageProgress progress(context.output, "sign");
  ASSIGN_OR_RETURN(const verify::HashOutcome outcome,
                   verify::HashFiles(request, context.cancel, &progress));
  std::vector<verify::PublishedSum> sums;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto* digest = outcome.files[i].Sum(verify::SumAlgorithm::kSha256);
    if (digest == nullptr) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(files[i].relative), "\": ",
                         outcome.files[i].error.empty()
                             ? "it changed while it was read"
                             : outcome.files[i].error))
          .Id("E-READ");
    }
    sums.push_back({.name = files[i].relative,
                    .algorithm = verify::SumAlgorithm::kSha256,
                    .digest = *digest,
                    .list = {}});
  }
  return sums;
}

Result<SignOutcome> SignFolderByEc(const SignOptions& options,
                                   const verify::EcPrivateKey& key,
                                   Context& context) {
  SignOutcome outcome;
  outcome.signature_path = options.output.empty()
                               ? StrCat(options.path, "/", verify::kOmsFileName)
                               : options.output;
  verify::OmsStatement statement;
  ASSIGN_OR_RETURN(statement.resources,
                   HashFolder(options, outcome.signature_path,
                              {verify::kOmsFileName}, context));
  outcome.num_files = statement.resources.size();
  statement.model_name =
      fs::path(CanonicalPath(options.path)).filename().string();
  if (statement.model_name.empty()) statement.model_name = "model";
  statement.ignore_paths = {".git", ".gitattributes", ".github", ".gitignore"};
  const std::string inside =
      fs::path(CanonicalPath(outcome.signature_path))
          .lexically_relative(CanonicalPath(options.path))
          .string();
  if (!inside.empty() && !inside.starts_with("..")) {
    statement.ignore_paths.push_back(inside);
  }
  ASSIGN_OR_RETURN(const std::string text, verify::SignOms(statement, key));
  RETURN_IF_ERROR(
      verify::WriteFileAtomically(outcome.signature_path, AsBytes(text)));
  return outcome;
}

// The sums of the folder in the form of coreutils, unless they are there.
Result<std::string> WriteSums(const SignOptions& options, SignOutcome& outcome,
                              Context& context) {
  ASSIGN_OR_RETURN(const std::vector<verify::PublishedSum> sums,
                   HashFolder(options, outcome.signature_path,
                              {kSumsName, verify::kOmsFileName}, context));
  outcome.num_files = sums.size();
  std::string text;
  for (const verify::PublishedSum& sum : sums) {
    text += StrCat(verify::HexEncode(sum.digest), "  ", sum.name, "\n");
  }
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(outcome.list_path, ignored))) {
    ASSIGN_OR_RETURN(
        const std::string there,
        verify::ReadSmallTextFile(outcome.list_path, verify::kMaxSumsBytes));
    if (there != text) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(outcome.list_path),
                         "\" is there and says something else"))
          .Id("E-EXISTS")
          .Hint("move it away to have a new one made, or sign that file alone");
    }
    return text;
  }
  RETURN_IF_ERROR(
      verify::WriteFileAtomically(outcome.list_path, AsBytes(text)));
  return text;
}

}  // namespace

verify::AcceptedKey PublicHalf(const SigningKey& key, std::string_view name) {
  if (const auto* ec = std::get_if<verify::EcPrivateKey>(&key)) {
    return {std::string(name), {}, ec->public_key()};
  }
  return {std::string(name),
          {},
          std::get<verify::MinisignSecretKey>(key).public_key()};
}

Result<SigningKey> LoadSigningKey(const std::string& key,
                                  const std::string& passphrase_file,
                                  Context& context) {
  ASSIGN_OR_RETURN(const std::string path, FindSecretKey(key));
  ASSIGN_OR_RETURN(const Secret file, ReadSecretFile(path));
  const bool minisign = verify::IsMinisignSecret(file.text());
  const bool encrypted = minisign ? verify::IsEncryptedMinisign(file.text())
                                  : verify::IsEncryptedPem(file.text());
  Secret passphrase;
  if (encrypted) {
    ASSIGN_OR_RETURN(passphrase,
                     AskPassphrase(passphrase_file, fs::path(path).stem(),
                                   PassphraseUse::kUnlock, context));
  }
  const auto named = [&](verify::Error error) {
    return verify::WithContext(std::move(error),
                               StrCat("\"", EscapeForTerminal(path), "\""));
  };
  if (minisign) {
    auto loaded = verify::MinisignSecretKey::Parse(file.text(), passphrase);
    if (!loaded) return named(loaded.error());
    return SigningKey(std::move(*loaded));
  }
  auto loaded = verify::EcPrivateKey::FromPem(file.text(), passphrase);
  if (!loaded) return named(loaded.error());
  return SigningKey(std::move(*loaded));
}

Result<std::string> MinisigText(const verify::MinisignSecretKey& key,
                                const verify::Blake2b512Digest& digest,
                                std::string_view file_name,
                                std::string_view comment) {
  const std::string trusted =
      comment.empty()
          ? StrCat("timestamp:", static_cast<int64_t>(std::time(nullptr)),
                   "\tfile:", file_name, "\thashed")
          : std::string(comment);
  ASSIGN_OR_RETURN(const verify::Minisig minisig, key.Sign(digest, trusted));
  return minisig.FileText();
}

Result<SignOutcome> SignPath(const SignOptions& options, const SigningKey& key,
                             Context& context) {
  std::error_code error;
  if (!fs::exists(options.path, error)) {
    return Fail(
        ErrorCode::kNotFound,
        StrCat("\"", EscapeForTerminal(options.path), "\" is not there"));
  }
  const bool is_folder = fs::is_directory(options.path, error);
  if (const auto* ec = std::get_if<verify::EcPrivateKey>(&key)) {
    if (is_folder) return SignFolderByEc(options, *ec, context);
    return Fail(ErrorCode::kInvalidArgument,
                "a key on an elliptic curve signs a folder, not one file")
        .Id("E-SIGN-FILES")
        .Hint("a minisign key signs files");
  }
  const auto& minisign = std::get<verify::MinisignSecretKey>(key);
  SignOutcome outcome;
  std::string signed_file = options.path;
  if (is_folder) {
    signed_file = outcome.list_path = StrCat(options.path, "/", kSumsName);
  }
  outcome.signature_path = options.output.empty()
                               ? StrCat(signed_file, kMinisigSuffix)
                               : options.output;
  verify::Blake2b512Digest digest{};
  if (is_folder) {
    ASSIGN_OR_RETURN(const std::string text,
                     WriteSums(options, outcome, context));
    digest = verify::Blake2b512(AsBytes(text));
  } else {
    ASSIGN_OR_RETURN(const verify::ReadOnlyFile file,
                     verify::ReadOnlyFile::Open(options.path));
    StageProgress progress(context.output, "sign");
    ASSIGN_OR_RETURN(digest,
                     verify::Blake2bOfFile(file, context.cancel, &progress));
    outcome.num_files = 1;
  }
  ASSIGN_OR_RETURN(
      const std::string text,
      MinisigText(minisign, digest, fs::path(signed_file).filename().string(),
                  options.comment));
  RETURN_IF_ERROR(
      verify::WriteFileAtomically(outcome.signature_path, AsBytes(text)));
  return outcome;
}

}  // namespace cli
