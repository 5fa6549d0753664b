// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "p2p/bencode.h"
#include "p2p/tracker_state.h"
#include "verify/base/bytes.h"

namespace {

void MustBeBencode(const std::string& answer) {
  if (!p2p::BencodeDocument::Parse(verify::AsBytes(answer))) std::abort();
}

}  // namespace

// Whatever the query, the answer is canonical bencode, and a tracker that was
// told of one peer knows one at most.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view query(reinterpret_cast<const char*>(data), size);
  p2p::TrackerState state({}, 1);
  const auto announce = p2p::ParseAnnounce(query);
  if (announce) {
    MustBeBencode(state.Announce(*announce, {}, 0));
    MustBeBencode(state.Announce(*announce, {}, 1));
    if (state.counts().peers > 1) std::abort();
  } else {
    MustBeBencode(p2p::TrackerFailure(announce.error().message));
  }
  if (const auto scrape = p2p::ParseScrape(query)) {
    MustBeBencode(state.Scrape(*scrape, 2));
  }
  return 0;
}
