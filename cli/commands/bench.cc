// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/kv_flag.h"
#include "cli/flows/model_flow.h"
#include "inference/eval/machine_limits.h"
#include "inference/eval/speed.h"
#include "inference/model/model.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;
using verify::Result;

constexpr double kGiga = 1e9;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The most memory this process had, mapped weights that were read included.
uint64_t PeakMemoryBytes() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

struct Figures {
  // Of the model, which is gone when they are told.
  std::string weight_type;
  std::string kernels;
  uint64_t weight_bytes = 0;
  inference::KvType kv_type = inference::KvType::kF16;
  uint64_t kv_bytes_per_token = 0;
  inference::TokenCost cost;
  std::vector<uint64_t> layer_bytes;  // of a token, and of the output

  double load_s = 0;
  double first_token_s = 0;  // from the start of loading
  double read_bytes_per_s = 0;
  double float_flops = 0;
  inference::SpeedReport speed;
  inference::LookupReport lookup;      // with --lookup
  std::vector<double> parallel_rates;  // with --parallel
  std::vector<double> layer_seconds;   // with --layers
  uint64_t peak_bytes = 0;
};

class BenchCommand final : public Command {
 public:
  std::string_view name() const override { return "bench"; }
  std::string_view summary() const override {
    return "measure how fast a model runs here, against what the machine can";
  }
  std::string_view example() const override {
    return "lodestone bench mixtral-q4_k.gguf --prompt 512 --gen 64";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("model", model_, "GGUF file or model folder")->required();
    app.add_option("--prompt", options_.prompt_tokens,
                   "tokens of the prompt; 0: none (512)")
        ->check(CLI::Range(0, 1'000'000));
    app.add_option("--gen", options_.generated_tokens,
                   "tokens to generate; 0: none (64)")
        ->check(CLI::Range(0, 1'000'000));
    app.add_option("--repeat", options_.repeats,
                   "times to measure; the median is told (3)")
        ->check(CLI::Range(1, 1000));
    app.add_flag("--lookup", lookup_,
                 "also a text that repeats itself, with and without guesses");
    app.add_option("--parallel", parallel_,
                   "also that many sequences side by side")
        ->check(CLI::Range(1, 256));
    app.add_flag("--layers", layers_,
                 "also the time and the bytes of each layer for a token");
    AddKvFlag(app, kv_);
    app.add_option("--threads", num_threads_, "processors to use (all)");
    app.add_flag("--exact", exact_, "compute with float activations");
  }

  Result<CommandResult> Run(Context& context) override {
    Figures figures;
    inference::ModelOptions options;
    options.num_threads = num_threads_;
    options.kv = kv_;
    if (exact_) options.activations = inference::Activations::kExact;
    context.output.StageBegin("load");
    const auto start = Clock::now();
    auto model = LoadModel(model_, options, "load", context);
    if (!model) {
      context.output.StageEnd("load", false, "");
      return verify::Unexpected(std::move(model).error());
    }
    figures.load_s = SecondsSince(start);
    RETURN_IF_ERROR(RunFirstToken(**model, context));
    figures.first_token_s = SecondsSince(start);
    context.output.StageEnd("load", true, verify::Describe((*model)->config()));

    context.output.StageBegin("bench");
    auto measured = Measure(**model, figures, context);
    if (measured) {
      Describe(**model, figures);
      // A buffer for the limits and the weights are not needed at once.
      model->reset();
      measured = MeasureLimits(figures);
    }
    if (!measured) {
      context.output.StageEnd("bench", false, "");
      return verify::Unexpected(std::move(measured).error());
    }
    context.output.StageEnd("bench", true, "");
    return Report(figures, context);
  }

 private:
  static Result<void> RunFirstToken(const inference::Model& model,
                                    Context& context) {
    ASSIGN_OR_RETURN(inference::Session session,
                     inference::Session::Create(model, 1));
    const inference::TokenId id = std::max(0, model.tokenizer().bos_id());
    return session.Append({&id, 1}, nullptr, &context.cancel);
  }

