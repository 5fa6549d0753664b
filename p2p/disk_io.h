// SPDX-License-Identifier: Apache-2.0
// The disk side of a session. Blocks that peers send gather in memory until
// their piece is whole; then it is hashed where it lies and written in one go,
// so that payload crosses memory once on its way in and is never read back.
//
//   peer ──block──► piece buffer ──whole──► hash ──► pwrite ──► verdict
//                        │ over the budget: written as it is, and hashed
//                        └────────────────► later from the disk
//
// Memory is bounded whatever the sizes: beyond the budget the pieces that
// waited longest are written early, and peers wait while writes lag behind.
// docs/decisions/0004-disk-layer.md says why libtorrent's own is not used.
// Internal to p2p. Tested by tests/p2p/disk_io_test.cc and every swarm test.
#pragma once

#include <cstddef>

#include "p2p/lt_bridge.h"
#include "p2p/payload_files.h"

namespace p2p {

struct DiskIoOptions {
  PayloadFilesOptions files;
  // Of pieces that are not written yet. More would not be faster: what is
  // gathered is best hashed while it is in the processor's cache.
  size_t budget_bytes = 32u << 20;
  size_t num_threads = 2;
};

// For lt::session_params::disk_io_constructor.
lt::disk_io_constructor_type MakeDiskIo(const DiskIoOptions& options);

}  // namespace p2p
