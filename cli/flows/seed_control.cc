// SPDX-License-Identifier: Apache-2.0
// What the control socket of a seeder may ask: docs/SEEDING.md.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/flows/seed_run.h"
#include "cli/state/paths.h"
#include "cli/web/seed_metrics.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::StrCat;

Json Ok() { return {{"ok", true}}; }

// What each verb takes beside "verb". A field that is not there could be meant
// to do what we do not do, as to call bytes verified: it is refused.
struct VerbFields {
  std::string_view verb;
  std::vector<std::string_view> fields;
};

std::optional<Json> FieldProblem(const std::string& verb, const Json& request) {
  static const std::array<VerbFields, 9> kVerbs = {
      {{"list", {}},
       {"metrics", {}},
       {"stop", {}},
       {"limits", {"down", "up"}},
       {"add", {"path", "policy", "rehash"}},
       {"pause", {"name"}},
       {"resume", {"name"}},
       {"recheck", {"name"}},
       {"remove", {"name"}}}};
  const auto known =
      std::find_if(kVerbs.begin(), kVerbs.end(),
                   [&](const VerbFields& entry) { return entry.verb == verb; });
  if (known == kVerbs.end()) {
    return ControlFailure(
        Fail(ErrorCode::kInvalidArgument,
             StrCat("unknown verb \"", EscapeForTerminal(verb, 40), "\""))
            .Id("E-CONTROL-VERB")
            .error());
  }
  for (const auto& [field, value] : request.items()) {
    if (field == "verb" || std::find(known->fields.begin(), known->fields.end(),
                                     field) != known->fields.end()) {
      continue;
    }
    return ControlFailure(Fail(ErrorCode::kInvalidArgument,
                               StrCat(verb, ": unknown field \"",
                                      EscapeForTerminal(field, 40), "\""))
                              .Id("E-CONTROL-FIELD")
                              .error());
  }
  return std::nullopt;
}

// Paths come as they are: what "..", a link or a URL stands for is for the
// caller to find out, who then sees where it leads.
std::optional<Json> PathProblem(const std::string& path) {
  if (!path.empty() && path.front() == '/' && CanonicalPath(path) == path) {
    return std::nullopt;
  }
  return ControlFailure(
      Fail(ErrorCode::kInvalidArgument,
           StrCat("add: \"", EscapeForTerminal(path, 200),
                  "\" is no absolute path without links, \".\" and \"..\""))
          .Id("E-PATH")
          .error());
}

}  // namespace

Json SeedRun::AddByRequest(const Json& request) {
  if (!request.contains("path") || !request["path"].is_string()) {
    return ControlFailure(
        Fail(ErrorCode::kInvalidArgument, "add: no path").error());
  }
  SeedTarget target;
  target.path = request["path"].get<std::string>();
  if (auto problem = PathProblem(target.path)) return *std::move(problem);
  std::error_code ignored;
  if (!fs::exists(target.path, ignored)) {
    return ControlFailure(
        Fail(ErrorCode::kNotFound,
             StrCat("\"", EscapeForTerminal(target.path), "\" is not there"))
            .error());
  }
  std::optional<p2p::SeedPolicy> policy;
  if (request.contains("policy") && request["policy"].is_string()) {
    auto parsed = p2p::ParseSeedPolicy(request["policy"].get<std::string>());
    if (!parsed) return ControlFailure(parsed.error());
    policy = *parsed;
  }
  SeedModel* there = FindModel(target.path);
  if (there != nullptr && there->active()) {
    if (policy.has_value()) there->policy = *policy;
    there->told_last = false;
    Save();
    return {{"ok", true}, {"model", there->Describe()}, {"already", true}};
  }
  if (there != nullptr) {
    std::erase_if(models_,
                  [&](const auto& model) { return model.get() == there; });
  }
  SeedModel& model = AddModel(target, policy);
  model.record.paused = false;
  if (request.contains("rehash") && request["rehash"] == true) {
    model.must_hash = true;
  }
  return {{"ok", true}, {"model", model.Describe()}};
}

Json SeedRun::OnRequest(const Json& request) {
  const auto text = [&](const char* key) {
    return request.contains(key) && request[key].is_string()
               ? request[key].get<std::string>()
               : std::string();
  };
  const std::string verb = text("verb");
  if (auto problem = FieldProblem(verb, request)) return *std::move(problem);
  if (verb == "list") {
    Json answer = Ok();
    answer["pid"] = ::getpid();
    answer["verb"] = "seed";
    answer["port"] = seeder_->port();
    answer["models"] = Json::array();
    for (const auto& model : models_) {
      answer["models"].push_back(model->Describe());
    }
    return answer;
  }
  if (verb == "metrics") {
    return {{"ok", true},
            {"text", SeedMetricsText(models_, SteadyNow() - started_s_)}};
  }
  if (verb == "stop") {
    stop_ = true;
    return {{"ok", true}, {"pid", ::getpid()}};
  }
  if (verb == "limits") {
    uint64_t rates[2] = {options_.session.down_bytes_per_s,
                         options_.session.up_bytes_per_s};
    const char* keys[2] = {"down", "up"};
    for (int i = 0; i < 2; ++i) {
      if (!request.contains(keys[i])) continue;
      const auto rate = verify::AsUnsigned(request[keys[i]]);
      if (!rate.has_value()) {
        return ControlFailure(
            Fail(ErrorCode::kInvalidArgument,
                 StrCat("limits: ", keys[i], " is no number of bytes"))
                .error());
      }
      rates[i] = *rate;
    }
    seeder_->SetRates(rates[0], rates[1]);
    return Ok();
  }
  if (verb == "add") return AddByRequest(request);
  SeedModel* model = FindModel(text("name"));
  if (model == nullptr) {
    return ControlFailure(
        Fail(ErrorCode::kNotFound, StrCat("\"", EscapeForTerminal(text("name")),
                                          "\" is not served here"))
            .Hint("lodestone ps lists what is")
            .error());
  }
  Json answer = Ok();
  if (verb == "recheck") {
    if (check_ != nullptr && check_->path() == model->target.path) {
      return answer;
    }
    if (!model->key.empty()) seeder_->Remove(model->key);
    model->record.uploaded_bytes = model->uploaded_bytes();
    model->status.uploaded_bytes = 0;
    model->state = ModelState::kWaiting;
    model->error.reset();
    model->must_hash = true;
    model->target.verified = false;
    return answer;
  }
  if (verb == "remove") {
    if (check_ != nullptr && check_->path() == model->target.path) {
      check_->Cancel();
    }
    if (!model->key.empty()) seeder_->Remove(model->key);
    model->record.wanted = false;
    Save();
    std::erase_if(models_,
                  [&](const auto& other) { return other.get() == model; });
    return answer;
  }
  const bool pause = verb == "pause";
  model->record.paused = pause;
  if (seeder_->SetPaused(model->key, pause)) {
    model->state = pause ? ModelState::kPaused : ModelState::kServing;
  }
  Save();
  answer["state"] = ModelStateName(model->state);
  return answer;
}

}  // namespace cli
