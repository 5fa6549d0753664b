// SPDX-License-Identifier: Apache-2.0
// Turns what p2p reports into output events; get and seed share it.
#pragma once

#include <string>

#include "cli/output.h"
#include "p2p/events.h"

namespace cli {

class OutputTransferSink final : public p2p::TransferSink {
 public:
  // `destination`: folder whose free space the plan states.
  OutputTransferSink(Output& output, std::string destination)
      : output_(output), destination_(std::move(destination)) {}

  void OnPlan(const p2p::TransferPlan& plan) override;
  void OnProgress(const p2p::TransferProgress& progress) override;
  void OnNotice(const p2p::TransferNotice& notice) override;
  void OnListen(const std::string& endpoint) override;

  // The stage that is open, ended by the caller when the transfer is over.
  void EndStage(bool ok, std::string_view text);

 private:
  void EnterStage(p2p::TransferStage stage);

  Output& output_;
  std::string destination_;
  bool in_stage_ = false;
  p2p::TransferStage stage_ = p2p::TransferStage::kMetadata;
};

}  // namespace cli
