// SPDX-License-Identifier: Apache-2.0
// keys: those of publishers that one trusts, and one's own.
#include <fcntl.h>
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/commands/commands.h"
#include "cli/flows/accepted_keys.h"
#include "cli/flows/passphrase.h"
#include "cli/flows/sign_flow.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::AcceptedKey;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::Secret;
using verify::StrCat;

Result<SigningKey> GenerateKey(const std::string& type) {
  if (type == "minisign") {
    ASSIGN_OR_RETURN(auto key, verify::MinisignSecretKey::Generate());
    return SigningKey(std::move(key));
  }
  const verify::EcCurve curve = type == "p384"   ? verify::EcCurve::kP384
                                : type == "p521" ? verify::EcCurve::kP521
                                                 : verify::EcCurve::kP256;
  ASSIGN_OR_RETURN(auto key, verify::EcPrivateKey::Generate(curve));
  return SigningKey(std::move(key));
}

Result<Secret> SecretText(const SigningKey& key, const Secret& passphrase) {
  if (const auto* ec = std::get_if<verify::EcPrivateKey>(&key)) {
    return ec->ToPem(passphrase);
  }
  return std::get<verify::MinisignSecretKey>(key).FileText(passphrase);
}

// A file that was not there; nobody else may read it from its first moment.
Result<void> WriteNewFile(const std::string& path, std::string_view text,
                          mode_t mode) {
  const verify::UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
             mode));
  if (!fd.valid()) {
    if (errno == EEXIST) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(path), "\" is there already"))
          .Id("E-EXISTS")
          .Hint("a key is never overwritten; choose another name");
    }
    return verify::FailErrno("create", path, errno);
  }
  RETURN_IF_ERROR(verify::WriteAll(fd.get(), verify::AsBytes(text), path));
  return verify::SyncFile(fd.get(), path);
}

Fields Describe(const AcceptedKey& key) {
  Fields fields;
  fields["name"] = key.name;
  fields["type"] = key.Type();
  fields["fingerprint"] = key.Fingerprint();
  fields["public_key"] = key.Portable();
  fields["path"] = key.path;
  return fields;
}

// The secret key beside a public one.
std::string SecretPathOf(const std::string& public_path) {
  return fs::path(public_path).replace_extension(".key").string();
}

class KeysCommand final : public Command {
 public:
  std::string_view name() const override { return "keys"; }
  std::string_view summary() const override {
    return "make keys, say whose signatures to trust, sign";
  }
  std::string_view example() const override {
    return "lodestone keys trust publisher.pub";
  }
  bool is_document() const override { return true; }

  void AddFlags(CLI::App& app) override {
    app.require_subcommand(1);
    generate_ = app.add_subcommand(
        "generate", "make a key pair: NAME.key, secret, and NAME.pub");
    generate_->add_option("name", subject_, "its name")->required();
    generate_
        ->add_option("--type", type_,
                     "minisign, for lists and files; ec (p256), p384 or p521, "
                     "for the model.sig of a folder (minisign)")
        ->check(CLI::IsMember({"minisign", "ec", "p256", "p384", "p521"}));
    generate_->add_option("-o,--output", output_,
                          "file for the secret key (kept with the trusted "
                          "keys)");
    list_ = app.add_subcommand("list", "the keys that are trusted");
    list_->alias("ls");
    list_->add_flag("--plain", plain_,
                    "tab-separated: name, type, fingerprint, path");
    trust_ = app.add_subcommand("trust", "trust what a key signs");
    trust_
        ->add_option("key", subject_,
                     "file of a public key (PEM, minisign) or of a root "
                     "certificate (PEM), or minisign's RWQ...")
        ->required();
    trust_->add_option("--name", name_, "name to know it by (the file's)");
    untrust_ = app.add_subcommand("untrust", "trust a key no more");
    untrust_->add_option("key", subject_, "its name or fingerprint")
        ->required();
    export_ = app.add_subcommand("export", "print a public key, to pass it on");
    export_->add_option("key", subject_, "its name or fingerprint")->required();
    sign_ = app.add_subcommand(
        "sign",
        "sign a folder (model.sig by a key on a curve, SHA256SUMS.minisig by "
        "minisign) or a file (FILE.minisig)");
    sign_->add_option("path", subject_, "folder or file")->required();
    sign_->add_option("--key", name_,
                      "secret key: a file, or a name kept here (the only one)");
    sign_->add_option("-o,--output", output_, "file for the signature");
    sign_->add_option("--comment", comment_,
                      "minisign's trusted comment, which is signed too (time "
                      "and name)");
    sign_->add_option("--threads", num_threads_, "processors to use (all)");
    for (CLI::App* action : {generate_, sign_}) {
      action->add_option("--passphrase-file", passphrase_file_,
                         "file whose first line is the secret key's passphrase "
                         "(asked at a terminal)");
    }
    for (CLI::App* action :
         {generate_, list_, trust_, untrust_, export_, sign_}) {
      action->fallthrough();
    }
  }

