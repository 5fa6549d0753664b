// SPDX-License-Identifier: Apache-2.0
#include "inference/model/session_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "inference/model/model_identity.h"
#include "inference/model/model_impl.h"
#include "inference/model/session_impl.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/container/xxh64.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::Sha256Digest;
using verify::StrCat;

constexpr std::string_view kSessionMagic = "LODESESS";
constexpr uint32_t kSessionVersion = 1;
constexpr size_t kKernelNameBytes = 16;
// Where the kind of keys and values stands beside that of activations.
constexpr uint32_t kKvShift = 8;
// Up to and with the checksum of what is before it.
constexpr size_t kSessionHeadBytes = 112;
constexpr size_t kHeadSumAt = kSessionHeadBytes - sizeof(uint64_t);
// Rows are read and written by so many bytes at a time.
constexpr size_t kChunkBytes = 1u << 20;

constexpr std::string_view kAnewHint =
    "name another file, or remove this one to begin anew";

// The numbers of the head, in the order in which they stand.
struct SessionHead {
  SessionOrigin origin;
  uint64_t note_bytes = 0;
  uint64_t num_tokens = 0;
  uint64_t first_row = 0;  // position of the first row that is there
  uint64_t row_bytes = 0;  // keys of one position of one layer
  uint64_t num_layers = 0;

  uint64_t num_rows() const { return num_tokens - first_row; }
};

verify::Unexpected BadSession(std::string message, uint64_t offset) {
  return Fail(ErrorCode::kCorrupt, std::move(message))
      .At(offset)
      .Id("E-SESSION")
      .Hint(kAnewHint);
}

template <typename T>
void AppendNumber(std::string& out, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.append(verify::AsText(bytes));
}

std::string WriteSessionHead(const SessionHead& head) {
  std::string out(kSessionMagic);
  AppendNumber(out, kSessionVersion);
  const uint32_t exact = head.origin.activations == Activations::kExact ? 1 : 0;
  const uint32_t bytes = head.origin.kv == KvType::kQ8_0 ? 1 : 0;
  AppendNumber(out, exact | bytes << kKvShift);
  out.append(verify::AsText(head.origin.model));
  std::string kernels = head.origin.kernels.substr(0, kKernelNameBytes);
  kernels.resize(kKernelNameBytes);
  out += kernels;
  for (const uint64_t number :
       {head.note_bytes, head.num_tokens, head.first_row, head.row_bytes,
        head.num_layers}) {
    AppendNumber(out, number);
  }
  AppendNumber(out, verify::Xxh64(verify::AsBytes(out)));
  CHECK(out.size() == kSessionHeadBytes);
  return out;
}

Result<SessionHead> ReadSessionHead(const verify::ByteSource& file) {
  std::array<std::byte, kSessionHeadBytes> bytes{};
  if (file.size() < bytes.size()) {
    return BadSession(StrCat("no session: ", file.size(), " bytes are too few"),
                      file.size());
  }
  RETURN_IF_ERROR(file.ReadAt(0, bytes));
  verify::ByteReader reader(bytes);
  ASSIGN_OR_RETURN(const ByteSpan magic,
                   reader.ReadBytes(kSessionMagic.size()));
  if (verify::AsText(magic) != kSessionMagic) {
    return BadSession("no session file: it does not begin as one", 0);
  }
  ASSIGN_OR_RETURN(const uint32_t version, reader.Read<uint32_t>());
  if (version != kSessionVersion) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("a session of format ", version, ", this program reads ",
                       kSessionVersion))
        .Id("E-SESSION")
        .Hint(kAnewHint);
  }
  if (verify::LoadLe<uint64_t>(ByteSpan(bytes).subspan(kHeadSumAt)) !=
      verify::Xxh64(ByteSpan(bytes).first(kHeadSumAt))) {
    return BadSession("the head of the session is damaged: its sum differs",
                      kHeadSumAt);
  }
  SessionHead head;
  ASSIGN_OR_RETURN(const uint32_t ways, reader.Read<uint32_t>());
  const uint32_t exact = ways & ((1u << kKvShift) - 1);
  if (exact > 1) {
    return BadSession(StrCat("activations of kind ", exact), 12);
  }
  if (ways >> kKvShift > 1) {
    return BadSession(StrCat("keys and values of kind ", ways >> kKvShift), 13);
  }
  head.origin.kv = ways >> kKvShift == 1 ? KvType::kQ8_0 : KvType::kF16;
  head.origin.activations =
      exact == 1 ? Activations::kExact : Activations::kRounded;
  ASSIGN_OR_RETURN(const ByteSpan model,
                   reader.ReadBytes(head.origin.model.size()));
  std::copy(model.begin(), model.end(), head.origin.model.begin());
  ASSIGN_OR_RETURN(const ByteSpan name, reader.ReadBytes(kKernelNameBytes));
  const std::string_view kernels = verify::AsText(name);
  head.origin.kernels = kernels.substr(0, kernels.find('\0'));
  for (uint64_t* number : {&head.note_bytes, &head.num_tokens, &head.first_row,
                           &head.row_bytes, &head.num_layers}) {
    ASSIGN_OR_RETURN(*number, reader.Read<uint64_t>());
  }
  return head;
}

