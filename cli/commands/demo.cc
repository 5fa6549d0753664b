// SPDX-License-Identifier: Apache-2.0
// The whole way on this machine alone: a seeder in a process of its own, then
// the verbs one after the other as a user would type them.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <optional>
#include <system_error>

#include "cli/commands/commands.h"
#include "cli/demo_location.h"
#include "cli/shell_quote.h"
#include "cli/subprocess.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

// Marks a folder as one that the demo made and may empty again.
constexpr std::string_view kMarker = ".lodestone-demo";

struct DemoQuestion {
  std::string_view text;
  // From WordNet's gloss of the word, on which the model was trained.
  std::string_view expected;
};
constexpr DemoQuestion kQuestions[] = {
    {"What is an ocean?", "a large body of water"},
    {"What kind of thing is a horse?", "equine"},
};

struct Seeder {
  Subprocess process;
  std::string magnet;
  std::string endpoint;
};

class DemoCommand final : public Command {
 public:
  std::string_view name() const override { return "demo"; }
  std::string_view summary() const override {
    return "the whole way with a small model, without the internet";
  }
  std::string_view example() const override {
    return "lodestone demo --output lodestone-demo";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("-o,--output", output_folder_,
                   "folder to work in (lodestone-demo)");
  }

  Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(const std::string model, FindDemoModel());
    RETURN_IF_ERROR(PrepareFolder());
    Say(context,
        fmt::format("A seeder serves the demo model (a trained Mixtral with 8 "
                    "experts, {}) on 127.0.0.1;\nLodestone gets nothing but "
                    "its magnet link.\n",
                    "8 million parameters"));
    ASSIGN_OR_RETURN(Seeder seeder, StartSeeder(model, context));

    const std::string fetched = output_folder_ + "/demo";
    const std::string gguf = output_folder_ + "/demo-q8_0.gguf";
    RETURN_IF_ERROR(Step(context, "get",
                         {"get", seeder.magnet, "--output", output_folder_,
                          "--peer", seeder.endpoint, "--listen", "127.0.0.1",
                          "--no-dht", "--no-lsd", "--yes"}));
    seeder.process.Stop();
    RETURN_IF_ERROR(Step(context, "verify", {"verify", fetched}));
    RETURN_IF_ERROR(
        Step(context, "convert", {"convert", fetched, gguf, "--to", "q8_0"}));
    // One from the file as it was published, one from the conversion.
    RETURN_IF_ERROR(Ask(context, fetched, kQuestions[0]));
    RETURN_IF_ERROR(Ask(context, gguf, kQuestions[1]));

    CommandResult result;
    result.path = output_folder_;
    result.summary["model"] = fetched;
    result.summary["answers"] = answers_;
    result.next = {"lodestone chat " + ShellQuote(gguf),
                   "lodestone verify " + ShellQuote(fetched),
                   "lodestone seed " + ShellQuote(fetched),
                   "lodestone get --help"};
    Say(context, "");
    return result;
  }

 private:
  void Say(Context& context, std::string_view text) {
    context.output.Say(text);
  }

  Result<void> PrepareFolder() {
    std::error_code error;
    const std::string marker = StrCat(output_folder_, "/", kMarker);
    if (fs::exists(output_folder_, error) &&
        !fs::is_empty(output_folder_, error)) {
      if (!fs::exists(marker, error)) {
        return Fail(ErrorCode::kIo,
                    StrCat("\"", verify::EscapeForTerminal(output_folder_),
                           "\" is not empty and not from an earlier demo"))
            .Id("E-EXISTS")
            .Hint("choose another folder with --output");
      }
      for (const char* name : {"/demo", "/demo-q8_0.gguf"}) {
        fs::remove_all(output_folder_ + name, error);
      }
    }
    fs::create_directories(output_folder_, error);
    if (error) {
      return verify::FailErrno("create", output_folder_, error.value());
    }
    return verify::WriteFileAtomically(marker, {});
  }

  Result<Seeder> StartSeeder(const std::string& model, Context& context) {
    context.output.StageBegin("seeder");
    ASSIGN_OR_RETURN(
        Subprocess process,
        Subprocess::Start(
            {OwnBinary(), "seed", model, "--separate", "--listen", "127.0.0.1",
             "--port", "0", "--no-dht", "--no-lsd", "--json"},
            ChildOutput::kPipe));
    std::string magnet;
    std::string endpoint;
    std::string failure = "the seeder ended before it listened";
    while (magnet.empty() || endpoint.empty()) {
      const auto line = process.ReadLine();
      if (!line.has_value()) {
        if (context.cancel.cancelled()) {
          return Fail(ErrorCode::kCancelled, "interrupted");
        }
        return Fail(ErrorCode::kInternal, failure);
      }
      const auto event = verify::ParseJson(*line);
      if (!event || !event->is_object()) continue;
      const std::string type = event->value("type", "");
      if (type == "plan") magnet = event->value("magnet", "");
      if (type == "listen") endpoint = event->value("endpoint", "");
      if (type == "error") failure = event->value("message", failure);
    }
    context.output.StageEnd("seeder", true, "serving on " + endpoint);
    return Seeder{std::move(process), magnet, endpoint};
  }

  // Runs one verb of this program and shows what was typed.
  Result<void> Step(Context& context, std::string_view stage,
                    const std::vector<std::string>& arguments) {
    std::vector<std::string> command{OwnBinary()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::string shown = "\n$ lodestone";
    for (const std::string& argument : arguments) {
      shown += " " + ShellQuote(argument);
    }
    Say(context, shown);
    context.output.StageBegin(stage);
    const bool quiet = context.output.json() || context.output.quiet();
    ASSIGN_OR_RETURN(Subprocess process,
                     Subprocess::Start(command, quiet ? ChildOutput::kPipe
                                                      : ChildOutput::kInherit));
    if (quiet) {
      while (process.ReadLine().has_value()) {
      }
    }
    const int code = process.Wait();
    context.output.StageEnd(stage, code == 0, "");
    if (context.cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted");
    }
    if (code != 0) {
      return Fail(ErrorCode::kInternal,
                  fmt::format("lodestone {} ended with {}", stage, code))
          .Id("E-DEMO");
    }
    return {};
  }

  Result<void> Ask(Context& context, const std::string& model,
                   const DemoQuestion& question) {
    Say(context, fmt::format("\n$ lodestone chat {} -p {}", ShellQuote(model),
                             ShellQuote(question.text)));
    context.output.StageBegin("chat");
    ASSIGN_OR_RETURN(Subprocess process,
                     Subprocess::Start({OwnBinary(), "chat", model, "-p",
                                        std::string(question.text)},
                                       ChildOutput::kPipe));
    std::string answer;
    while (auto line = process.ReadLine()) {
      if (!answer.empty() && !line->empty()) answer += "\n";
      answer += *line;
    }
    const int code = process.Wait();
    const bool right =
        code == 0 && answer.find(question.expected) != std::string::npos;
    context.output.Print(answer);
    answers_.push_back(
        {{"question", question.text}, {"answer", answer}, {"right", right}});
    context.output.StageEnd(
        "chat", right, right ? "the answer is right" : "the answer is wrong");
    if (right) return {};
    if (context.cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted");
    }
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", question.text, "\" was answered with \"",
                       verify::EscapeForTerminal(answer),
                       "\", expected to hold \"", question.expected, "\""))
        .Id("E-DEMO");
  }

  std::string output_folder_ = "lodestone-demo";
  Fields answers_ = Fields::array();
};

}  // namespace

std::unique_ptr<Command> MakeDemoCommand() {
  return std::make_unique<DemoCommand>();
}

}  // namespace cli
