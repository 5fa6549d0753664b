# SPDX-License-Identifier: Apache-2.0
# cmake -DOUTPUT=FILE.cc -DFILES=A;B -P embed_catalog.cmake: the texts of the
# files as constants. No text may hold the delimiter of a raw string.
set(constants "")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" text)
  if(text MATCHES "\\)catalog\"")
    message(FATAL_ERROR "${file} holds the delimiter of a raw string")
  endif()
  string(APPEND constants "    {\"${name}\", R\"catalog(${text})catalog\"},\n")
endforeach()
list(LENGTH FILES count)
file(WRITE "${OUTPUT}" "// Made by embed_catalog.cmake.
#include \"p2p/catalog_data.h\"

#include <array>

namespace p2p {
namespace {

constexpr std::array<CatalogText, ${count}> kTexts = {{
${constants}}};

}  // namespace

std::span<const CatalogText> BuiltInCatalog() { return kTexts; }

}  // namespace p2p
")
