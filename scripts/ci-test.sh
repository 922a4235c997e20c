#!/usr/bin/env bash
# Runs the fast tests on a major version of Node: on the build with the project's own (26), on the source with another,
# which is installed beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

major=${1:-26}
if [ "$major" = 26 ]; then exec npm test; fi
beside=.cache/node$major
npm install --prefix "$beside" --no-save --silent "node@$major"
"$beside/node_modules/.bin/node" --version
PATH="$PWD/$beside/node_modules/.bin:$PATH" node node_modules/vitest/vitest.mjs run --project unit --project fast
