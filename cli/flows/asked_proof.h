// SPDX-License-Identifier: Apache-2.0
// What a user wants a payload held against, besides its torrent, while it is
// fetched: sums from the publisher's page, a signature, keys. Judged three
// times, each as early as can be: before anything is fetched, when the names in
// the torrent are known, and over the bytes.
// Tested by tests/scripts/get_proof.py.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/verify_flow.h"
#include "p2p/metainfo.h"
#include "verify/base/result.h"

namespace cli {

struct AskedProof {
  std::vector<std::string> sum_lists;  // files of SHA-256 sums
  std::string signature_file;
  std::vector<std::string> keys;   // as SignatureOptions has them
  bool require_signature = false;  // by a trusted or a given key
};

// That every file and key can be read. Errors: of the readers; kInvalidArgument
// (E-SUMS) for sums that are not SHA-256.
verify::Result<void> CheckAskedProof(const AskedProof& proof, Context& context);

// That the torrent holds what the proof speaks of. Errors: kNotFound
// (E-LIST-NAMES: a list of sums names none of its files), kUntrusted
// (E-NO-SIGNATURE: one is required, and nothing can be one).
verify::Result<void> CheckProofFits(const AskedProof& proof,
                                    const p2p::Metainfo& metainfo);

// Adds it to the options of the check of options.path. Errors: those of
// ReadAgainst.
verify::Result<void> AddProof(const AskedProof& proof, Context& context,
                              VerifyOptions& options);

}  // namespace cli
