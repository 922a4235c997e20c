#!/usr/bin/env bash
# Runs `npm ci && npm test` as on a machine that holds node, npm, bash and coreutils alone: a test that needs more, and
# does not skip itself, fails here. Arguments: a command to run in place of these two.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t coreutils < <(dpkg --listfiles coreutils | grep '/bin/' | xargs -n 1 basename)

programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
for program in node npm bash sh "${coreutils[@]}"; do
  # type -P: some of them are also builtins of the shell.
  path=$(type -P "$program") || { echo "$0: $program is not installed" >&2; exit 1; }
  ln -s "$path" "$programs/$program"
done

# What npm needs to reach its registry, and where the files go in which a test was skipped. CI is left out: with it a missing
# tool is an error.
kept=()
while IFS= read -r name; do
  case "${name,,}" in
    home | tmpdir | skipped_files | npm_config_* | node_extra_ca_certs | http_proxy | https_proxy | all_proxy | no_proxy)
      kept+=("$name=${!name}") ;;
  esac
done < <(compgen -e)

if [ $# = 0 ]; then set -- bash -c 'npm ci && npm test'; fi
env -i PATH="$programs" "${kept[@]}" "$@"
