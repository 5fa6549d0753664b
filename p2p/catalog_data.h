// SPDX-License-Identifier: Apache-2.0
// The files of magnets/models as text; the source is made by
// embed_catalog.cmake while building. Internal to p2p.
#pragma once

#include <span>
#include <string_view>

namespace p2p {

struct CatalogText {
  std::string_view file_name;
  std::string_view text;
};

std::span<const CatalogText> BuiltInCatalog();

}  // namespace p2p
