#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Debian's libraries for arm64 in a folder of their own: nothing of this system
# changes, whose packages of two architectures would be in each other's way.
#
#   tests/arm64/sysroot.sh build/arm64-root
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${1:?usage: sysroot.sh FOLDER}
mkdir -p "$root"
root=$(cd "$root" && pwd)
apt=$root/.apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: > "$apt/status"  # of an empty system: every package that is needed comes

get() {
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
    -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" \
    -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
    -o Dir::Cache::archives="$apt/archives" -o Debug::NoLocking=1 \
    -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0 "$@"
}

get update
# Libraries alone: compilers and peers are those of this system.
# shellcheck disable=SC2046
get install --download-only --yes --no-install-recommends \
  libc6 libstdc++6 $("$here/../../setup.sh" --list | grep -- '-dev$')
for package in "$apt"/archives/*.deb; do
  dpkg-deb --extract "$package" "$root"
done
# Absolute links would lead to libraries of this system.
find "$root" -xtype l -lname '/*' -print | while read -r link; do
  ln -sfn "$root$(readlink "$link")" "$link"
done
rm -rf "$apt/archives"
