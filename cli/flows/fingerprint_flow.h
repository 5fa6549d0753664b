// SPDX-License-Identifier: Apache-2.0
// The fingerprint of a model as a stage of publishing and of verifying.
// Tested by tests/scripts/fingerprint.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "inference/eval/fingerprint.h"
#include "inference/eval/fingerprint_check.h"
#include "verify/base/result.h"

namespace cli {

// Whether the user asked for a fingerprint, or it is made where it can be.
enum class FingerprintWish { kIfPossible, kAsked };

// Measures the model at `path` as the stage "fingerprint". Nothing where there
// is no model that runs, since anything may be published: a note says so, or
// the warning NO_FINGERPRINT if it was asked for. Errors: kCancelled.
verify::Result<std::optional<inference::Fingerprint>> RecordFingerprint(
    const std::string& path, FingerprintWish wish, size_t num_threads,
    Context& context);

// From a file that holds a fingerprint, or a Lodestone manifest with one.
// Errors: kNotFound (also E-NO-FINGERPRINT: a manifest without), kIo, those of
// ParseFingerprint and ParseManifest.
verify::Result<inference::Fingerprint> ReadFingerprintFile(
    const std::string& path);

// The fingerprint that a copy at `path` is to be checked against: that of
// `file` if one is given; else of the first manifest among `against`; else of
// the manifest beside the path; else of the one kept with its torrent. Errors: kNotFound (E-NO-FINGERPRINT: there is
// none), those of ReadFingerprintFile.
verify::Result<inference::Fingerprint> FindFingerprint(
    const std::string& path, const std::string& file,
    const std::vector<std::string>& against);

// Replaces the file only if it holds the same or `overwrite`. Errors: kIo
// (E-EXISTS, ...).
verify::Result<void> WriteFingerprintFile(
    const inference::Fingerprint& fingerprint, const std::string& path,
    bool overwrite);

// Measures the model at `path` and compares, as the stage "fingerprint"; each
// departure is an event "check". Errors: those of loading the model;
// kCancelled, kLimit; kCorrupt with the id E-FINGERPRINT if it is not the
// published model, naming the layer and part that first departs.
verify::Result<inference::FingerprintReport> CheckModelFingerprint(
    const std::string& path, const inference::Fingerprint& published,
    size_t num_threads, Context& context);

}  // namespace cli
