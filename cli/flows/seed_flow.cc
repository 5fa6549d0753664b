// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/seed_flow.h"

#include <fmt/core.h>

#include <filesystem>
#include <utility>

#include "cli/flows/transfer_sink.h"
#include "cli/flows/verify_flow.h"
#include "cli/shell_quote.h"
#include "p2p/create_torrent.h"
#include "p2p/magnet.h"
#include "p2p/seed.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::Result;

fs::path WithoutTrailingSlash(const std::string& path) {
  fs::path normal = fs::absolute(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  return normal;
}

// A sink that also says how to reach the seeder, once it listens.
class SeedSink final : public p2p::TransferSink {
 public:
  SeedSink(Output& output, std::string destination, std::string magnet)
      : inner_(output, std::move(destination)),
        output_(output),
        magnet_(std::move(magnet)) {}

  void OnPlan(const p2p::TransferPlan& plan) override { inner_.OnPlan(plan); }
  void OnProgress(const p2p::TransferProgress& progress) override {
    inner_.OnProgress(progress);
  }
  void OnNotice(const p2p::TransferNotice& notice) override {
    inner_.OnNotice(notice);
  }
  void OnListen(const std::string& endpoint) override {
    inner_.OnListen(endpoint);
    if (announced_) return;
    announced_ = true;
    output_.Say("seeding on " + endpoint + "; stop with Ctrl-C");
    output_.Print(magnet_);
  }
  void EndStage(bool ok, std::string_view text) { inner_.EndStage(ok, text); }

 private:
  OutputTransferSink inner_;
  Output& output_;
  std::string magnet_;
  bool announced_ = false;
};

}  // namespace

Result<CommandResult> ServeVerified(const SeedFlowOptions& options,
                                    Context& context) {
  CHECK(options.torrent.has_value());
  const p2p::Metainfo& metainfo = options.torrent->metainfo;
  const fs::path path = WithoutTrailingSlash(options.path);
  p2p::SeedOptions seed_options;
  seed_options.torrent = options.torrent->bytes;
  seed_options.save_folder = path.parent_path();
  seed_options.payload_name = path.filename();
  seed_options.session = options.session;
  seed_options.max_ratio = options.max_ratio;
  seed_options.max_time_s = options.max_time_s;
  p2p::Magnet magnet = p2p::MagnetOf(metainfo);
  magnet.trackers.insert(magnet.trackers.end(),
                         options.session.trackers.begin(),
                         options.session.trackers.end());
  SeedSink sink(context.output, seed_options.save_folder,
                p2p::FormatMagnet(magnet));
  auto outcome = p2p::Seed(seed_options, context.cancel, sink);
  if (!outcome) {
    sink.EndStage(false, "");
    return verify::Unexpected(std::move(outcome).error());
  }
  sink.EndStage(true, fmt::format("{} uploaded",
                                  verify::FormatSize(outcome->uploaded_bytes)));
  CommandResult result;
  result.path = path;
  result.summary["uploaded_bytes"] = outcome->uploaded_bytes;
  if (context.cancel.cancelled()) result.code = ExitCode::kInterrupted;
  return result;
}

Result<CommandResult> RunSeed(const SeedFlowOptions& options,
                              Context& context) {
  const fs::path path = WithoutTrailingSlash(options.path);
  std::error_code error;
  if (!fs::exists(path, error)) {
    return verify::Fail(
        verify::ErrorCode::kNotFound,
        verify::StrCat("\"", verify::EscapeForTerminal(path.string()),
                       "\" is not there"));
  }
  SeedFlowOptions serve = options;
  if (!serve.torrent.has_value()) {
    serve.torrent = TorrentStore::Default().FindForPath(path);
  }
  if (!serve.torrent.has_value()) {
    // Unknown content gets a torrent of its own, the one `publish` would
    // write; hashing it is the check.
    context.output.StageBegin("pieces");
    p2p::CreateOptions create;
    create.path = path;
    create.trackers = options.session.trackers;
    StageProgress progress(context.output, "pieces");
    auto created = p2p::CreateTorrent(create, context.cancel, &progress);
    context.output.StageEnd(
        "pieces", created.has_value(),
        created ? "no torrent of it is known: made one" : "");
    if (!created) return verify::Unexpected(std::move(created).error());
    serve.torrent = KnownTorrent{std::move(created->torrent),
                                 std::move(created->metainfo), "just made"};
    return ServeVerified(serve, context);
  }
  VerifyOptions verify_options;
  verify_options.path = path;
  verify_options.torrent = serve.torrent;
  verify_options.level = VerifyLevel::kChecksums;
  ASSIGN_OR_RETURN(const VerifyReport report,
                   RunVerify(verify_options, context));
  if (report.error.has_value()) {
    verify::Error failure = *report.error;
    failure.hint = verify::StrCat("nothing is served; see lodestone verify ",
                                  ShellQuote(path.string()));
    return verify::Unexpected(std::move(failure));
  }
  return ServeVerified(serve, context);
}

}  // namespace cli
