// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/join_parts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ExpectError;

PartTable Part(const std::string& path, const std::vector<std::string>& names) {
  PartTable part;
  part.path = path;
  part.file_size = 100;
  for (const std::string& name : names) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.shape = {1};
    tensor.size_bytes = 4;
    EXPECT_TRUE(part.tensors.Add(tensor, 100));
  }
  return part;
}

TEST(JoinPartsTest, FilesWithTensorsOfTheirOwnBecomeOneTable) {
  const auto joined =
      JoinParts({Part("a", {"x", "y"}), Part("b", {"z"}), Part("c", {})});
  ASSERT_TRUE(joined) << joined.error().ToString();
  EXPECT_EQ(joined->size(), 3u);
  EXPECT_EQ(joined->Find("y")->file_index, 0u);
  EXPECT_EQ(joined->Find("z")->file_index, 1u);
}

// C6: what is not joined is said to be what it is.
TEST(JoinPartsTest, C6SaysWhatPartsAre) {
  ExpectError(JoinParts({Part("a", {"x", "y"}), Part("b", {"y", "x"})}),
              ErrorCode::kUnsupported, "slices of a tensor-parallel run",
              "E-PARTS");
  ExpectError(JoinParts({Part("a", {"x", "y"}), Part("b", {"y"})}),
              ErrorCode::kCorrupt, "\"y\" is in \"a\" and in \"b\"", "E-PARTS");
  ExpectError(JoinParts({Part("a", {"x"}), Part("b", {"y"}), Part("c", {"y"})}),
              ErrorCode::kCorrupt, "no parts of one model", "E-PARTS");
}

}  // namespace
}  // namespace verify
