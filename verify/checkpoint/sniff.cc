// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/sniff.h"

#include <algorithm>
#include <array>
#include <span>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/base/web_page.h"
#include "verify/container/archive.h"
#include "verify/container/tar_reader.h"

namespace verify {
namespace {

using std::string_view_literals::operator""sv;

constexpr size_t kPrefixBytes = 4096;
constexpr size_t kTarMagicOffset = 257;

struct Magic {
  std::string_view bytes;
  std::string_view description;
};

constexpr std::array kMagics = {
    Magic{"version https://git-lfs.github.com/spec/"sv, "a Git LFS pointer"},
    Magic{"\x7f"
          "ELF"sv,
          "an ELF program"},
    Magic{"MZ"sv, "a Windows or llamafile program"},
    Magic{"\xcf\xfa\xed\xfe"sv, "a macOS program"},
    Magic{"\xce\xfa\xed\xfe"sv, "a macOS program"},
    Magic{"\xfe\xed\xfa\xcf"sv, "a macOS program"},
    Magic{"\xca\xfe\xba\xbe"sv, "a macOS or Java program"},
    Magic{"\0asm"sv, "a WebAssembly program"},
    Magic{"#!"sv, "a script"},
    Magic{"%PDF-"sv, "a PDF document"},
    Magic{"\x89HDF\r\n"sv, "an HDF5 file"},
    Magic{"\x89PNG\r\n"sv, "an image"},
    Magic{"\xff\xd8\xff"sv, "an image"},
    Magic{"SQLite format 3\0"sv, "an SQLite database"},
    Magic{"PK\x07\x08"sv, "a part of a zip archive"},
    Magic{"\x93NUMPY"sv, "a NumPy array"},
    Magic{"ggml"sv, "a GGML file, the form before GGUF"},
    Magic{"lmgg"sv, "a GGML file, the form before GGUF"},
    Magic{"fmgg"sv, "a GGML file, the form before GGUF"},
    Magic{"tjgg"sv, "a GGML file, the form before GGUF"},
};

// A length, then the '{' of a header: enough to hand it to the reader, which
// says what is wrong with the rest.
bool IsSafetensors(ByteSpan start) {
  constexpr size_t kLengthBytes = 8;
  if (start.size() <= kLengthBytes || start[kLengthBytes] != std::byte{'{'}) {
    return false;
  }
  const std::string_view rest = AsText(start.subspan(kLengthBytes + 1));
  const size_t next = rest.find_first_not_of(" \t\r\n");
  return next == std::string_view::npos || rest[next] == '"' ||
         rest[next] == '}';
}

bool IsPickle(ByteSpan start) {
  return start.size() >= 2 && start[0] == std::byte{0x80} &&
         std::to_integer<uint8_t>(start[1]) <= 5;
}

// Protocol 0 has no mark of its own; what is dangerous begins with a global.
bool IsTextPickle(std::string_view text) {
  if (!text.starts_with("c") && !text.starts_with("(c")) return false;
  text.remove_prefix(text.find('c') + 1);
  for (int line = 0; line < 2; ++line) {
    const size_t end = text.find('\n');
    if (end == 0 || end > 128) return false;
    for (const char c : text.substr(0, end)) {
      const bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.';
      if (!is_name) return false;
    }
    text.remove_prefix(end + 1);
  }
  // The arguments, or first a memo entry.
  return text.starts_with('(') || (text.size() > 1 && text[0] == 'p' &&
                                   text[1] >= '0' && text[1] <= '9');
}

}  // namespace

std::string_view CheckpointFormatName(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::kTorch:
      return "torch";
    case CheckpointFormat::kSafetensors:
      return "safetensors";
    case CheckpointFormat::kGguf:
      return "gguf";
  }
  return "unknown";
}

Result<SniffedContent> SniffContent(const ByteSource& file) {
  std::array<std::byte, kPrefixBytes> buffer{};
  const auto start = std::span<std::byte>(buffer).first(
      static_cast<size_t>(std::min<uint64_t>(kPrefixBytes, file.size())));
  RETURN_IF_ERROR(file.ReadAt(0, start));
  const std::string_view text = AsText(start);

  if (start.empty()) return SniffedContent{{}, "an empty file"};
  // Before weights: a file that begins as both is neither.
  if (IsTar(start)) {
    const std::string_view weights = WeightsKind(start);
    return SniffedContent{{},
                          weights.empty()
                              ? "a tar archive"
                              : StrCat("both ", weights, " and a tar archive")};
  }
  if (const std::string_view archive = ArchiveKind(start); !archive.empty()) {
    return SniffedContent{{}, std::string(archive)};
  }
  if (text.starts_with("GGUF")) {
    return SniffedContent{CheckpointFormat::kGguf, "GGUF"};
  }
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) {
    return SniffedContent{CheckpointFormat::kTorch, "a torch.save archive"};
  }
  if (IsSafetensors(start)) {
    return SniffedContent{CheckpointFormat::kSafetensors, "safetensors"};
  }
  for (const Magic& magic : kMagics) {
    if (text.starts_with(magic.bytes)) {
      return SniffedContent{{}, std::string(magic.description)};
    }
  }
  if (LooksLikeWebPage(text)) return SniffedContent{{}, "an HTML page"};
  // One that is damaged, too.
  if (text.size() > kTarMagicOffset &&
      text.substr(kTarMagicOffset).starts_with("ustar")) {
    return SniffedContent{{}, "a tar archive"};
  }
  if (IsPickle(start) || IsTextPickle(text))
    return SniffedContent{{}, "a bare pickle"};
  if (text.front() == '{' || text.front() == '[') {
    return SniffedContent{{}, "JSON text"};
  }
  if (std::all_of(start.begin(), start.end(),
                  [](std::byte b) { return b == std::byte{0}; })) {
    return SniffedContent{{}, "zeros"};
  }
  return SniffedContent{{}, "unknown data"};
}

}  // namespace verify
