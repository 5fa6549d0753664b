#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every test of a build and ends with "N passed, N failed".
#   tests/run.sh BUILD_FOLDER [ctest arguments]
set -u
build=$1
shift
results=$build/test-results.xml
rm -f "$results"
# Swarms live in real time: on a machine that is busy elsewhere one may miss a
# limit. A test that fails is run once more, and the output tells of it.
ctest --test-dir "$build" --output-on-failure --no-tests=error \
  --repeat until-pass:2 \
  --output-junit "$(realpath -m "$results")" -j "$(nproc)" "$@"
status=$?
[ -f "$results" ] || exit 1

# ctest writes the counts as attributes, one a line.
count() {
  sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$results" | head -n 1
}
tests=$(count tests)
failed=$(count failures)
skipped=$(($(count skipped) + $(count disabled)))
echo "$((tests - failed - skipped)) passed, $failed failed, $skipped skipped"
exit $status
