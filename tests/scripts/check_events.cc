// SPDX-License-Identifier: Apache-2.0
// Checks what `lodestone --json` printed (standard input) against the schema:
//   check_events SCHEMA.json
// Every line is one valid event, seq counts up from 0, the first is `start`,
// the last `result`, and no other is.
//   check_events --document SCHEMA.json
// There is one line, and it is a valid document.
// Exit 0 if so, else 1 with the reason.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace {

int Fail(size_t line, const std::string& why) {
  std::cout << "line " << line << ": " << why << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const bool document =
      argc == 3 && std::string_view(argv[1]) == "--document";
  if (argc != 2 && !document) {
    return Fail(0, "usage: check_events [--document] SCHEMA.json");
  }
  std::ifstream schema_file(argv[argc - 1]);
  const nlohmann::json schema_json = nlohmann::json::parse(schema_file);
  valijson::Schema schema;
  valijson::SchemaParser parser;
  const valijson::adapters::NlohmannJsonAdapter schema_adapter(schema_json);
  parser.populateSchema(schema_adapter, schema);

  std::string text;
  std::string last_type;
  size_t count = 0;
  for (; std::getline(std::cin, text); ++count) {
    const size_t line = count + 1;
    const auto event = nlohmann::json::parse(text, nullptr, false);
    if (event.is_discarded()) return Fail(line, "not JSON: " + text);
    if (last_type == "result") return Fail(line, "an event after result");
    valijson::Validator validator;
    valijson::ValidationResults results;
    if (!validator.validate(
            schema, valijson::adapters::NlohmannJsonAdapter(event),
            &results)) {
      valijson::ValidationResults::Error error;
      results.popError(error);
      return Fail(line, error.description + " in " + text);
    }
    if (document) continue;
    if (event["seq"] != count) return Fail(line, "seq does not count up");
    last_type = event["type"];
    if ((count == 0) != (last_type == "start")) {
      return Fail(line, "start must be the first event and no other");
    }
  }
  if (document) {
    return count == 1 ? 0 : Fail(count, "not one document");
  }
  if (last_type != "result") return Fail(count, "the last event is no result");
  return 0;
}
