#!/usr/bin/env bash
# pkg-js/src → the publishable package: dist/index.js (the wasm beside it, and what only some apps import) and the types. Needs scripts/wasm.sh first.
set -euo pipefail
cd "$(dirname "$0")/../pkg-js"

printf '\033[1m==> package: types, bundle, notices\033[0m\n'
find dist -maxdepth 1 -name '*.js' -delete
find dist -name '*.d.ts' -delete
../node_modules/.bin/tsc -p tsconfig.json
# import.meta.url and the literal wasm URL stay as they are: that is what the user's bundler looks for.
node ../scripts/bundle.mjs
# The parser of cron patterns: loaded by whom it concerns.
../node_modules/.bin/esbuild src/base/cron.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 --minify \
  --legal-comments=inline --outfile=dist/cron.js --log-level=warning
# The worker of a database: one file, which imports nothing.
../node_modules/.bin/esbuild src/worker/main.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 \
  --outfile=dist/worker.js --log-level=warning
# Loaded by Node alone, and by name.
../node_modules/.bin/esbuild src/node/files.ts --bundle --format=esm --platform=node --target=node20 --charset=utf8 \
  --outfile=dist/node-files.js --log-level=warning
# The command line: beside the module that it uses.
../node_modules/.bin/tsc -p tsconfig.cli.json
../node_modules/.bin/esbuild src/cli/main.ts --bundle --format=esm --platform=node --target=node20 --charset=utf8 \
  --external:../index.js --outfile=dist/cli/main.js --log-level=warning
node ../scripts/notices.mjs > THIRD_PARTY_NOTICES.md
# For `npx tidelock` in this clone: npm made no link before there was a file.
ln -sf ../tidelock/dist/cli/main.js ../node_modules/.bin/tidelock
for file in ../README.md ../LICENSE*; do
  [ ! -f "$file" ] || cp "$file" .
done
