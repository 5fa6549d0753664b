// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "cli/state/torrent_store.h"
#include "p2p/create_torrent.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

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
    return "make a reproducible .torrent and its magnet link";
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
                 "write no date even if SOURCE_DATE_EPOCH is set");
    app.add_flag("--overwrite", overwrite_, "replace the file if it is there");
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
    if (output_.empty()) {
      output_ = WithoutTrailingSlashes(
                    fs::absolute(options_.path).lexically_normal().string()) +
                ".torrent";
    }
    RETURN_IF_ERROR(SetFormat());
    if (options_.is_private) {
      output.Warning("PRIVATE",
                     "a private torrent has no DHT and no peer exchange: when "
                     "its trackers are gone, so is the swarm");
    }
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
    RETURN_IF_ERROR(CheckOutput(created->torrent));
    RETURN_IF_ERROR(verify::WriteFileAtomically(output_, created->torrent));
    if (auto saved = TorrentStore::Default().Save(created->torrent, metainfo,
                                                  options_.path);
        !saved) {
      output.Warning("TORRENT_NOT_SAVED", saved.error().message,
                     "seed will need --torrent");
    }
    CommandResult result;
    result.path = output_;
    result.summary["magnet"] = created->magnet;
    result.summary["info_hash_v1"] =
        metainfo.info_hashes.v1.has_value()
            ? Fields(verify::HexEncode(*metainfo.info_hashes.v1))
            : Fields(nullptr);
    result.summary["info_hash_v2"] =
        metainfo.info_hashes.v2.has_value()
            ? Fields(verify::HexEncode(*metainfo.info_hashes.v2))
            : Fields(nullptr);
    result.summary["piece_length"] = metainfo.piece_length;
    result.summary["total_bytes"] = metainfo.total_bytes();
    result.next.push_back("lodestone seed " + ShellQuote(options_.path));
    output.Print(created->magnet);
    return result;
  }

 private:
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
    const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
    if (epoch == nullptr || no_date_) return {};
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
    return Fail(ErrorCode::kIo,
                verify::StrCat("\"", verify::EscapeForTerminal(output_),
                               "\" is there already and differs"))
        .Id("E-EXISTS")
        .Hint("give --overwrite or another --output");
  }

  p2p::CreateOptions options_;
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
