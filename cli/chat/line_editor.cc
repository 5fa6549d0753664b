// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string_view>

namespace cli {

struct LineEditor::Impl {
  EditLine* edit = nullptr;
  History* history = nullptr;
  std::string prompt;
};

namespace {

constexpr std::string_view kFence = "\"\"\"";
constexpr int kHistorySize = 500;

// libedit asks for the prompt by this; the editor's client data is the text.
char* CurrentPrompt(EditLine* edit) {
  void* data = nullptr;
  el_get(edit, EL_CLIENTDATA, &data);
  return static_cast<std::string*>(data)->data();
}

}  // namespace

LineEditor::LineEditor(std::string prompt) : prompt_(std::move(prompt)) {
  if (::isatty(STDIN_FILENO) != 1) return;
  auto impl = std::make_unique<Impl>();
  impl->history = history_init();
  if (impl->history == nullptr) return;
  impl->edit = el_init("lodestone", stdin, stderr, stderr);
  if (impl->edit == nullptr) {
    history_end(impl->history);
    return;
  }
  HistEvent event;
  history(impl->history, &event, H_SETSIZE, kHistorySize);
  el_set(impl->edit, EL_CLIENTDATA, &impl->prompt);
  el_set(impl->edit, EL_PROMPT, CurrentPrompt);
  el_set(impl->edit, EL_EDITOR, "emacs");
  el_set(impl->edit, EL_HIST, history, impl->history);
  impl_ = std::move(impl);
}

LineEditor::~LineEditor() {
  if (impl_ == nullptr) return;
  el_end(impl_->edit);
  history_end(impl_->history);
}

std::optional<std::string> LineEditor::ReadLine(const char* prompt) {
  if (impl_ == nullptr) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  impl_->prompt = prompt;
  int count = 0;
  const char* text = el_gets(impl_->edit, &count);
  if (text == nullptr || count <= 0) return std::nullopt;
  std::string line(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.pop_back();
  }
  if (!line.empty()) {
    HistEvent event;
    history(impl_->history, &event, H_ENTER, line.c_str());
  }
  return line;
}

std::optional<std::string> LineEditor::ReadMessage() {
  auto line = ReadLine(prompt_.c_str());
  if (!line.has_value() || !line->starts_with(kFence)) return line;
  std::string message = line->substr(kFence.size());
  // Both on one line: """text""".
  if (message.size() >= kFence.size() && message.ends_with(kFence)) {
    message.resize(message.size() - kFence.size());
    return message;
  }
  while ((line = ReadLine("... ")).has_value()) {
    if (line->ends_with(kFence)) {
      line->resize(line->size() - kFence.size());
      return message + "\n" + *line;
    }
    message += "\n" + *line;
  }
  return message;
}

}  // namespace cli
