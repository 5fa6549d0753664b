// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/oms_statement.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "verify/base/json.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicateType =
    "https://model_signing/signature/v1.0";
constexpr size_t kSha256HexDigits = 64;
// Objects with three strings each, and room for what is around them.
constexpr uint64_t kMaxValues = 4 * kMaxOmsResources + 100'000;

Unexpected Refuse(std::string_view what) {
  return Fail(ErrorCode::kUntrusted, StrCat("signed statement: ", what))
      .Id("E-OMS-STATEMENT")
      .Hint("do not trust this signature; ask its publisher for another");
}

Unexpected NotImplemented(std::string_view what) {
  return Fail(ErrorCode::kUnsupported,
              StrCat("signed statement: ", what, " is not implemented"))
      .Id("E-OMS-METHOD")
      .Hint(
          "files hashed by SHA-256 are; model_signing verify knows the others");
}

// The member, or why there is none of that type.
Result<const Json*> Member(const Json& object, const char* key,
                           Json::value_t type) {
  const auto it = object.find(key);
  if (it == object.end()) return Refuse(StrCat("no \"", key, "\""));
  if (it->type() != type) {
    return Refuse(StrCat("\"", key, "\" is not of the right type"));
  }
  return &*it;
}

Result<std::string> Text(const Json& object, const char* key) {
  ASSIGN_OR_RETURN(const Json* value,
                   Member(object, key, Json::value_t::string));
  return value->get_ref<const std::string&>();
}

Result<void> AllowKeys(const Json& object, std::string_view where,
                       std::initializer_list<std::string_view> keys) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return Refuse(StrCat("key \"", EscapeForTerminal(key, 64), "\" in ",
                           where, " is not allowed"));
    }
  }
  return {};
}

Result<void> Expect(const Json& object, const char* key,
                    std::string_view expected) {
  ASSIGN_OR_RETURN(const std::string value, Text(object, key));
  if (value != expected) {
    return Refuse(StrCat("\"", key, "\" is \"", EscapeForTerminal(value, 128),
                         "\", not \"", expected, "\""));
  }
  return {};
}

// Lower-case hex of a SHA-256.
std::optional<std::vector<std::byte>> DigestOf(std::string_view hex) {
  if (hex.size() != kSha256HexDigits || AsciiLower(hex) != hex) {
    return std::nullopt;
  }
  return HexDecode(hex);
}

// Names are looked at before any path is made of them.
Result<void> CheckName(std::string_view name, std::string_view where,
                       std::vector<std::string_view>& parts) {
  const auto problem = CheckPath(name, parts);
  if (!problem.has_value()) return {};
  return Refuse(StrCat(where, ": \"", EscapeForTerminal(name, 128),
                       "\": ", problem->reason));
}

Result<std::string> ParseSubject(const Json& statement, std::string& root) {
  ASSIGN_OR_RETURN(const Json* subjects,
                   Member(statement, "subject", Json::value_t::array));
  if (subjects->size() != 1) {
    return Refuse(StrCat(subjects->size(), " subjects, not one"));
  }
  const Json& subject = subjects->front();
  if (!subject.is_object()) return Refuse("the subject is no object");
  ASSIGN_OR_RETURN(std::string name, Text(subject, "name"));
  if (name.empty()) return Refuse("the subject has no name");
  ASSIGN_OR_RETURN(const Json* digests,
                   Member(subject, "digest", Json::value_t::object));
  RETURN_IF_ERROR(AllowKeys(*digests, "the subject's digest", {"sha256"}));
  ASSIGN_OR_RETURN(root, Text(*digests, "sha256"));
  return name;
}

Result<void> CheckHashName(const std::string& hash, std::string_view where) {
  if (hash == "sha256") return {};
  if (hash == "blake2b" || hash == "blake3") return NotImplemented(hash);
  return Refuse(StrCat(where, ": \"", EscapeForTerminal(hash, 64),
                       "\" is no algorithm of the specification"));
}

