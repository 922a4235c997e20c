#!/usr/bin/env bash
# Prints the tags of a version's image: 0.2.0 -> 0.2.0 0.2 latest; 1.4.2 -> also 1; 0.3.0-rc.1 -> only 0.3.0-rc.1.
set -euo pipefail
version=${1#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "$1 is no version: give one such as 0.2.0" >&2; exit 2; }
echo "$version"
case $version in *-*) exit 0 ;; esac
echo "${version%.*}"
[ "${version%%.*}" = 0 ] || echo "${version%%.*}"
echo latest
