#!/usr/bin/env bash
# Publishes a packed npm package: publish-npm.sh TARBALL [OPTIONS]. Staged where npm can (11.15 and later): then a maintainer
# approves the version with a second factor, and nobody can install it before.
set -euo pipefail
[ $# -gt 0 ] || { echo 'Usage: publish-npm.sh TARBALL [OPTIONS]' >&2; exit 2; }
case $1 in *.tgz) ;; *) echo "$1 is no packed package: name one .tgz" >&2; exit 2 ;; esac
[ -f "$1" ] || { echo "$1 does not exist" >&2; exit 2; }
case ${2:-} in *.tgz) echo "$1 and $2: name one .tgz" >&2; exit 2 ;; esac
if npm stage --help >/dev/null 2>&1; then npm stage publish "$@"; else npm publish "$@"; fi
