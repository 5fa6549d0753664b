// SPDX-License-Identifier: Apache-2.0
#include "p2p/dht_state_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

using Nodes = std::vector<lt::udp::endpoint>;

// Node ids go with addresses of this machine: a few at most.
constexpr size_t kMaxNodeIds = 64;

// The first nodes that can be one, each once.
void AppendNodes(Nodes& to, const Nodes& from) {
  for (const lt::udp::endpoint& node : from) {
    if (to.size() >= kMaxDhtNodes) return;
    if (node.port() == 0 || node.address().is_unspecified() ||
        node.address().is_multicast() ||
        std::find(to.begin(), to.end(), node) != to.end()) {
      continue;
    }
    to.push_back(node);
  }
}

}  // namespace

Result<lt::dht::dht_state> LoadDhtState(const std::string& path) {
  lt::dht::dht_state state;
  const auto bytes = verify::ReadSmallFile(path, kMaxDhtStateBytes);
  if (!bytes) {
    if (bytes.error().code == ErrorCode::kNotFound) return state;
    return verify::Unexpected(bytes.error());
  }
  const std::string_view text = verify::AsText(*bytes);
  const auto read = Guarded("DHT state", [&] {
    return lt::read_session_params(
               lt::span<const char>(text.data(),
                                    static_cast<std::ptrdiff_t>(text.size())),
               lt::session_handle::save_dht_state)
        .dht_state;
  });
  if (!read) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", verify::EscapeForTerminal(path),
                       "\" does not hold a DHT state: ", read.error().message));
  }
  state.nids = read->nids;
  if (state.nids.size() > kMaxNodeIds) state.nids.resize(kMaxNodeIds);
  AppendNodes(state.nodes, read->nodes);
  AppendNodes(state.nodes6, read->nodes6);
  return state;
}

Result<void> SaveDhtState(const std::string& path,
                          const lt::dht::dht_state& fresh,
                          const lt::dht::dht_state& former) {
  lt::session_params params;
  lt::dht::dht_state& state = params.dht_state;
  state.nids = fresh.nids;
  if (state.nids.size() > kMaxNodeIds) state.nids.resize(kMaxNodeIds);
  for (const lt::dht::dht_state* part : {&fresh, &former}) {
    AppendNodes(state.nodes, part->nodes);
    AppendNodes(state.nodes6, part->nodes6);
  }
  if (state.nodes.empty() && state.nodes6.empty()) return {};
  const auto buffer = Guarded("DHT state", [&] {
    return lt::write_session_params_buf(params,
                                        lt::session_handle::save_dht_state);
  });
  if (!buffer) return verify::Unexpected(buffer.error());
  const std::filesystem::path folder =
      std::filesystem::path(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return verify::FailErrno("create", folder.native(), error.value());
  }
  return verify::WriteFileAtomically(
      path, verify::AsBytes({buffer->data(), buffer->size()}), 0600);
}

}  // namespace p2p
