// SPDX-License-Identifier: Apache-2.0
// Splits the arguments, runs one verb, prints its end, returns its exit code.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/version.h"
#include "verify/base/text.h"

namespace cli {
namespace {

struct GlobalFlags {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool version = false;
  Interaction interaction;
  std::string progress = "auto";
};

void AddGlobalFlags(CLI::App& app, GlobalFlags& flags) {
  app.add_flag("--json", flags.json,
               "print JSON events on stdout and nothing else")
      ->envname("LODESTONE_JSON");
  app.add_flag("-q,--quiet", flags.quiet, "print only results and errors")
      ->envname("LODESTONE_QUIET");
  app.add_flag("-v,--verbose", flags.verbose, "say more")
      ->envname("LODESTONE_VERBOSE");
  app.add_flag("--yes", flags.interaction.yes, "answer every question with yes")
      ->envname("LODESTONE_YES");
  app.add_flag("--no-input", flags.interaction.no_input, "never ask anything")
      ->envname("LODESTONE_NO_INPUT");
  app.add_option("--progress", flags.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}))
      ->envname("LODESTONE_PROGRESS");
}

ProgressMode ProgressModeOf(const std::string& name) {
  if (name == "bar") return ProgressMode::kBar;
  if (name == "plain") return ProgressMode::kPlain;
  if (name == "none") return ProgressMode::kNone;
  return ProgressMode::kAuto;
}

OutputOptions OptionsOf(const GlobalFlags& flags) {
  OutputOptions options;
  options.json = flags.json;
  options.quiet = flags.quiet;
  options.verbose = flags.verbose;
  options.progress = ProgressModeOf(flags.progress);
  return options;
}

constexpr char kStdoutLost[] =
    "error[E-STDOUT]: standard output could not be written; what it should "
    "hold is lost\n";

// A bad command line must still answer in JSON if it asked for JSON.
int FailUsage(const std::string& message, const std::string& verb, bool json,
              const std::vector<std::string>& arguments,
              bool document = false) {
  OutputOptions options;
  options.json = json;
  options.document = document;
  Output output(options);
  output.Start(verb, arguments);
  verify::Error error;
  error.code = verify::ErrorCode::kInvalidArgument;
  error.id = "E-USAGE";
  error.message = message;
  error.hint = verb.empty() ? "see lodestone --help"
                            : "see lodestone " + verb + " --help";
  output.Error(error);
  output.Finish(ExitCode::kUsage, {}, Fields::object(), {});
  return static_cast<int>(ExitCode::kUsage);
}

int RunCommand(Command& command, const GlobalFlags& flags,
               const std::vector<std::string>& arguments) {
  static verify::CancelToken cancel;
  InstallSignalHandlers(&cancel);
  OutputOptions options = OptionsOf(flags);
  options.document = command.is_document();
  Output output(options);
  output.Start(command.name(), arguments);
  Context context{output, cancel, flags.interaction};

  CommandResult outcome;
  // Libraries are called behind Result; what can still be thrown here is an
  // allocation that failed, or a bug.
  try {
    auto result = command.Run(context);
    if (result) {
      outcome = std::move(*result);
    } else {
      output.Error(result.error());
      outcome.code = ExitCodeFor(result.error());
    }
  } catch (const std::bad_alloc&) {
    output.Error({verify::ErrorCode::kUnsupported, "not enough memory",
                  std::nullopt, "E-MEMORY", "close other programs"});
    outcome.code = ExitCode::kUnsupported;
  } catch (const std::exception& e) {
    output.Error({verify::ErrorCode::kInternal,
                  verify::StrCat("internal error: ", e.what()), std::nullopt,
                  "E-INTERNAL", "please report this"});
    outcome.code = ExitCode::kFailure;
  }
  if (outcome.code == ExitCode::kInterrupted ||
      outcome.code == ExitCode::kTerminated) {
    outcome.code = SignalExitCode().value_or(outcome.code);
  }
  // A reader that went away, or a full disk behind stdout.
  if (output.failed() && outcome.code == ExitCode::kOk) {
    outcome.code = ExitCode::kIo;
  }
  output.Finish(outcome.code, outcome.path, outcome.summary, outcome.next);
  if (!flags.json && !outcome.path.empty() && outcome.code == ExitCode::kOk) {
    output.Print(outcome.path);
  }
  // With --json, too: where events would go is what failed.
  if (output.failed()) std::fputs(kStdoutLost, stderr);
  if (output.failed() && outcome.code == ExitCode::kOk) {
    outcome.code = ExitCode::kIo;
  }
  return static_cast<int>(outcome.code);
}

