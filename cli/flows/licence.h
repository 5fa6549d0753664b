// SPDX-License-Identifier: Apache-2.0
// Which licence the files of a model say that it is under. A statement of the
// files, not a proof. Tested by tests/cli/flows/licence_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

struct NamedFile {
  std::string name;  // relative, "/" between parts
  std::string path;  // on disk
};

struct Licence {
  std::string name;  // an SPDX identifier where the text is a known one
  std::string file;  // that says so
};

// Looks into the front matter of README.md ("license: apache-2.0"), then into
// LICENSE, LICENCE and COPYING at the top. Nothing if none says anything.
std::optional<Licence> FindLicence(const std::vector<NamedFile>& files);

// The licence that a text is, by its first lines; nothing if it is unknown.
std::optional<std::string> LicenceOfText(std::string_view text);

// "license" in the YAML front matter of a model card; nothing if there is none.
std::optional<std::string> LicenceOfCard(std::string_view text);

}  // namespace cli