  Result<void> Measure(const inference::Model& model, Figures& figures,
                       Context& context) {
    const auto say = [&](const inference::SpeedReport& so_far) {
      const auto last = [](const std::vector<double>& rates) {
        return rates.empty() ? 0 : rates.back();
      };
      context.output.Say(
          fmt::format("  {:>8.1f} prompt, {:>8.1f} generated tokens/s",
                      last(so_far.prompt_rates), last(so_far.generate_rates)));
    };
    ASSIGN_OR_RETURN(figures.speed, inference::MeasureSpeed(
                                        model, options_, context.cancel, say));
    return MeasureMore(model, figures, context);
  }

  static void Describe(const inference::Model& model, Figures& figures) {
    figures.peak_bytes = PeakMemoryBytes();
    figures.weight_type = model.weight_type();
    figures.kernels = model.kernels();
    figures.weight_bytes = model.weight_bytes();
    figures.kv_type = model.kv_type();
    figures.kv_bytes_per_token = model.kv_bytes_per_token();
    figures.cost = model.token_cost();
    for (size_t layer = 0; layer < figures.layer_seconds.size(); ++layer) {
      figures.layer_bytes.push_back(model.layer_cost(layer).bytes);
    }
  }

  Result<void> MeasureLimits(Figures& figures) const {
    verify::ThreadPool pool(num_threads_);
    ASSIGN_OR_RETURN(figures.read_bytes_per_s,
                     inference::MeasureReadBandwidth(pool));
    figures.float_flops = inference::MeasureFloatPeak(pool);
    return {};
  }

  Result<void> MeasureMore(const inference::Model& model, Figures& figures,
                           Context& context) const {
    const uint64_t tokens =
        options_.generated_tokens != 0 ? options_.generated_tokens : 64;
    if (lookup_) {
      ASSIGN_OR_RETURN(figures.lookup,
                       inference::MeasureLookup(model, tokens, options_.repeats,
                                                context.cancel));
    }
    if (parallel_ != 0) {
      ASSIGN_OR_RETURN(
          figures.parallel_rates,
          inference::MeasureParallel(model, parallel_, tokens, options_.repeats,
                                     context.cancel));
    }
    if (layers_) {
      ASSIGN_OR_RETURN(figures.layer_seconds,
                       inference::MeasureLayers(model, tokens, context.cancel));
    }
    return {};
  }

  // What --lookup, --parallel and --layers have found.
  void ReportMore(const Figures& figures, Fields& summary, Output& out) const {
    if (lookup_) {
      const double plain = inference::Median(figures.lookup.plain_rates);
      const double guessed = inference::Median(figures.lookup.lookup_rates);
      const inference::LookupCounts& counts = figures.lookup.counts;
      summary["lookup"] = {{"tokens_per_s", guessed},
                           {"samples", figures.lookup.lookup_rates},
                           {"plain_tokens_per_s", plain},
                           {"plain_samples", figures.lookup.plain_rates},
                           {"passes", counts.passes},
                           {"proposed", counts.proposed},
                           {"accepted", counts.accepted}};
      out.Print(fmt::format(
          "{:<12}{:>10.1f} tokens/s, {:.1f} without ({:.2f} times); {} of {} "
          "guessed tokens right, {} passes",
          "lookup", guessed, plain, guessed / plain, counts.accepted,
          counts.proposed, counts.passes));
    }
    if (parallel_ != 0) {
      const double rate = inference::Median(figures.parallel_rates);
      summary["parallel"] = {{"sequences", parallel_},
                             {"tokens_per_s", rate},
                             {"samples", figures.parallel_rates}};
      out.Print(fmt::format("{:<12}{:>10.1f} tokens/s together, {:.1f} each",
                            fmt::format("parallel {}", parallel_), rate,
                            rate / static_cast<double>(parallel_)));
    }
    if (layers_) ReportLayers(figures, summary, out);
  }

