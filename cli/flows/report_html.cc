// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/report_html.h"

#include <fmt/core.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "verify/base/text.h"

namespace cli {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1a1c1f;--dim:#5c636b;--line:#d5d9de;
--back:#fff;--tint:#f4f6f8;--good:#176b3a;--warn:#8a5a00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--dim:#a2a9b1;
--line:#3a4047;--back:#15181b;--tint:#1f2327;--good:#6fcf97;--warn:#f0b95a;
--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);
max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.verdict{border-left:.4rem solid;padding:.6rem 1rem;background:var(--tint);
margin:1rem 0}.good{color:var(--good)}.warn{color:var(--warn)}
.bad{color:var(--bad)}.verdict p{color:var(--ink);margin:.2rem 0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;
vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--dim)}td.n{text-align:right;white-space:nowrap}
dt{color:var(--dim)}dd{margin:0 0 .4rem}
dl{display:grid;grid-template-columns:10rem 1fr;margin:0}
code,.hash{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
small{color:var(--dim)}
@media print{body{margin:0;max-width:none;font-size:11px}
tr,.verdict{break-inside:avoid}thead{display:table-header-group}}
)";

std::string Text(const Fields& value) {
  return value.is_string() ? EscapeHtml(value.get_ref<const std::string&>())
                           : std::string();
}

std::string_view ColourOf(std::string_view status) {
  if (status == "ok" || status == "pass") return "good";
  if (status == "mismatch" || status == "missing" || status == "fail") {
    return "bad";
  }
  return "warn";
}

std::string Size(const Fields& bytes) {
  return verify::FormatSize(bytes.get<uint64_t>());
}

class Page {
 public:
  explicit Page(const Fields& document) : document_(document) {}

  std::string Write() {
    Head();
    Verdict();
    Facts();
    Sources();
    Files();
    Damage();
    Checks();
    Meaning();
    Add("</body></html>\n");
    return std::move(out_);
  }

 private:
  void Add(std::string_view text) { out_ += text; }
  void Row(std::string_view name, const std::string& html) {
    if (html.empty()) return;
    Add(fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html));
  }
  bool IsGood() const { return document_["result"] == "ok"; }

  void Head();
  void Verdict();
  void Facts();
  void Sources();
  void Files();
  void Damage();
  void Checks();
  void Meaning();

  const Fields& document_;
  std::string out_;
};

void Page::Head() {
  Add(kReportPageStart);
  Add("\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
      "'none'; style-src 'unsafe-inline'\">");
  Add(fmt::format("<title>Check of {}</title><style>{}</style></head><body>\n",
                  Text(document_["path"]), kStyle));
  Add(fmt::format("<h1>Check of <code>{}</code></h1>\n",
                  Text(document_["path"])));
}

void Page::Verdict() {
  const Fields& level = document_["level"];
  const bool verified = IsGood() && level["verified"].get<bool>();
  std::string headline;
  if (!IsGood()) {
    headline = document_.contains("error")
                   ? "Not what it should be"
                   : "A condition that was asked for is not met";
  } else {
    headline = verified ? "Verified" : "Nothing wrong was found";
  }
  Add(fmt::format("<div class=\"verdict {}\"><strong>{}: {}</strong>\n",
                  !IsGood()  ? "bad"
                  : verified ? "good"
                             : "warn",
                  headline, Text(level["text"])));
  if (document_.contains("error")) {
    const Fields& error = document_["error"];
    Add(fmt::format("<p><code>{}</code> {}</p><p>{}</p>\n", Text(error["code"]),
                    Text(error["message"]), Text(error["hint"])));
  }
  for (const Fields& finding : document_["findings"]) {
    Add(fmt::format("<p>{}</p>\n", Text(finding)));
  }
  Add("</div>\n");
}

void Page::Facts() {
  Add("<h2>The check</h2><dl>\n");
  Row("begun", Text(document_["started"]));
  Row("ended", Text(document_["finished"]));
  Row("by", "Lodestone " + Text(document_["version"]));
  std::string command;
  for (const Fields& word : document_["command"]) {
    command += (command.empty() ? "" : " ") + Text(word);
  }
  Row("command", "<code>" + command + "</code>");
  Row("how far", Text(document_["asked"]));
  Row("exit code",
      document_.contains("exit_code")
          ? fmt::format("{} ({})", document_["exit_code"].get<int>(),
                        Text(document_["exit_name"]))
          : "0 (ok)");
  const Fields& totals = document_["totals"];
  Row("read", Size(totals["bytes_read"]));
  if (totals["pieces"].get<uint64_t>() > 0) {
    Row("pieces", fmt::format("{} of {} right",
                              totals["pieces"].get<uint64_t>() -
                                  totals["bad_pieces"].get<uint64_t>(),
                              totals["pieces"].get<uint64_t>()));
  }
  if (const Fields& torrent = document_["torrent"]; torrent.is_object()) {
    Row("torrent", Text(torrent["name"]) + " <small>(" +
                       Text(torrent["source"]) + ")</small>");
    Row("v1 info-hash",
        "<span class=\"hash\">" + Text(torrent["info_hash_v1"]) + "</span>");
    Row("v2 info-hash",
        "<span class=\"hash\">" + Text(torrent["info_hash_v2"]) + "</span>");
  }
  Add("</dl>\n");
}