Result<void> ParseSerialization(const Json& predicate,
                                OmsStatement& statement) {
  ASSIGN_OR_RETURN(const Json* how,
                   Member(predicate, "serialization", Json::value_t::object));
  RETURN_IF_ERROR(AllowKeys(
      *how, "serialization",
      {"method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths"}));
  ASSIGN_OR_RETURN(const std::string method, Text(*how, "method"));
  if (method == "shards") return NotImplemented("method \"shards\"");
  if (method != "files") {
    return Refuse(StrCat("method \"", EscapeForTerminal(method, 64),
                         "\" is none of the specification"));
  }
  if (how->contains("shard_size")) {
    return Refuse("a shard_size with method \"files\"");
  }
  ASSIGN_OR_RETURN(const std::string hash, Text(*how, "hash_type"));
  RETURN_IF_ERROR(CheckHashName(hash, "hash_type"));
  ASSIGN_OR_RETURN(const Json* links,
                   Member(*how, "allow_symlinks", Json::value_t::boolean));
  if (links->get<bool>()) {
    return Refuse(
        "allow_symlinks is true: what a link leads to can change behind the "
        "signature");
  }
  if (!how->contains("ignore_paths")) return {};
  ASSIGN_OR_RETURN(const Json* paths,
                   Member(*how, "ignore_paths", Json::value_t::array));
  std::vector<std::string_view> parts;
  for (const Json& path : *paths) {
    if (!path.is_string()) return Refuse("an ignored path is no text");
    const auto& text = path.get_ref<const std::string&>();
    RETURN_IF_ERROR(CheckName(text, "ignored path", parts));
    statement.ignore_paths.push_back(text);
  }
  return {};
}

Result<void> ParseResources(const Json& predicate, OmsStatement& statement) {
  ASSIGN_OR_RETURN(const Json* resources,
                   Member(predicate, "resources", Json::value_t::array));
  if (resources->empty()) return Refuse("it names no file");
  if (resources->size() > kMaxOmsResources) {
    return Refuse(StrCat(resources->size(), " files, at most ",
                         kMaxOmsResources, " are read"));
  }
  PathSet names;
  std::vector<std::string_view> parts;
  for (const Json& resource : *resources) {
    if (!resource.is_object()) return Refuse("a resource is no object");
    // More keys than these are allowed in a resource and mean nothing.
    ASSIGN_OR_RETURN(std::string name, Text(resource, "name"));
    ASSIGN_OR_RETURN(const std::string algorithm, Text(resource, "algorithm"));
    ASSIGN_OR_RETURN(const std::string hex, Text(resource, "digest"));
    RETURN_IF_ERROR(CheckName(name, "resource", parts));
    if (auto collision = names.AddFile(parts)) {
      return Refuse(StrCat("resource \"", EscapeForTerminal(name, 128),
                           "\": ", *collision));
    }
    RETURN_IF_ERROR(CheckHashName(algorithm, EscapeForTerminal(name, 128)));
    auto digest = DigestOf(hex);
    if (!digest.has_value()) {
      return Refuse(StrCat("\"", EscapeForTerminal(name, 128), "\": \"",
                           EscapeForTerminal(hex, 80),
                           "\" is no SHA-256 in 64 lower-case digits"));
    }
    statement.resources.push_back({.name = std::move(name),
                                   .algorithm = SumAlgorithm::kSha256,
                                   .digest = std::move(*digest),
                                   .list = {}});
  }
  return {};
}

}  // namespace

bool IsOutsideOmsScope(std::string_view name) {
  const std::string_view top = name.substr(0, name.find('/'));
  return top == ".git" || top == ".gitignore" || top == ".gitattributes" ||
         top == ".github";
}

Sha256Digest OmsRootDigest(const std::vector<PublishedSum>& resources) {
  Sha256Hasher hasher;
  for (const PublishedSum& resource : resources) hasher.Update(resource.digest);
  return hasher.Finish();
}