Result<void> CheckOrigin(const SessionOrigin& of_file,
                         const SessionOrigin& here) {
  if (of_file.model != here.model) {
    return Fail(ErrorCode::kMismatch, "the session is of another model")
        .Id("E-SESSION-MODEL")
        .Hint(StrCat("give the model it was made with, ", kAnewHint));
  }
  const auto precision = [](Activations activations) {
    return activations == Activations::kExact ? "float" : "rounded";
  };
  const std::string kernels = here.kernels.substr(0, kKernelNameBytes);
  if (of_file.kernels == kernels && of_file.activations == here.activations) {
    if (of_file.kv == here.kv) return {};
    return Fail(ErrorCode::kMismatch,
                StrCat("the session keeps keys and values as ",
                       KvTypeName(of_file.kv), ", here it is ",
                       KvTypeName(here.kv)))
        .Id("E-SESSION-ENGINE")
        .Hint(StrCat("go on with --kv ", KvTypeName(of_file.kv), ", ",
                     kAnewHint));
  }
  return Fail(
             ErrorCode::kMismatch,
             StrCat("the session was computed by ",
                    verify::EscapeForTerminal(of_file.kernels), " with ",
                    precision(of_file.activations), " activations, here it is ",
                    kernels, " with ", precision(here.activations),
                    ": it would not go on as it "
                    "began"))
      .Id("E-SESSION-ENGINE")
      .Hint(StrCat(of_file.activations == here.activations
                       ? "go on where it was made, "
                       : "go on with or without --exact as it began, ",
                   kAnewHint));
}

// Bytes that the file must have, or nothing on overflow.
std::optional<uint64_t> SizeOf(const SessionHead& head) {
  using verify::CheckedAdd;
  using verify::CheckedMul;
  auto rows = CheckedMul<uint64_t>(head.num_rows(), head.row_bytes);
  if (rows.has_value()) rows = CheckedMul<uint64_t>(*rows, 2);
  if (rows.has_value()) rows = CheckedMul<uint64_t>(*rows, head.num_layers);
  const auto ids = CheckedMul<uint64_t>(head.num_tokens, sizeof(TokenId));
  std::optional<uint64_t> size =
      uint64_t{kSessionHeadBytes} + sizeof(Sha256Digest);
  for (const auto& part : {std::optional(head.note_bytes), ids, rows}) {
    if (!size.has_value() || !part.has_value()) return std::nullopt;
    size = CheckedAdd<uint64_t>(*size, *part);
  }
  return size;
}

Result<void> CheckSessionHead(const SessionHead& head, uint64_t file_size,
                              const verify::ModelConfig& config,
                              uint64_t max_tokens) {
  const uint64_t row_bytes =
      KvBytes(head.origin.kv,
              static_cast<size_t>(config.num_kv_heads * config.head_dim));
  if (head.row_bytes != row_bytes || head.num_layers != config.num_layers) {
    return BadSession(
        StrCat("keys of ", head.row_bytes, " bytes in ", head.num_layers,
               " layers, the model has ", row_bytes, " in ", config.num_layers),
        88);
  }
  if (head.note_bytes > kMaxSessionNoteBytes) {
    return BadSession(StrCat("a note of ", head.note_bytes,
                             " bytes, the limit is ", kMaxSessionNoteBytes),
                      64);
  }
  // The next token sees the keys that are less than the window before it.
  const uint64_t window = config.sliding_window.value_or(0);
  const uint64_t seen = window == 0 || head.num_tokens < window
                            ? 0
                            : head.num_tokens - window + 1;
  if (head.first_row > seen) {
    return BadSession(StrCat("keys from position ", head.first_row,
                             " on, the model looks at those from ", seen),
                      80);
  }
  const auto size = SizeOf(head);
  if (!size.has_value() || *size != file_size) {
    return BadSession(
        StrCat("a session of ", head.num_tokens, " tokens is ",
               size.has_value() ? StrCat(*size) : std::string("too many"),
               " bytes, the file has ", file_size),
        file_size);
  }
  if (head.num_tokens > max_tokens) {
    return Fail(ErrorCode::kLimit,
                StrCat("the session has ", head.num_tokens,
                       " tokens, the context holds ", max_tokens))
        .Id("E-CONTEXT")
        .Hint(StrCat("give a larger --ctx, ", kAnewHint));
  }
  return {};
}

