// SPDX-License-Identifier: Apache-2.0
// One message at a time from the user: with editing and history on a terminal
// (libedit), plain lines otherwise.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace cli {

class LineEditor {
 public:
  explicit LineEditor(std::string prompt);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next message: a line, or all lines between two lines of """.
  // Nothing at the end of the input or when interrupted.
  std::optional<std::string> ReadMessage();

 private:
  struct Impl;
  std::optional<std::string> ReadLine(const char* prompt);

  std::string prompt_;
  std::unique_ptr<Impl> impl_;  // null without a terminal
};

}  // namespace cli
