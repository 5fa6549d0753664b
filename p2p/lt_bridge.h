// SPDX-License-Identifier: Apache-2.0
// The one header of ours that shows libtorrent: its hashes, errors, settings
// and filters from and to our types. Included by .cc files and by internal
// headers of p2p only.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/disk_interface.hpp>
#include <libtorrent/download_priority.hpp>
#include <libtorrent/error_code.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/info_hash.hpp>
#include <libtorrent/io_context.hpp>
#include <libtorrent/ip_filter.hpp>
#include <libtorrent/peer_request.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/sha1_hash.hpp>
#include <libtorrent/socket.hpp>
#include <libtorrent/span.hpp>
#include <libtorrent/storage_defs.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <libtorrent/torrent_info.hpp>
#include <libtorrent/units.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "p2p/info_hash.h"
#include "p2p/settings.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/base/text.h"

namespace p2p {

// What a session is for: it decides limits and choking.
enum class SessionRole { kMetadata, kDownload, kSeed };

lt::info_hash_t ToLibtorrent(const InfoHashes& hashes);
InfoHashes FromLibtorrent(const lt::info_hash_t& hashes);

// "connection refused (system 111)".
std::string ErrorText(const lt::error_code& error);
// "127.0.0.1:6881", "[::1]:6881".
std::string EndpointText(const lt::tcp::endpoint& endpoint);

// True if the error says that a file system or quota is full.
bool IsDiskFull(const lt::error_code& error);

// An address that no stranger should make us talk to: loopback, private,
// link-local, multicast, unspecified.
bool IsLocalAddress(const lt::address& address);

enum class NameLookup { kSystem, kNever };

// Literal addresses at once, names by the system's resolver (which blocks), if
// it may be asked; a name that does not resolve is left out and put into
// `failures`.
std::vector<lt::tcp::endpoint> ResolvePeers(const std::vector<HostPort>& peers,
                                            NameLookup lookup,
                                            std::vector<std::string>& failures);

// Every setting of a session, with its reason in settings.cc. `port` 0: any.
lt::settings_pack MakeSettings(const SessionSettings& settings,
                               SessionRole role, uint16_t port,
                               const std::vector<lt::tcp::endpoint>& named);

// What the schedule says now, and how a running session is told.
RateLimits RatesNow(const SessionSettings& settings);
void SetRates(lt::settings_pack& pack, const RateLimits& rates);
// How many payload files a session may keep open, below the limit of the
// process.
size_t MaxOpenPayloadFiles();

// Which addresses a session may talk to.
lt::ip_filter MakeIpFilter(const SessionSettings& settings,
                           const std::vector<lt::tcp::endpoint>& named);

// Runs `body` and turns an exception of the library into an Error.
template <typename F>
auto Guarded(std::string_view what, F&& body)
    -> verify::Result<std::invoke_result_t<F>> {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
      std::invoke(std::forward<F>(body));
      return {};
    } else {
      return std::invoke(std::forward<F>(body));
    }
  } catch (const std::exception& error) {
    return verify::Fail(
        verify::ErrorCode::kInternal,
        verify::StrCat(what, ": ", verify::EscapeForTerminal(error.what())));
  }
}

}  // namespace p2p