// Reads on and keeps a sum of all.
class SummedReader {
 public:
  explicit SummedReader(const verify::ByteSource& file) : file_(file) {}

  uint64_t offset() const { return offset_; }
  Result<void> Read(std::span<std::byte> out) {
    RETURN_IF_ERROR(file_.ReadAt(offset_, out));
    hasher_.Update(out);
    offset_ += out.size();
    return {};
  }
  Sha256Digest Finish() { return hasher_.Finish(); }

 private:
  const verify::ByteSource& file_;
  verify::Sha256Hasher hasher_;
  uint64_t offset_ = 0;
};

// Calls visit(first, count) for all positions of the rows, as many at a time
// as a chunk holds.
template <typename Visit>
Result<void> ForChunks(const SessionHead& head, const Visit& visit) {
  const uint64_t most = std::max<uint64_t>(1, kChunkBytes / head.row_bytes);
  for (uint64_t at = head.first_row; at < head.num_tokens;) {
    const uint64_t count = std::min(most, head.num_tokens - at);
    RETURN_IF_ERROR(visit(at, count));
    at += count;
  }
  return {};
}

std::byte* RowAt(KvCache& cache, size_t layer, bool is_value,
                 uint64_t position) {
  return is_value ? cache.Value(layer, position) : cache.Key(layer, position);
}

// Rows before `begin` are read for their sum alone.
Result<void> ReadRows(SummedReader& in, const SessionHead& head, uint64_t begin,
                      KvCache& cache) {
  std::vector<std::byte> chunk;
  for (size_t i = 0; i < 2 * head.num_layers; ++i) {
    const auto read = [&](uint64_t first, uint64_t count) -> Result<void> {
      chunk.resize(static_cast<size_t>(count * head.row_bytes));
      RETURN_IF_ERROR(in.Read(chunk));
      for (uint64_t p = std::max(first, begin); p < first + count; ++p) {
        std::memcpy(RowAt(cache, i / 2, i % 2 == 1, p),
                    chunk.data() + (p - first) * head.row_bytes,
                    static_cast<size_t>(head.row_bytes));
      }
      return {};
    };
    RETURN_IF_ERROR(ForChunks(head, read));
  }
  return {};
}

Result<void> CheckIds(std::span<const TokenId> ids, uint64_t vocab_size,
                      uint64_t offset) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && static_cast<uint64_t>(ids[i]) < vocab_size) continue;
    return BadSession(StrCat("token ", i, " is ", ids[i],
                             ", the vocabulary has ", vocab_size),
                      offset + i * sizeof(TokenId));
  }
  return {};
}

}  // namespace

