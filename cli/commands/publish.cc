// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <span>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/describe.h"
#include "cli/flows/fingerprint_flow.h"
#include "cli/flows/manifest_file.h"
#include "cli/flows/publish_flow.h"
#include "cli/flows/publish_manifest.h"
#include "cli/flows/register_model.h"
#include "cli/flows/sign_manifest.h"
#include "cli/qr_code.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "cli/state/seen_manifests.h"
#include "cli/state/torrent_store.h"
#include "inference/eval/fingerprint_json.h"
#include "p2p/create_torrent.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/manifest/manifest.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::Fail;
using verify::Result;

// v1 for one file, since a merkle tree over a giant file costs clients
// hundreds of megabytes of memory; hybrid for shards, since equal shards are
// then found across torrents.
p2p::TorrentFormat DefaultFormat(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return p2p::TorrentFormat::kV1;
  int shards = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
    if (entry.path().extension() == ".safetensors") ++shards;
  }
  return shards >= 2 ? p2p::TorrentFormat::kHybrid : p2p::TorrentFormat::kV1;
}

class PublishCommand final : public Command {
 public:
  std::string_view name() const override { return "publish"; }
  std::string_view summary() const override {
    return "make a reproducible .torrent, its magnet link and a manifest";
  }
  std::string_view example() const override {
    return "lodestone publish models/my-model --tracker "
           "udp://tracker.example.org:6969/announce";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("path", options_.path, "folder or file to publish")
        ->required();
    app.add_option("-o,--output", output_, "the file to write (PATH.torrent)");
    app.add_option("--format", format_,
                   "v1, v2 or hybrid (v1; hybrid for safetensors shards)")
        ->check(CLI::IsMember({"v1", "v2", "hybrid"}));
    app.add_option("--piece-size", piece_size_,
                   "bytes in a piece, a power of two such as 4MiB");
    app.add_option("--tracker", options_.trackers,
                   "announce URL; may be given more than once");
    app.add_option("--web-seed", options_.web_seeds,
                   "URL that serves the same files; may be given more than "
                   "once");
    app.add_option("--comment", options_.comment, "free text in the torrent");
    app.add_flag("--private", options_.is_private,
                 "peers from the trackers only: no DHT, no peer exchange");
    app.add_flag("--no-date", no_date_,
                 "write no date, neither into the manifest nor, if "
                 "SOURCE_DATE_EPOCH is set, into the torrent");
    app.add_flag("--overwrite", overwrite_, "replace the file if it is there");
    app.add_flag("--qr", qr_, "also print the magnet link as a QR code");
    app.add_option("--catalog-entry", entry_file_,
                   "also write a catalogue entry to this file");
    app.add_option("--license", entry_.license,
                   "licence that manifest and entry name, as Apache-2.0");
    app.add_option("--publisher", entry_.publisher,
                   "publisher that manifest and entry name (unknown)");
    app.add_option("--architecture", entry_.architecture,
                   "architecture that the entry names (unknown)");
    app.add_option("--manifest", manifest_.output,
                   "the manifest to write (beside the torrent, as "
                   "PATH.manifest.json)");
    app.add_flag("--no-manifest", no_manifest_, "write no manifest")
        ->excludes("--manifest");
    app.add_option("--manifest-version", manifest_.version,
                   "number of this release (one more than the last that is "
                   "known)")
        ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 53));
    app.add_option(
        "--expires", expires_,
        "date, such as 2027-01-31, from which the manifest is stale");
    app.add_option("--sign", sign_,
                   "sign the manifest with this secret key: a file (minisign, "
                   "or ECDSA in PEM) or a name that lodestone keys knows")
        ->excludes("--no-manifest");
    app.add_option("--passphrase-file", passphrase_file_,
                   "file whose first line is the key's passphrase (asked for)")
        ->needs("--sign");
    app.add_option("--recipe", manifest_.recipe_file,
                   "JSON file that says what the files were converted from");
    auto* fingerprint = app.add_option(
        "--fingerprint", fingerprint_file_,
        "also write what the running model gives to this file, for verify "
        "--deep (the manifest holds it)");
    app.add_flag("--no-fingerprint", no_fingerprint_,
                 "do not run the model for the manifest")
        ->excludes(fingerprint);
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
  }

  Result<CommandResult> Run(Context& context) override {
    Output& output = context.output;
    options_.path = WithoutTrailingSlashes(options_.path);
    std::error_code error;
    if (!fs::exists(options_.path, error)) {
      return Fail(ErrorCode::kNotFound,
                  verify::StrCat("\"", verify::EscapeForTerminal(options_.path),
                                 "\" is not there"));
    }
    NameOutputs();
    RETURN_IF_ERROR(SetFormat());
    RETURN_IF_ERROR(SetDates());
    if (!entry_file_.empty() && entry_.license.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--catalog-entry needs --license: nobody may pass on what "
                  "has none")
          .Id("E-USAGE");
    }
    if (options_.format == p2p::TorrentFormat::kV2) {
      output.Warning("V2_ONLY",
                     "many clients see nothing of a torrent that is v2 only",
                     "--format hybrid reaches them all");
    }
    for (const std::string& url : options_.web_seeds) {
      if (const auto remark = WebSeedRemark(url)) {
        output.Warning("WEB_SEED", "web seed \"" +
                                       verify::EscapeForTerminal(url, 200) +
                                       "\": " + *remark);
      }
    }
    if (options_.is_private) {
      output.Warning("PRIVATE",
                     "a private torrent has no DHT and no peer exchange: when "
                     "its trackers are gone, so is the swarm");
    }
    // A wrong passphrase is said before hours of hashing.
    if (!sign_.empty()) {
      ASSIGN_OR_RETURN(SigningKey key,
                       LoadSigningKey(sign_, passphrase_file_, context));
      const verify::AcceptedKey accepted = PublicHalf(key, "");
      manifest_.signer_key = verify::AsciiLower(accepted.Fingerprint());
      manifest_.signer_id = SeenKeyId(accepted);
      key_.emplace(std::move(key));
    }
    options_.want_sha256 = !no_manifest_ || !entry_file_.empty();
    output.StageBegin("pieces");
    StageProgress progress(output, "pieces");
    auto created = p2p::CreateTorrent(options_, context.cancel, &progress);
    if (!created) {
      output.StageEnd("pieces", false, "");
      return verify::Unexpected(std::move(created).error());
    }
    const p2p::Metainfo& metainfo = created->metainfo;
    output.StageEnd("pieces", true,
                    fmt::format("{} in {} files, pieces of {}",
                                verify::FormatSize(metainfo.total_bytes()),
                                metainfo.files.size(),
                                verify::FormatSize(metainfo.piece_length)));
    for (const std::string& line : created->left_out) {
      output.Warning("LEFT_OUT", line);
    }
    RETURN_IF_ERROR(CheckOutput(created->torrent));
    RETURN_IF_ERROR(RunFingerprint(context));
    NewManifest manifest;
    if (!no_manifest_) {
      ASSIGN_OR_RETURN(manifest, MakeManifest(manifest_, *created));
    }
    if (!entry_file_.empty()) {
      RETURN_IF_ERROR(WriteEntry(*created, output));
    }
    RETURN_IF_ERROR(verify::WriteFileAtomically(output_, created->torrent));
    if (auto saved = TorrentStore::Default().Save(created->torrent, metainfo,
                                                  options_.path);
        !saved) {
      output.Warning("TORRENT_NOT_SAVED", saved.error().message,
                     "seed will need --torrent");
    }
    if (!no_manifest_) {
      RETURN_IF_ERROR(WriteManifest(manifest, metainfo, output));
    }
    if (key_.has_value()) {
      RETURN_IF_ERROR(WriteSignature(manifest, metainfo, output));
    }
    // CreateTorrent compared each file with itself after it had read it.
    RegisterModel(metainfo, options_.path,
                  PayloadIdentities(metainfo, options_.path), "",
                  ModelOrigin::kPublished, output);
    CommandResult result;
    result.path = output_;
    result.summary["magnet"] = created->magnet;
    result.summary["info_hash_v1"] = HashField(metainfo.info_hashes.v1);
    result.summary["info_hash_v2"] = HashField(metainfo.info_hashes.v2);
    result.summary["piece_length"] = metainfo.piece_length;
    result.summary["total_bytes"] = metainfo.total_bytes();
    if (!no_manifest_) {
      result.summary["manifest"] = manifest_.output;
      result.summary["manifest_version"] = manifest.manifest.version;
      result.summary["manifest_sha256"] = verify::HexEncode(
          verify::Sha256(std::as_bytes(std::span(manifest.text))));
    }
    if (key_.has_value()) {
      result.summary["signature"] = signature_;
      result.summary["signer_key"] = manifest_.signer_key;
    }
    result.summary["fingerprint"] = !manifest_.fingerprint.is_null();
    result.next.push_back("lodestone seed " + ShellQuote(options_.path));
    if (qr_) PrintQr(*created, output);
    output.Print(created->magnet);
    return result;
  }

 private:
  // A code wider than most terminals cannot be scanned from one.
  static constexpr int kMaxQrModules = 93;

  void PrintQr(const p2p::CreatedTorrent& created, Output& output) const {
    auto code = QrCode(created.magnet, kMaxQrModules);
    if (!code.has_value()) {
      p2p::Magnet bare;
      bare.info_hashes = created.metainfo.info_hashes;
      output.Warning("QR_SHORTENED",
                     "the magnet link is too long for a code that can be "
                     "scanned from a terminal: the code holds its hash only");
      code = QrCode(p2p::FormatMagnet(bare), kMaxQrModules);
    }
    if (code.has_value()) output.Print(*code);
  }

  // Into the manifest and, if asked, a file of its own.
  Result<void> RunFingerprint(Context& context) {
    const bool asked = !fingerprint_file_.empty();
    if (no_fingerprint_ || (no_manifest_ && !asked)) return {};
    ASSIGN_OR_RETURN(const auto fingerprint,
                     RecordFingerprint(options_.path,
                                       asked ? FingerprintWish::kAsked
                                             : FingerprintWish::kIfPossible,
                                       options_.num_threads, context));
    if (!fingerprint.has_value()) return {};
    manifest_.fingerprint = inference::FingerprintToJson(*fingerprint);
    if (!asked) return {};
    return WriteFingerprintFile(*fingerprint, fingerprint_file_, overwrite_);
  }

  void NameOutputs() {
    if (output_.empty()) {
      output_ = WithoutTrailingSlashes(
                    fs::absolute(options_.path).lexically_normal().string()) +
                ".torrent";
    }
    if (manifest_.output.empty()) {
      constexpr std::string_view kTorrent = ".torrent";
      std::string stem = output_;
      if (stem.ends_with(kTorrent)) stem.resize(stem.size() - kTorrent.size());
      manifest_.output = stem + std::string(verify::kManifestSuffix);
    }
    if (entry_.publisher.empty()) entry_.publisher = "unknown";
    manifest_.path = options_.path;
    manifest_.publisher = entry_.publisher;
    manifest_.license = entry_.license;
    manifest_.overwrite = overwrite_;
  }

  // Beside the torrent, and where `verify` finds it if the payload is moved.
  Result<void> WriteManifest(const NewManifest& manifest,
                             const p2p::Metainfo& metainfo, Output& output) {
    if (!manifest.is_there) {
      // What was signed before is replaced.
      RETURN_IF_ERROR(RemoveManifestSignatures(manifest_.output));
      RETURN_IF_ERROR(WriteText(manifest_.output, manifest.text));
    }
    const std::string kept = TorrentStore::Default().ManifestPath(metainfo);
    auto saved = RemoveManifestSignatures(kept);
    if (saved) saved = WriteText(kept, manifest.text);
    if (!saved) {
      output.Warning("MANIFEST_NOT_SAVED", saved.error().message,
                     "verify will find it beside the payload only");
    }
    output.Say(fmt::format("      manifest: version {}{}, {}",
                           manifest.manifest.version,
                           manifest.is_there ? " as before" : "",
                           verify::EscapeForTerminal(manifest_.output)));
    return {};
  }

  // Both copies of the manifest get the signature; then no older version by
  // this key is taken here any more.
  Result<void> WriteSignature(const NewManifest& manifest,
                              const p2p::Metainfo& metainfo, Output& output) {
    const std::string name = fs::path(manifest_.output).filename().string();
    ASSIGN_OR_RETURN(
        const ManifestSignature signature,
        SignManifest(*key_, manifest.manifest, name, manifest.text));
    signature_ = manifest_.output + signature.suffix;
    RETURN_IF_ERROR(WriteText(signature_, signature.text));
    const std::string kept = TorrentStore::Default().ManifestPath(metainfo);
    auto saved = WriteText(kept + signature.suffix, signature.text);
    if (saved) {
      saved = SeenManifests::Default().Record(
          {.key = manifest_.signer_id,
           .model = manifest.manifest.model,
           .version = manifest.manifest.version,
           .sha256 = verify::HexEncode(
               verify::Sha256(std::as_bytes(std::span(manifest.text))))});
    }
    if (!saved) {
      output.Warning("SIGNATURE_NOT_SAVED", saved.error().message,
                     saved.error().hint);
    }
    output.Say("      signed by " + manifest_.signer_key + ": " +
               verify::EscapeForTerminal(signature_));
    return {};
  }

  static Result<void> WriteText(const std::string& path,
                                std::string_view text) {
    return verify::WriteFileAtomically(path, std::as_bytes(std::span(text)));
  }

  Result<void> WriteEntry(const p2p::CreatedTorrent& created, Output& output) {
    if (entry_.architecture.empty()) entry_.architecture = "unknown";
    const std::time_t when = options_.creation_date.has_value()
                                 ? std::time_t{*options_.creation_date}
                                 : std::time(nullptr);
    entry_.released = UtcDate(when);
    ASSIGN_OR_RETURN(const p2p::CatalogEntry entry,
                     MakeEntry(entry_, created, output));
    const std::string text = p2p::FormatCatalogEntry(entry);
    std::error_code error;
    if (!overwrite_ && fs::exists(entry_file_, error)) {
      const auto old =
          verify::ReadSmallTextFile(entry_file_, p2p::kMaxCatalogFileBytes);
      if (!old || *old != text) return FailExists(entry_file_);
    }
    return verify::WriteFileAtomically(entry_file_,
                                       std::as_bytes(std::span(text)));
  }

  static verify::Unexpected FailExists(const std::string& path) {
    return Fail(ErrorCode::kIo,
                verify::StrCat("\"", verify::EscapeForTerminal(path),
                               "\" is there already and differs"))
        .Id("E-EXISTS")
        .Hint("give --overwrite or another --output");
  }

  Result<void> SetFormat() {
    if (format_.empty()) {
      options_.format = DefaultFormat(options_.path);
    } else {
      options_.format = format_ == "v1"   ? p2p::TorrentFormat::kV1
                        : format_ == "v2" ? p2p::TorrentFormat::kV2
                                          : p2p::TorrentFormat::kHybrid;
    }
    if (!piece_size_.empty()) {
      ASSIGN_OR_RETURN(options_.piece_length,
                       ParseSize(piece_size_, "--piece-size"));
      if (options_.piece_length == 0) {
        return Fail(ErrorCode::kInvalidArgument,
                    "--piece-size: 0 is no power of two")
            .Id("E-USAGE");
      }
    }
    return {};
  }

  // The torrent gets a date only where SOURCE_DATE_EPOCH asks for one; the
  // manifest, which is a statement, says when it was made unless told not to.
  Result<void> SetDates() {
    if (!expires_.empty()) {
      ASSIGN_OR_RETURN(manifest_.expires_s, ParseMoment(expires_, "--expires"));
    }
    if (no_date_) return {};
    manifest_.issued_s = int64_t{std::time(nullptr)};
    const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
    if (epoch == nullptr) return {};
    const std::string_view text = epoch;
    int64_t seconds = 0;
    const auto [rest, error] =
        std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc{} || rest != text.data() + text.size() ||
        seconds < 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  "SOURCE_DATE_EPOCH is not a number of seconds")
          .Id("E-USAGE");
    }
    options_.creation_date = seconds;
    manifest_.issued_s = seconds;
    return {};
  }

  // The same bytes may be written again; others are not replaced unasked.
  Result<void> CheckOutput(verify::ByteSpan torrent) const {
    std::error_code error;
    if (overwrite_ || !fs::exists(output_, error)) return {};
    const auto old = verify::ReadSmallFile(output_, p2p::kMaxMetainfoBytes);
    if (old &&
        std::equal(old->begin(), old->end(), torrent.begin(), torrent.end())) {
      return {};
    }
    return FailExists(output_);
  }

  p2p::CreateOptions options_;
  EntryOptions entry_;
  ManifestOptions manifest_;
  bool no_manifest_ = false;
  std::string sign_;
  std::string passphrase_file_;
  std::optional<SigningKey> key_;
  std::string signature_;
  std::string fingerprint_file_;
  bool no_fingerprint_ = false;
  std::string expires_;
  std::string entry_file_;
  bool qr_ = false;
  std::string output_;
  std::string format_;
  std::string piece_size_;
  bool no_date_ = false;
  bool overwrite_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePublishCommand() {
  return std::make_unique<PublishCommand>();
}

}  // namespace cli
