// SPDX-License-Identifier: Apache-2.0
#include "verify/base/web_page.h"

#include <string>

#include "verify/base/text.h"

namespace verify {

bool LooksLikeWebPage(std::string_view start) {
  constexpr size_t kLooked = 512;
  start = start.substr(0, kLooked);
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
  const std::string text = AsciiLower(TrimAscii(start).substr(0, 64));
  for (const std::string_view tag :
       {"<!doctype html", "<html", "<head", "<body", "<?xml", "<!--"}) {
    if (text.starts_with(tag)) return true;
  }
  return false;
}

}  // namespace verify