// The end of what only prints.
int Printed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fputs(kStdoutLost, stderr);
  return static_cast<int>(ExitCode::kIo);
}

// The first word that is no flag may be another name of a verb. Those names
// are no subcommands of the parser, so that help does not list them.
void ReplaceAlias(const std::vector<std::unique_ptr<Command>>& commands,
                  std::vector<std::string>& reversed) {
  const auto word = std::find_if(
      reversed.rbegin(), reversed.rend(),
      [](const std::string& text) { return text.empty() || text[0] != '-'; });
  if (word == reversed.rend()) return;
  for (const auto& command : commands) {
    for (const std::string& alias : command->aliases()) {
      if (*word == alias) *word = command->name();
    }
  }
}

int Main(int argc, char** argv) {
  // File names are UTF-8 whatever the user's locale is: libtorrent writes to
  // other names where the locale cannot spell them.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  const std::vector<std::string> arguments(argv, argv + argc);
  const bool json = std::find(arguments.begin() + 1, arguments.end(),
                              "--json") != arguments.end();
  GlobalFlags flags;
  CLI::App app("Fetch, verify, convert, run and seed open-weight models.",
               "lodestone");
  app.set_help_flag("-h,--help", "print this help");
  app.add_flag("--version", flags.version, "print the version");
  AddGlobalFlags(app, flags);
  app.require_subcommand(0, 1);

  const auto commands = AllCommands();
  std::vector<CLI::App*> subcommands;
  for (const auto& command : commands) {
    CLI::App* sub = app.add_subcommand(std::string(command->name()),
                                       std::string(command->summary()));
    sub->footer("Example:\n  " + std::string(command->example()));
    sub->fallthrough();
    command->AddFlags(*sub);
    subcommands.push_back(sub);
  }
  std::string topic;
  CLI::App* help = app.add_subcommand("help", "explain a topic");
  help->add_option("topic", topic, HelpTopicNames());
  app.footer(HelpFooter());

  try {
    // CLI11 takes them in reverse, without the program's name.
    std::vector<std::string> reversed(arguments.rbegin(),
                                      std::prev(arguments.rend()));
    ReplaceAlias(commands, reversed);
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);  // of the verb, if one is given
    return Printed();
  } catch (const CLI::ParseError& e) {
    std::string verb;
    bool document = false;
    for (size_t i = 0; i < commands.size(); ++i) {
      if (!subcommands[i]->parsed()) continue;
      verb = subcommands[i]->get_name();
      document = commands[i]->is_document();
    }
    return FailUsage(e.what(), verb, json, arguments, document);
  }
  if (flags.version) {
    PrintVersion(flags.json);
    return Printed();
  }
  if (help->parsed()) {
    if (PrintHelpTopic(topic)) return Printed();
    if (topic.empty()) {
      std::fputs(app.help().c_str(), stdout);
      return Printed();
    }
    return FailUsage(
        "no help topic \"" + topic + "\"; there are " + HelpTopicNames(), "",
        json, arguments);
  }
  for (size_t i = 0; i < commands.size(); ++i) {
    if (subcommands[i]->parsed()) {
      return RunCommand(*commands[i], flags, arguments);
    }
  }
  if (json) return FailUsage("no verb given", "", json, arguments);
  std::fputs(app.help().c_str(), stdout);
  return Printed();
}

}  // namespace
}  // namespace cli

int main(int argc, char** argv) {
  // Buffers of some megabytes come and go with every peer. Kept, they cost
  // nothing; given back and asked for again, a page fault for each page.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  return cli::Main(argc, argv);
}
