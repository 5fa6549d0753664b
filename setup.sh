#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, testing and the demo need.
#
#   ./setup.sh           install what is missing (as root, or through sudo)
#   ./setup.sh --check   only say what is missing; changes nothing, exit 1 if any
#   ./setup.sh --list    names all of them, one a line; changes nothing
#   ./setup.sh --arm64   also what `make test-arm64` needs (may stand before
#                        --check and --list)
#
# Does nothing when all is there, so that every make target may call it first.
set -eu

# Build: one line per purpose; the README gives the reason for each library.
BUILD="g++ cmake ninja-build pkg-config
libtorrent-rasterbar-dev libboost-dev
libssl-dev
nlohmann-json3-dev libcli11-dev libfmt-dev libedit-dev
libtomlplusplus-dev libsqlite3-dev libcurl4-openssl-dev libqrencode-dev
prometheus-cpp-dev
libsentencepiece-dev libhwy-dev libzstd-dev"

# Tests: the test framework, real counterparts for the swarm tests, and tools
# that the command-line tests call.
TEST="libgtest-dev libvalijson-dev python3
aria2 transmission-daemon transmission-cli qbittorrent-nox opentracker
microsocks iproute2 procps zstd minisign openssl"

# A cross compiler, and a CPU to run what it makes.
ARM64="g++-aarch64-linux-gnu qemu-user-static"
if [ "${1:-}" = --arm64 ]; then
  TEST="$TEST $ARM64"
  shift
fi

if [ "${1:-}" = --list ]; then
  printf '%s\n' $BUILD $TEST
  exit 0
fi

missing=
for package in $BUILD $TEST; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
  exit 0
fi
if [ "${1:-}" = --check ]; then
  echo "missing packages:$missing"
  exit 1
fi

if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: this is not Debian; install the equivalents of:$missing" >&2
  exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
  sudo=sudo
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: not root and no sudo; run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
fi

log=build/setup.log
mkdir -p build
echo "setup: installing:$missing"
echo "setup: log in $log"
{
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get update &&
  # No recommended packages, and no service is started by an installed daemon:
  # the tests start the peers they need by themselves.
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y --no-install-recommends $missing
} >"$log" 2>&1 || {
  tail -n 20 "$log" >&2
  echo "setup: apt-get failed; the whole log is $log" >&2
  exit 1
}
echo "setup: done"