  static void ReportLayers(const Figures& figures, Fields& summary,
                           Output& out) {
    const std::vector<double>& seconds = figures.layer_seconds;
    summary["layers"] = Fields::array();
    for (size_t layer = 0; layer < seconds.size(); ++layer) {
      const uint64_t bytes = figures.layer_bytes[layer];
      const std::string name = layer + 1 == seconds.size()
                                   ? std::string("output")
                                   : fmt::format("layer {}", layer);
      summary["layers"].push_back(
          {{"name", name}, {"seconds", seconds[layer]}, {"bytes", bytes}});
      out.Print(fmt::format(
          "{:<12}{:>10.3f} ms  {:>10}  {:>8.1f} GB/s", name,
          1e3 * seconds[layer], verify::FormatSize(bytes),
          static_cast<double>(bytes) / std::max(seconds[layer], 1e-9) / kGiga));
    }
  }

  CommandResult Report(const Figures& figures, Context& context) const {
    const double pp = inference::Median(figures.speed.prompt_rates);
    const double tg = inference::Median(figures.speed.generate_rates);
    const double read = tg * static_cast<double>(figures.cost.bytes);
    const double work = pp * static_cast<double>(figures.cost.prompt_flops);
    CommandResult result;
    Fields& summary = result.summary;
    summary["type"] = figures.weight_type;
    summary["kernels"] = figures.kernels;
    summary["threads"] =
        num_threads_ != 0 ? num_threads_ : verify::AvailableProcessors();
    summary["weight_bytes"] = figures.weight_bytes;
    summary["kv_type"] = inference::KvTypeName(figures.kv_type);
    summary["kv_bytes_per_token"] = figures.kv_bytes_per_token;
    summary["load_s"] = figures.load_s;
    summary["first_token_s"] = figures.first_token_s;
    summary["peak_memory_bytes"] = figures.peak_bytes;
    summary["read_limit_bytes_per_s"] = figures.read_bytes_per_s;
    summary["float_limit_flops"] = figures.float_flops;
    Output& out = context.output;
    out.Say(fmt::format("{}, {}, {} on {} threads", figures.weight_type,
                        verify::FormatSize(figures.weight_bytes),
                        figures.kernels, summary["threads"].dump()));
    out.Print(fmt::format("{:<12}{:>10.2f} s, first token after {:.2f} s",
                          "load", figures.load_s, figures.first_token_s));
    if (pp > 0) {
      summary["prompt_tokens"] = options_.prompt_tokens;
      summary["pp_tokens_per_s"] = pp;
      summary["pp_samples"] = figures.speed.prompt_rates;
      summary["pp_flops"] = work;
      summary["pp_of_float_limit"] = work / figures.float_flops;
      out.Print(fmt::format(
          "{:<12}{:>10.1f} tokens/s  {:>8.1f} GFLOP/s, {:.2f} of the float "
          "limit ({:.0f})",
          fmt::format("prompt {}", options_.prompt_tokens), pp, work / kGiga,
          work / figures.float_flops, figures.float_flops / kGiga));
    }
    if (tg > 0) {
      summary["generated_tokens"] = options_.generated_tokens;
      summary["tg_tokens_per_s"] = tg;
      summary["tg_samples"] = figures.speed.generate_rates;
      summary["tg_bytes_per_s"] = read;
      summary["tg_of_read_limit"] = read / figures.read_bytes_per_s;
      out.Print(fmt::format(
          "{:<12}{:>10.1f} tokens/s  {:>8.1f} GB/s, {:.2f} of the read limit "
          "({:.1f})",
          fmt::format("generate {}", options_.generated_tokens), tg,
          read / kGiga, read / figures.read_bytes_per_s,
          figures.read_bytes_per_s / kGiga));
    }
    out.Print(fmt::format("{:<12}{:>13} a token, {}", "keys, values",
                          verify::FormatSize(figures.kv_bytes_per_token),
                          inference::KvTypeName(figures.kv_type)));
    ReportMore(figures, summary, out);
    out.Print(fmt::format("{:<12}{:>13}", "peak memory",
                          verify::FormatSize(figures.peak_bytes)));
    return result;
  }

  std::string model_;
  inference::SpeedOptions options_;
  size_t num_threads_ = 0;
  bool exact_ = false;
  bool lookup_ = false;
  uint64_t parallel_ = 0;  // 0: not asked for
  bool layers_ = false;
  inference::KvType kv_ = inference::KvType::kF16;
};

}  // namespace

std::unique_ptr<Command> MakeBenchCommand() {
  return std::make_unique<BenchCommand>();
}

}  // namespace cli