  Result<CommandResult> Run(Context& context) override {
    if (sign_->parsed()) return Sign(context);
    ASSIGN_OR_RETURN(verify::TrustStore store,
                     verify::TrustStore::Open(KeysFolder()));
    for (const verify::Error& refused : store.refused()) {
      context.output.Warning("KEY_NOT_USED", refused.message, refused.hint);
    }
    if (generate_->parsed()) return Generate(store, context);
    if (trust_->parsed()) return Trust(store, context);
    if (untrust_->parsed()) return Untrust(store, context);
    if (export_->parsed()) return Export(store, context);
    return List(store, context);
  }

 private:
  Result<CommandResult> Generate(verify::TrustStore& store, Context& context) {
    if (!verify::IsKeyName(subject_)) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("\"", EscapeForTerminal(subject_, 80),
                         "\" cannot name a key: letters, digits, '.', '_', "
                         "'-'"))
          .Id("E-KEY-NAME");
    }
    const bool kept = output_.empty();
    if (kept) RETURN_IF_ERROR(verify::MakeKeysFolder(KeysFolder()));
    const std::string secret_path =
        kept ? StrCat(KeysFolder(), "/", subject_, ".key") : output_;
    // "k.key" and "k.pub"; another name with ".pub" behind it.
    const std::string public_path =
        fs::path(secret_path).extension() == ".key"
            ? fs::path(secret_path).replace_extension(".pub").string()
            : secret_path + ".pub";
    // Before a passphrase is asked for.
    std::error_code ignored;
    for (const std::string& path : {secret_path, public_path}) {
      if (!fs::exists(fs::symlink_status(path, ignored))) continue;
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(path), "\" is there already"))
          .Id("E-EXISTS")
          .Hint("a key is never overwritten; choose another name");
    }
    ASSIGN_OR_RETURN(const Secret passphrase,
                     AskPassphrase(passphrase_file_, subject_,
                                   PassphraseUse::kChoose, context));
    ASSIGN_OR_RETURN(const SigningKey key, GenerateKey(type_));
    ASSIGN_OR_RETURN(const Secret text, SecretText(key, passphrase));
    AcceptedKey half = PublicHalf(key, subject_);
    RETURN_IF_ERROR(WriteNewFile(secret_path, text.text(), 0600));
    if (kept) {
      RETURN_IF_ERROR(store.Add(half));
    } else {
      RETURN_IF_ERROR(WriteNewFile(public_path, half.FileText(), 0644));
    }
    half.path = public_path;
    if (passphrase.empty()) {
      context.output.Warning(
          "KEY_NOT_ENCRYPTED",
          StrCat("\"", EscapeForTerminal(secret_path),
                 "\" has no passphrase: who has the file can sign"),
          "--passphrase-file FILE gives one");
    }
    CommandResult result;
    result.summary["action"] = "generate";
    result.summary["key"] = Describe(half);
    result.summary["secret_path"] = secret_path;
    result.summary["encrypted"] = !passphrase.empty();
    result.summary["trusted"] = kept;
    context.output.Print(half.Fingerprint());
    result.next.push_back("lodestone keys sign MODEL --key " +
                          ShellQuote(kept ? subject_ : secret_path));
    return result;
  }

  Result<CommandResult> List(const verify::TrustStore& store,
                             Context& context) const {
    CommandResult result;
    result.summary["action"] = "list";
    result.summary["keys"] = Fields::array();
    std::error_code ignored;
    for (const AcceptedKey& key : store.keys()) {
      const bool secret = fs::exists(SecretPathOf(key.path), ignored);
      Fields fields = Describe(key);
      fields["secret"] = secret;
      result.summary["keys"].push_back(std::move(fields));
      context.output.Print(
          plain_ ? fmt::format("{}\t{}\t{}\t{}", key.name, key.Type(),
                               key.Fingerprint(), key.path)
                 : fmt::format("{:<24} {:<9} {}{}", key.name, key.Type(),
                               key.Fingerprint(), secret ? "  (yours)" : ""));
    }
    if (store.keys().empty() && !plain_) {
      context.output.Say("no keys yet; lodestone keys trust takes one in");
    }
    return result;
  }

  Result<CommandResult> Trust(verify::TrustStore& store, Context& context) {
    ASSIGN_OR_RETURN(AcceptedKey key, ReadGivenKey(subject_));
    if (!name_.empty()) {
      key.name = name_;
    } else if (key.path.empty()) {
      key.name = key.Fingerprint();
    }
    for (const AcceptedKey& other : store.keys()) {
      // One key under two names would be trusted until both are gone.
      if (!other.SameKey(key) || other.name == key.name) continue;
      return Fail(
                 ErrorCode::kInvalidArgument,
                 StrCat("this key is trusted already, as \"", other.name, "\""))
          .Id("E-KEY-NAME");
    }
    RETURN_IF_ERROR(store.Add(key));
    CommandResult result;
    result.summary["action"] = "trust";
    result.summary["key"] = Describe(*store.Find(key.name));
    context.output.Say(fmt::format("trusted as {}: {} {}", key.name, key.Type(),
                                   key.Fingerprint()));
    return result;
  }

  Result<const AcceptedKey*> Find(const verify::TrustStore& store) const {
    const AcceptedKey* key = store.Find(subject_);
    if (key == nullptr) {
      return Fail(ErrorCode::kNotFound,
                  StrCat("no key \"", EscapeForTerminal(subject_),
                         "\" is trusted"))
          .Id("E-NO-KEY")
          .Hint("lodestone keys list shows them");
    }
    return key;
  }

  Result<CommandResult> Untrust(verify::TrustStore& store, Context& context) {
    ASSIGN_OR_RETURN(const AcceptedKey* found, Find(store));
    const AcceptedKey key = *found;
    RETURN_IF_ERROR(store.Remove(key.name));
    CommandResult result;
    result.summary["action"] = "untrust";
    result.summary["key"] = Describe(key);
    context.output.Say(StrCat("not trusted any more: ", key.name));
    std::error_code ignored;
    if (fs::exists(SecretPathOf(key.path), ignored)) {
      context.output.Warning(
          "SECRET_KEPT",
          StrCat("the secret key \"", EscapeForTerminal(SecretPathOf(key.path)),
                 "\" stays"),
          "delete it yourself if nobody should sign with it");
    }
    return result;
  }

  Result<CommandResult> Export(const verify::TrustStore& store,
                               Context& context) const {
    ASSIGN_OR_RETURN(const AcceptedKey* key, Find(store));
    CommandResult result;
    result.summary["action"] = "export";
    result.summary["key"] = Describe(*key);
    std::string text = key->FileText();
    if (text.ends_with('\n')) text.pop_back();
    context.output.Print(text);
    return result;
  }

  Result<CommandResult> Sign(Context& context) {
    ASSIGN_OR_RETURN(const SigningKey key,
                     LoadSigningKey(name_, passphrase_file_, context));
    SignOptions options;
    options.path = WithoutTrailingSlashes(subject_);
    options.output = output_;
    options.comment = comment_;
    options.num_threads = num_threads_;
    if (!comment_.empty() &&
        std::holds_alternative<verify::EcPrivateKey>(key)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--comment: only minisign signs a comment")
          .Id("E-USAGE");
    }
    ASSIGN_OR_RETURN(const SignOutcome outcome,
                     SignPath(options, key, context));
    CommandResult result;
    result.path = outcome.signature_path;
    result.summary["action"] = "sign";
    result.summary["path"] = outcome.signature_path;
    result.summary["list"] =
        outcome.list_path.empty() ? Fields(nullptr) : Fields(outcome.list_path);
    result.summary["files"] = outcome.num_files;
    result.summary["fingerprint"] = PublicHalf(key, "").Fingerprint();
    result.next.push_back("lodestone verify " + ShellQuote(options.path));
    return result;
  }

  CLI::App* generate_ = nullptr;
  CLI::App* list_ = nullptr;
  CLI::App* trust_ = nullptr;
  CLI::App* untrust_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* sign_ = nullptr;
  std::string subject_;
  std::string type_ = "minisign";
  std::string output_;
  std::string name_;
  std::string comment_;
  std::string passphrase_file_;
  size_t num_threads_ = 0;
  bool plain_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeKeysCommand() {
  return std::make_unique<KeysCommand>();
}

}  // namespace cli
