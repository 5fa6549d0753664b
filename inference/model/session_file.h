// SPDX-License-Identifier: Apache-2.0
// A session in a file: its tokens with their keys and values as they are in
// memory, so that what was computed once need not be again.
// Format: docs/formats/session.md.
// Tested by tests/inference/model/session_file_test.cc, fuzzed by
// tests/fuzz/session_file_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inference/model/kv_cache.h"
#include "inference/model/model.h"
#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"
#include "verify/structure/model_config.h"

namespace inference {

// Of the text that a caller may put beside the session.
inline constexpr uint64_t kMaxSessionNoteBytes = 16u << 20;

// What keys and values were computed by; they are of no use to another.
struct SessionOrigin {
  verify::Sha256Digest model{};  // IdentifyModel
  std::string kernels;           // Model::kernels
  Activations activations = Activations::kRounded;
  KvType kv = KvType::kF16;
};

// What a file holds.
struct SessionContent {
  std::string note;
  std::vector<TokenId> tokens;
  KvCache cache;
};

// Reads a session for a cache of `max_tokens`. Nothing of the file sizes
// anything before it was compared with the file's length, `config` and
// `max_tokens`. Errors: kCorrupt E-SESSION (no session file, cut off, a sum
// that differs, values that cannot be), kUnsupported E-SESSION (a later
// version), kMismatch E-SESSION-MODEL (of another model) and E-SESSION-ENGINE
// (other kernels or activations), kLimit E-CONTEXT (longer than max_tokens),
// E-MEMORY; those of reading.
verify::Result<SessionContent> ReadSession(const verify::ByteSource& file,
                                           const SessionOrigin& origin,
                                           const verify::ModelConfig& config,
                                           uint64_t max_tokens);

// Sessions of a model to files and back.
class SessionFile {
 public:
  // Written beside `path` and renamed, for the user's eyes alone: after a kill
  // the old file is there or the new one. `note` is handed back by Load.
  // Errors: kInvalidArgument (note longer than kMaxSessionNoteBytes), kIo.
  static verify::Result<void> Save(const Session& session,
                                   const std::string& path,
                                   std::string_view note = {});

  struct Loaded {
    Session session;
    std::string note;
  };
  // The session goes on with the bits that the saved one would have gone on
  // with. Its logits() are there when something has been appended: who needs
  // those of the last token rewinds by it and appends it.
  // Errors: those of opening and of ReadSession.
  static verify::Result<Loaded> Load(const Model& model,
                                     const std::string& path,
                                     uint64_t max_tokens);

 private:
  static SessionOrigin OriginOf(const Model& model);
};

}  // namespace inference
