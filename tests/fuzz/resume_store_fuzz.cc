// SPDX-License-Identifier: Apache-2.0
// The input as a whole state file, and as the body of one whose digest is
// right, so that mutation reaches the fields.
#include <cstring>
#include <vector>

#include "p2p/resume_store.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/digest/digest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  static_cast<void>(p2p::DecodeState(bytes));

  const uint32_t version = 1;
  const uint64_t body_size = size;
  const verify::Sha256Digest digest = verify::Sha256(bytes);
  std::vector<std::byte> file(8 + sizeof(version) + sizeof(body_size) +
                              digest.size() + size);
  std::byte* out = file.data();
  const auto append = [&](const void* from, size_t count) {
    if (count > 0) std::memcpy(out, from, count);
    out += count;
  };
  append("LSTSTATE", 8);
  append(&version, sizeof(version));
  append(&body_size, sizeof(body_size));
  append(digest.data(), digest.size());
  append(data, size);
  const auto decoded = p2p::DecodeState(file);
  if (decoded) {
    const auto again = p2p::DecodeState(p2p::EncodeState(*decoded));
    CHECK(again);
    CHECK(*again == *decoded);
  }
  return 0;
}
