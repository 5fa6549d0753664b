// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/trust_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".pub";
constexpr size_t kMaxKeys = 10'000;
constexpr size_t kMaxNameBytes = 64;

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// Why what the user relies on could have been written by another; nothing if
// it could not.
std::optional<std::string> WhyNotOurs(const struct stat& info) {
  // What root owns, root could change anyhow.
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return StrCat("it belongs to user ", info.st_uid);
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return std::string("others may write to it");
  }
  return std::nullopt;
}

Error NotTrusted(const std::string& path, std::string_view why) {
  return Fail(ErrorCode::kUntrusted,
              StrCat("\"", EscapeForTerminal(path), "\" is not used: ", why))
      .Id("E-KEY-FILE")
      .Hint("chmod go-w takes away what others may do; check the key first")
      .error();
}

Result<AcceptedKey> ReadKey(const std::string& path, std::string name) {
  // A link could lead to what somebody else may write to.
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd.valid()) return FailErrno("open", path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kIo, "it is no regular file");
  }
  if (const auto why = WhyNotOurs(info)) {
    return Fail(ErrorCode::kUntrusted, *why);
  }
  if (info.st_size > static_cast<off_t>(kMaxKeyFileBytes)) {
    return Fail(ErrorCode::kLimit, "it is too large for a key");
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got =
        ::read(fd.get(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FailErrno("read", path, got < 0 ? errno : EIO);
    done += static_cast<size_t>(got);
  }
  ASSIGN_OR_RETURN(AcceptedKey key, ParseAcceptedKey(text, name));
  key.path = path;
  return key;
}

}  // namespace

std::string AcceptedKey::Fingerprint() const {
  return std::visit(
      Overloaded{
          [](const EcPublicKey& ec) { return ec.fingerprint(); },
          [](const MinisignPublicKey& m) { return MinisignKeyIdText(m.id); },
          [](const RootCertificate& root) { return root.fingerprint(); }},
      key);
}

std::string_view AcceptedKey::Type() const {
  if (const auto* ec = std::get_if<EcPublicKey>(&key)) {
    switch (ec->curve()) {
      case EcCurve::kP256:
        return "p256";
      case EcCurve::kP384:
        return "p384";
      case EcCurve::kP521:
        return "p521";
    }
  }
  return std::holds_alternative<RootCertificate>(key) ? "root" : "minisign";
}

std::string AcceptedKey::FileText() const {
  return std::visit(
      Overloaded{[](const EcPublicKey& ec) { return ec.pem(); },
                 [](const MinisignPublicKey& m) { return m.FileText(); },
                 [](const RootCertificate& root) { return root.pem(); }},
      key);
}

std::string AcceptedKey::Portable() const {
  const auto* minisign = std::get_if<MinisignPublicKey>(&key);
  return minisign != nullptr ? minisign->ShortForm() : FileText();
}

bool AcceptedKey::SameKey(const AcceptedKey& other) const {
  return Type() == other.Type() && Portable() == other.Portable();
}

Result<AcceptedKey> ParseAcceptedKey(std::string_view text,
                                     std::string_view name) {
  if (text.size() > kMaxKeyFileBytes) {
    return Fail(ErrorCode::kCorrupt, "key: the file is too large").Id("E-KEY");
  }
  if (IsPrivatePem(text) || IsMinisignSecret(text)) {
    return Fail(ErrorCode::kInvalidArgument,
                "this is a secret key; a public one is wanted")
        .Id("E-SECRET-KEY")
        .Hint("its public key is in the file beside it (.pub)");
  }
  if (text.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos) {
    ASSIGN_OR_RETURN(RootCertificate root, RootCertificate::FromPem(text));
    return AcceptedKey{std::string(name), {}, std::move(root)};
  }
  if (text.find("-----BEGIN ") != std::string_view::npos) {
    ASSIGN_OR_RETURN(EcPublicKey key, EcPublicKey::FromPem(text));
    return AcceptedKey{std::string(name), {}, std::move(key)};
  }
  ASSIGN_OR_RETURN(MinisignPublicKey key, MinisignPublicKey::Parse(text));
  return AcceptedKey{std::string(name), {}, key};
}

bool IsKeyName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.' ||
      name[0] == '-') {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

Result<TrustStore> TrustStore::Open(const std::string& folder) {
  TrustStore store;
  store.folder_ = folder;
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return store;
    return FailErrno("look at", folder, errno);
  }
  if (const auto why = WhyNotOurs(info)) {
    store.refused_.push_back(NotTrusted(folder, *why));
    return store;
  }
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.ends_with(kSuffix)) continue;
    name.resize(name.size() - kSuffix.size());
    if (names.size() >= kMaxKeys) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(folder), "\": more than ",
                         kMaxKeys, " keys"));
    }
    names.push_back(std::move(name));
  }
  if (error) return FailErrno("list", folder, error.value());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = StrCat(folder, "/", name, kSuffix);
    auto key = ReadKey(path, name);
    if (key) {
      store.keys_.push_back(std::move(*key));
    } else {
      store.refused_.push_back(NotTrusted(path, key.error().message));
    }
  }
  return store;
}

const AcceptedKey* TrustStore::Find(
    std::string_view name_or_fingerprint) const {
  for (const AcceptedKey& key : keys_) {
    if (key.name == name_or_fingerprint) return &key;
  }
  const std::string lower = AsciiLower(name_or_fingerprint);
  for (const AcceptedKey& key : keys_) {
    if (AsciiLower(key.Fingerprint()) == lower) return &key;
  }
  return nullptr;
}

Result<void> MakeKeysFolder(const std::string& folder) {
  std::error_code error;
  const fs::path parent = fs::path(folder).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  if (error) return FailErrno("create", parent.string(), error.value());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return FailErrno("create", folder, errno);
  }
  return {};
}

Result<void> TrustStore::Add(AcceptedKey key) {
  const auto wrong_name = [&](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", EscapeForTerminal(key.name, 80), "\" ", what))
        .Id("E-KEY-NAME")
        .Hint("--name gives another");
  };
  if (!IsKeyName(key.name)) {
    return wrong_name("cannot name a key: letters, digits, '.', '_', '-'");
  }
  for (const AcceptedKey& other : keys_) {
    if (other.name != key.name) continue;
    if (other.SameKey(key)) return {};
    return wrong_name("names another key already");
  }
  RETURN_IF_ERROR(MakeKeysFolder(folder_));
  key.path = StrCat(folder_, "/", key.name, kSuffix);
  if (::access(key.path.c_str(), F_OK) == 0) {
    return wrong_name("names a file there that is not used as a key");
  }
  RETURN_IF_ERROR(WriteFileAtomically(key.path, AsBytes(key.FileText()), 0600));
  keys_.push_back(std::move(key));
  std::sort(keys_.begin(), keys_.end(),
            [](const AcceptedKey& a, const AcceptedKey& b) {
              return a.name < b.name;
            });
  return {};
}

Result<void> TrustStore::Remove(const std::string& name) {
  const auto it =
      std::find_if(keys_.begin(), keys_.end(),
                   [&](const AcceptedKey& key) { return key.name == name; });
  if (it == keys_.end()) {
    return Fail(ErrorCode::kNotFound,
                StrCat("no key is called \"", EscapeForTerminal(name), "\""))
        .Id("E-NO-KEY");
  }
  if (::unlink(it->path.c_str()) != 0) {
    return FailErrno("delete", it->path, errno);
  }
  keys_.erase(it);
  return {};
}

}  // namespace verify
