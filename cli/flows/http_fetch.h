// SPDX-License-Identifier: Apache-2.0
// Fetches a small file, such as a .torrent, from a URL that the user typed.
// Tested by tests/scripts/sources.py against servers that misbehave.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "p2p/settings.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace cli {

inline constexpr int kMaxRedirects = 5;

// "http://" or "https://" in any case.
bool IsHttpUrl(const std::string& text);

// The body of a 200 answer. Follows at most kMaxRedirects; a redirect never
// leads from https to http, nor, without settings.allow_local, to this machine
// or its network, by name or by address. Goes through settings.proxy, else the
// proxies of the environment; certificates are checked; nothing is sent along.
// Errors: kInvalidArgument (a user name in the URL), kNetwork (id E-FETCH: no
// connection, another status, a redirect that is not followed, a timeout),
// kLimit (more than `max_bytes`), kCancelled.
verify::Result<std::vector<std::byte>> FetchUrl(
    const std::string& url, size_t max_bytes,
    const p2p::SessionSettings& settings, const verify::CancelToken& cancel);

}  // namespace cli
