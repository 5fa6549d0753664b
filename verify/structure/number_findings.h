// SPDX-License-Identifier: Apache-2.0
// What the numbers of a checkpoint say about it. Errors are what no working
// model has; the rest is legal and a warning. The limits, and why:
//
//   not finite   any NaN or infinity: an error
//   denormal     half of what is not zero, and at least 16 numbers, is too
//   small
//                to be normal in bf16, f32 or f64: an error (in f16, where
//                small weights can be denormal: a warning; f8 and scales: not
//                looked at)
//   zero tail    the last 4096 bytes or more of a file's weights are zero, or
//                its last matrix is: an error; a warning if it is less than a
//                twentieth of an embedding or output, whose rows may be padding
//   dead gate    all rows of a router zero or the same: an error; one zero row,
//                two rows the same, or a row 100 times larger than their
//                median: a warning
//   scale        root mean square 32 times that of the median over the layers
//                (and experts) of the same role and type, or as much smaller: a
//                warning; 10,000 times: an error, for norms too
//   mixed        in at least half of the roles, and at least three, the scale
//                jumps by three or more at the same layer, and is even on
//                either side: a warning
//   identical    a matrix (or a slab of merged experts) with the same bytes as
//                another: a warning; embedding and output: a note (tied)
//   constant     a matrix, or rows of it, all the same: a warning; rows of an
//                embedding or output count from a twentieth of them on
//
// Tested by tests/verify/structure/number_findings_test.cc.
#pragma once

#include <cstddef>
#include <vector>

#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/number_scan.h"
#include "verify/structure/structure_check.h"

namespace verify {

// `statistics`: one for each scanned tensor of `checkpoint`, in the order of
// its table. Reads again what has to be compared byte by byte.
void FindInNumbers(const Checkpoint& checkpoint,
                   const std::vector<TensorStatistics>& statistics,
                   StructureReport& report);

}  // namespace verify