void Page::Sources() {
  Add("<h2>What says what the files should be</h2>\n");
  if (document_["sources"].empty()) {
    Add(document_["torrent"].is_object()
            ? "<p>The torrent alone.</p>\n"
            : "<p>Nothing: no torrent, no list and no signature was "
              "found.</p>\n");
    return;
  }
  Add("<table><thead><tr><th>source</th><th>files</th><th>signed by</th>"
      "</tr></thead><tbody>\n");
  for (const Fields& source : document_["sources"]) {
    std::string signer = "nobody";
    if (!Text(source["key"]).empty()) {
      signer = (source["trusted"].get<bool>() ? Text(source["signed_by"])
                                              : "an unknown key") +
               " <span class=\"hash\">" + Text(source["key"]) + "</span>";
    }
    Add(fmt::format("<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
                    Text(source["source"]), source["files"].get<uint64_t>(),
                    signer));
  }
  Add("</tbody></table>\n");
}

void Page::Files() {
  Add("<h2>Files</h2><table><thead><tr><th>file</th><th>size</th>"
      "<th>outcome</th><th>level</th></tr></thead><tbody>\n");
  for (const Fields& file : document_["files"]) {
    std::string digests;
    for (const auto& [name, hex] : file["digests"].items()) {
      digests += fmt::format(
          "<br><small>{}</small> <span class=\"hash\">{}"
          "</span>",
          EscapeHtml(name), Text(hex));
    }
    std::string why = Text(file["detail"]);
    if (!why.empty()) why = "<br><small>" + why + "</small>";
    std::string by = Text(file["source"]);
    if (!by.empty()) by = "<br><small>by " + by;
    if (const std::string name = Text(file["signer_name"]); !name.empty()) {
      by += ", signed by " + name;
    }
    if (!by.empty()) by += "</small>";
    const std::string status = Text(file["status"]);
    Add(fmt::format(
        "<tr><td><code>{}</code>{}</td><td class=\"n\">{}</td>"
        "<td class=\"{}\">{}{}</td><td>{}{}</td></tr>\n",
        Text(file["path"]), digests, Size(file["bytes"]), ColourOf(status),
        status, why, Text(file["level_text"]), by));
  }
  Add("</tbody></table>\n");
}

void Page::Damage() {
  bool any = false;
  for (const Fields& file : document_["files"]) {
    for (const Fields& range : file["damage"]) {
      if (!any) {
        Add("<h2>Damage</h2><table><thead><tr><th>file</th><th>piece</th>"
            "<th>bytes</th><th>tensors</th></tr></thead><tbody>\n");
        any = true;
      }
      std::string tensors;
      for (const Fields& tensor : range["tensors"]) {
        tensors += (tensors.empty() ? "" : "<br>") + Text(tensor);
      }
      Add(fmt::format(
          "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td>{} to {}"
          "</td><td class=\"hash\">{}</td></tr>\n",
          Text(file["path"]), range["piece"].get<uint64_t>(),
          range["begin"].get<uint64_t>(), range["end"].get<uint64_t>() - 1,
          tensors));
    }
  }
  if (any) Add("</tbody></table>\n");
}

void Page::Checks() {
  Add("<h2>Signature, structure, numbers and smoke test</h2>\n");
  if (document_["checks"].empty()) {
    Add("<p>Not asked for.</p>\n");
  } else {
    Add("<table><thead><tr><th>check</th><th>of</th><th>outcome</th>"
        "<th>what was found</th></tr></thead><tbody>\n");
    for (const Fields& check : document_["checks"]) {
      const std::string status = Text(check["status"]);
      const Fields& evidence = check["evidence"];
      std::string digest;
      if (evidence.is_object() && evidence.contains("sha256")) {
        digest = "<br><small>sha256</small> <span class=\"hash\">" +
                 Text(evidence["sha256"]) + "</span>";
      }
      Add(
          fmt::format("<tr><td>{}</td><td><code>{}</code></td>"
                      "<td class=\"{}\">{}</td><td>{}{}</td></tr>\n",
                      Text(check["id"]), Text(check["subject"]),
                      ColourOf(status), status, Text(check["detail"]), digest));
    }
    Add("</tbody></table>\n");
  }
  if (!document_.contains("warnings")) return;
  Add("<h2>Warnings</h2><ul>\n");
  for (const Fields& warning : document_["warnings"]) {
    Add(fmt::format("<li>{} <small>{}</small></li>\n", Text(warning["message"]),
                    Text(warning["hint"])));
  }
  Add("</ul>\n");
}

void Page::Meaning() {
  const Fields& level = document_["level"];
  Add("<h2>What this proves and what not</h2><dl>\n");
  Row("level", Text(level["text"]));
  Row("proves", Text(level["proves"]));
  Row("does not", Text(level["does_not_prove"]));
  Row("never",
      "That a model is good. Structure, numbers and smoke test say that it is "
      "a whole and working model of the shape that its configuration claims, "
      "and no more. Nor does this page prove itself: whoever has it could "
      "have changed it.");
  Add("</dl>\n");
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  // Control characters, bad bytes and marks of direction first.
  const std::string plain =
      verify::EscapeForTerminal(text, text.size() * 8 + 64);
  std::string out;
  out.reserve(plain.size());
  for (const char c : plain) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string ReportPage(const Fields& document) {
  return Page(document).Write();
}

}  // namespace cli