Result<SessionContent> ReadSession(const verify::ByteSource& file,
                                   const SessionOrigin& origin,
                                   const verify::ModelConfig& config,
                                   uint64_t max_tokens) {
  ASSIGN_OR_RETURN(const SessionHead head, ReadSessionHead(file));
  RETURN_IF_ERROR(CheckOrigin(head.origin, origin));
  // Of first_row, which is subtracted from num_tokens, before anything else.
  if (head.first_row > head.num_tokens) {
    return BadSession(StrCat("keys from position ", head.first_row, " on of ",
                             head.num_tokens, " tokens"),
                      80);
  }
  RETURN_IF_ERROR(CheckSessionHead(head, file.size(), config, max_tokens));
  ASSIGN_OR_RETURN(KvCache cache,
                   KvCache::Create(config, max_tokens, origin.kv));
  SessionContent content{{}, {}, std::move(cache)};
  SummedReader in(file);
  std::array<std::byte, kSessionHeadBytes> head_bytes{};
  RETURN_IF_ERROR(in.Read(head_bytes));
  content.note.resize(static_cast<size_t>(head.note_bytes));
  RETURN_IF_ERROR(in.Read(std::as_writable_bytes(std::span(content.note))));
  const uint64_t ids_at = in.offset();
  content.tokens.resize(static_cast<size_t>(head.num_tokens));
  RETURN_IF_ERROR(in.Read(std::as_writable_bytes(std::span(content.tokens))));
  RETURN_IF_ERROR(CheckIds(content.tokens, config.vocab_size, ids_at));
  // A ring may be smaller than the one that was saved.
  const uint64_t capacity = content.cache.capacity();
  const uint64_t begin =
      head.num_rows() > capacity ? head.num_tokens - capacity : head.first_row;
  RETURN_IF_ERROR(ReadRows(in, head, begin, content.cache));
  const uint64_t sum_at = in.offset();
  Sha256Digest stated{};
  RETURN_IF_ERROR(file.ReadAt(sum_at, stated));
  if (in.Finish() != stated) {
    return BadSession("the session is damaged: its sum differs", sum_at);
  }
  content.cache.Resume(begin, head.num_tokens);
  return content;
}

SessionOrigin SessionFile::OriginOf(const Model& model) {
  return {IdentifyModel(model), std::string(model.kernels()),
          model.activations(), model.kv_type()};
}

Result<void> SessionFile::Save(const Session& session, const std::string& path,
                               std::string_view note) {
  if (note.size() > kMaxSessionNoteBytes) {
    return Fail(ErrorCode::kInvalidArgument, StrCat("a note of ", note.size(),
                                                    " bytes beside a session, "
                                                    "the limit is ",
                                                    kMaxSessionNoteBytes))
        .Id("E-SESSION");
  }
  KvCache& cache = session.impl_->cache;
  SessionHead head;
  head.origin = OriginOf(session.model());
  head.note_bytes = note.size();
  head.num_tokens = cache.position();
  head.first_row = cache.oldest();
  head.row_bytes = cache.row_bytes();
  head.num_layers = session.model().config().num_layers;

  ASSIGN_OR_RETURN(auto file, verify::AtomicFileWriter::Create(path, 0600));
  verify::Sha256Hasher hasher;
  const auto write = [&](ByteSpan bytes) {
    hasher.Update(bytes);
    return file.Write(bytes);
  };
  RETURN_IF_ERROR(write(verify::AsBytes(WriteSessionHead(head))));
  RETURN_IF_ERROR(write(verify::AsBytes(note)));
  RETURN_IF_ERROR(write(std::as_bytes(session.tokens())));
  std::vector<std::byte> chunk;
  for (size_t i = 0; i < 2 * head.num_layers; ++i) {
    const auto write_rows = [&](uint64_t first,
                                uint64_t count) -> Result<void> {
      chunk.resize(static_cast<size_t>(count * head.row_bytes));
      for (uint64_t p = first; p < first + count; ++p) {
        std::memcpy(chunk.data() + (p - first) * head.row_bytes,
                    RowAt(cache, i / 2, i % 2 == 1, p),
                    static_cast<size_t>(head.row_bytes));
      }
      return write(chunk);
    };
    RETURN_IF_ERROR(ForChunks(head, write_rows));
  }
  RETURN_IF_ERROR(file.Write(hasher.Finish()));
  return file.Commit();
}

Result<SessionFile::Loaded> SessionFile::Load(const Model& model,
                                              const std::string& path,
                                              uint64_t max_tokens) {
  ASSIGN_OR_RETURN(const auto file, verify::ReadOnlyFile::Open(path));
  auto content = ReadSession(file, OriginOf(model), model.config(), max_tokens);
  if (!content) {
    return verify::WithContext(
        std::move(content).error(),
        StrCat('"', verify::EscapeForTerminal(path), '"'));
  }
  auto impl = std::make_unique<Session::Impl>(Session::Impl{
      &model, std::move(content->cache), {}, std::move(content->tokens)});
  impl->logits.resize(static_cast<size_t>(model.config().vocab_size));
  return Loaded{Session(std::move(impl)), std::move(content->note)};
}

}  // namespace inference
