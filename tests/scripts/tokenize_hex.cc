// SPDX-License-Identifier: Apache-2.0
// For scripts: texts on standard input, one a line in hex, to their ids. The
// argument is a tokenizer.model, tekken.json or tokenizer.json; a file of
// another name is taken for a tokenizer.model.
#include <iostream>
#include <string>
#include <string_view>

#include "inference/text/load_tokenizer.h"
#include "inference/text/tokenizer.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace {

verify::Result<inference::Tokenizer> Load(const std::string& path) {
  if (path.ends_with(".json")) {
    ASSIGN_OR_RETURN(const auto vocabulary,
                     inference::LoadVocabularyFile(path));
    return inference::MakeTokenizer(vocabulary);
  }
  ASSIGN_OR_RETURN(const auto bytes,
                   verify::ReadSmallFile(path, verify::kMaxTokenizerBytes));
  ASSIGN_OR_RETURN(const auto model, verify::ReadTokenizerModel(bytes));
  return inference::Tokenizer::Create(model);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tokenize_hex FILE\n";
    return 2;
  }
  const auto tokenizer = Load(argv[1]);
  if (!tokenizer) {
    std::cerr << tokenizer.error().ToString() << '\n';
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto bytes = verify::HexDecode(line);
    if (!bytes.has_value()) {
      std::cerr << "no hex: " << line << '\n';
      return 2;
    }
    const std::string_view text = verify::AsText(*bytes);
    const char* between = "";
    for (const auto id : tokenizer->Encode(text)) {
      std::cout << between << id;
      between = " ";
    }
    std::cout << '\n';
  }
  return 0;
}
