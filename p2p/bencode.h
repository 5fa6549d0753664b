// SPDX-License-Identifier: Apache-2.0
// Bencode (BEP 3): a strict reader of untrusted bytes that neither copies nor
// recurses, and a writer. Canonical form only: integers and lengths without
// leading zeros, dictionary keys unique and in ascending order of bytes.
// Tested by tests/p2p/bencode_test.cc, fuzzed by tests/fuzz/bencode_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace p2p {

struct BencodeLimits {
  size_t max_depth = 256;         // of lists and dictionaries
  size_t max_tokens = 3'000'000;  // integers, strings (keys too), containers
};

enum class BencodeKind : uint8_t { kInteger, kString, kList, kDictionary };

class BencodeDocument;

// One value in a document, which must outlive it. Cheap to copy.
class BencodeValue {
 public:
  BencodeKind kind() const;
  bool is_dictionary() const { return kind() == BencodeKind::kDictionary; }
  bool is_list() const { return kind() == BencodeKind::kList; }

  // Nothing if the value is of another kind.
  std::optional<int64_t> AsInteger() const;
  std::optional<std::string_view> AsString() const;  // any bytes

  // The value as it stands in the input, byte for byte.
  verify::ByteSpan raw() const;
  // Where it begins in the input.
  size_t offset() const;

  // The value of a dictionary's key; nothing if there is none or this is no
  // dictionary. Time grows with the number of entries.
  std::optional<BencodeValue> Find(std::string_view key) const;

  // Children in order: a list's items, or a dictionary's keys and values in
  // turn. Empty for other kinds.
  class Iterator {
   public:
    BencodeValue operator*() const { return {document_, index_}; }
    Iterator& operator++();
    bool operator==(const Iterator&) const = default;

   private:
    friend class BencodeValue;
    Iterator(const BencodeDocument* document, uint32_t index)
        : document_(document), index_(index) {}
    const BencodeDocument* document_;
    uint32_t index_;
  };
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class BencodeDocument;
  BencodeValue(const BencodeDocument* document, uint32_t index)
      : document_(document), index_(index) {}

  const BencodeDocument* document_;
  uint32_t index_;
};

// A parsed value with all below it. Keeps views into the bytes, which must
// outlive it. Movable; values taken from it before a move are invalid after.
class BencodeDocument {
 public:
  // Exactly one value, with nothing behind it. Memory: 16 bytes per token.
  // Errors: kCorrupt (offset set), kLimit (depth, tokens, 4 GiB).
  static verify::Result<BencodeDocument> Parse(
      verify::ByteSpan bytes, const BencodeLimits& limits = {});

  BencodeValue root() const { return {this, 0}; }

 private:
  friend class BencodeValue;
  friend class BencodeValue::Iterator;
  friend class BencodeParser;

  struct Node {
    uint32_t begin = 0;
    uint32_t end = 0;
    uint32_t next = 0;  // the first node behind this value and all below it
    uint32_t text = 0;  // where a string's bytes or an integer's digits begin
  };

  verify::ByteSpan bytes_;
  std::vector<Node> nodes_;
};

// Writes canonical bencode. Keys must be added in ascending order, each
// followed by one value, and every Begin be matched by an End: anything else is
// a bug and ends the program.
class BencodeWriter {
 public:
  void Integer(int64_t value);
  void String(std::string_view text);
  void String(verify::ByteSpan bytes) { String(verify::AsText(bytes)); }
  void Raw(verify::ByteSpan value);  // one value, already encoded
  void BeginList();
  void BeginDictionary();
  void Key(std::string_view key);
  void End();

  size_t size() const { return out_.size(); }
  // The finished value; the writer is empty again.
  std::vector<std::byte> Take();

 private:
  struct Level {
    bool is_dictionary = false;
    bool expects_value = false;  // a key was written
    std::optional<std::string> last_key;
  };
  void BeforeValue();
  void AppendString(std::string_view text);

  std::string out_;
  std::vector<Level> levels_;
  bool done_ = false;
};

}  // namespace p2p
