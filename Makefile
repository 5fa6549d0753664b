# SPDX-License-Identifier: Apache-2.0
# A thin front over the CMake presets. `make` prints the list.
.DEFAULT_GOAL := help
.PHONY: help setup build test test-arm64 demo install uninstall bench

PREFIX ?= /usr/local
# The demo's working folder.
DEMO ?= build/demo

help:
	@echo 'make demo      install packages, build, and show the whole way on a small model'
	@echo 'make test      install packages, build and run all tests'
	@echo 'make test-arm64  cross build, and the tests that need no network under qemu'
	@echo 'make setup     install the Debian packages that are missing (./setup.sh --check: only say)'
	@echo 'make build     build/release/lodestone'
	@echo 'make install   into $$DESTDIR$$PREFIX (PREFIX=/usr/local)'
	@echo 'make uninstall what install put there'
	@echo 'make bench     compare with aria2, md5sum and sha256sum on this machine'

setup:
	@./setup.sh

# Configured once; CMake itself notices when its files change.
build/release/build.ninja: | setup
	@cmake --preset release

build: setup build/release/build.ninja
	@cmake --build build/release --target lodestone

test: setup build/release/build.ninja
	@cmake --build build/release
	@tests/run.sh build/release

build/arm64-root/usr:
	@tests/arm64/sysroot.sh build/arm64-root

test-arm64: build/arm64-root/usr
	@./setup.sh --arm64
	@cmake --preset arm64
	@cmake --build build/arm64
	@ctest --preset arm64

demo: build
	@build/release/lodestone demo --output $(DEMO)

install: build
	@cmake --install build/release --prefix $(PREFIX)

uninstall:
	@test -f build/release/install_manifest.txt || { echo 'nothing was installed from here' >&2; exit 1; }
	@xargs -d '\n' -I{} rm -f -- "$(DESTDIR){}" < build/release/install_manifest.txt

bench: build
	@python3 tests/bench/rivals.py build/release/lodestone
	@python3 tests/bench/digests.py build/release/lodestone --gib 1 --rounds 3
	@python3 tests/bench/fetch.py build/release/lodestone --mib 1024 --only lodestone,aria2