Result<OmsStatement> ParseOmsStatement(ByteSpan payload) {
  JsonLimits limits;
  limits.max_bytes = payload.size();  // the bundle's limit holds
  limits.max_values = kMaxValues;
  const auto root = ParseJson(AsText(payload), limits);
  if (!root) return Refuse(root.error().ToString());
  if (!root->is_object()) return Refuse("it is no JSON object");
  RETURN_IF_ERROR(
      AllowKeys(*root, "the statement",
                {"_type", "subject", "predicateType", "predicate"}));
  RETURN_IF_ERROR(Expect(*root, "_type", kStatementType));
  RETURN_IF_ERROR(Expect(*root, "predicateType", kPredicateType));
  OmsStatement statement;
  std::string root_hex;
  ASSIGN_OR_RETURN(statement.model_name, ParseSubject(*root, root_hex));
  ASSIGN_OR_RETURN(const Json* predicate,
                   Member(*root, "predicate", Json::value_t::object));
  RETURN_IF_ERROR(
      AllowKeys(*predicate, "the predicate", {"resources", "serialization"}));
  RETURN_IF_ERROR(ParseSerialization(*predicate, statement));
  RETURN_IF_ERROR(ParseResources(*predicate, statement));
  const std::string computed = HexEncode(OmsRootDigest(statement.resources));
  if (computed != root_hex) {
    return Refuse(StrCat("the root digest is \"",
                         EscapeForTerminal(root_hex, 80), "\", the files give ",
                         computed));
  }
  return statement;
}

Result<std::string> WriteOmsStatement(OmsStatement statement) {
  const auto unfit = [](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument, StrCat("cannot sign: ", what))
        .Id("E-SIGN-FILES");
  };
  if (statement.resources.empty()) return unfit("there is no file");
  if (statement.resources.size() > kMaxOmsResources) {
    return unfit(StrCat("more than ", kMaxOmsResources, " files"));
  }
  // UTF-8 sorts by bytes as it does by code points.
  std::sort(statement.resources.begin(), statement.resources.end(),
            [](const PublishedSum& a, const PublishedSum& b) {
              return a.name < b.name;
            });
  using Ordered = nlohmann::ordered_json;
  Ordered resources = Ordered::array();
  PathSet names;
  std::vector<std::string_view> parts;
  for (const PublishedSum& resource : statement.resources) {
    const std::string shown = EscapeForTerminal(resource.name, 128);
    if (const auto problem = CheckPath(resource.name, parts)) {
      return unfit(StrCat("\"", shown, "\": ", problem->reason));
    }
    if (const auto collision = names.AddFile(parts)) {
      return unfit(StrCat("\"", shown, "\": ", *collision));
    }
    if (resource.algorithm != SumAlgorithm::kSha256 ||
        resource.digest.size() != sizeof(Sha256Digest)) {
      return unfit(StrCat("\"", shown, "\" has no SHA-256"));
    }
    resources.push_back({{"name", resource.name},
                         {"digest", HexEncode(resource.digest)},
                         {"algorithm", "sha256"}});
  }
  for (const std::string& path : statement.ignore_paths) {
    if (const auto problem = CheckPath(path, parts)) {
      return unfit(StrCat("ignored path \"", EscapeForTerminal(path, 128),
                          "\": ", problem->reason));
    }
  }
  std::sort(statement.ignore_paths.begin(), statement.ignore_paths.end());
  if (statement.model_name.empty() || !IsValidUtf8(statement.model_name)) {
    return unfit("the folder has no name in UTF-8");
  }
  const Ordered root = {
      {"_type", std::string(kStatementType)},
      {"subject",
       Ordered::array(
           {{{"name", statement.model_name},
             {"digest",
              {{"sha256", HexEncode(OmsRootDigest(statement.resources))}}}}})},
      {"predicateType", std::string(kPredicateType)},
      {"predicate",
       {{"resources", std::move(resources)},
        {"serialization",
         {{"method", "files"},
          {"hash_type", "sha256"},
          {"allow_symlinks", false},
          {"ignore_paths", statement.ignore_paths}}}}}};
  return root.dump();
}

}  // namespace verify
