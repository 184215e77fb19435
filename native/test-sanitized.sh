#!/bin/sh
# Runs the addon's tests against a build with address and undefined-behaviour sanitizers (native/build/Debug), or with
# --fuzz as the first word scripts/fuzz-native*.ts. Build it first: npm run build:native:sanitized
set -eu
cd "$(dirname "$0")/.."
library() { ${CC:-gcc} -print-file-name="$1"; }
TUNGATE_NATIVE_ADDON=${TUNGATE_NATIVE_ADDON:-$PWD/native/build/Debug/tungate.node}
[ -e "$TUNGATE_NATIVE_ADDON" ] || { echo "no build with sanitizers: npm run build:native:sanitized" >&2; exit 1; }
LD_PRELOAD="$(library libasan.so) $(library libubsan.so) $(library libstdc++.so)"
# Node keeps memory until it ends, so leaks mean nothing here.
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
UBSAN_OPTIONS=print_stacktrace=1
export TUNGATE_NATIVE_ADDON LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS
if [ "${1-}" = --fuzz ]; then
  shift
  node --import tsx scripts/fuzz-native.ts "$@"
  exec node --import tsx scripts/fuzz-native-calls.ts "$@"
fi
exec node node_modules/vitest/vitest.mjs run --project unit test/unit/io/native "$@"
