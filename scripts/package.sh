#!/usr/bin/env bash
# Builds the npm package from pkg-js/src: dist/index.js, the modules that only some apps import, the types, and the documents. Needs
# scripts/wasm.sh first. Each script has a source map with the sources in it, because those are not in the package. Does nothing when all
# that it reads is older than its last run.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."
source scripts/tools.sh
need_npm scripts/types
# For `npx tidelock` in this clone: npm made no link, because the file didn't exist yet.
ln -sf ../tidelock/dist/cli/main.js node_modules/.bin/tidelock

made=.cache/package
sources=(.cache/glue/stamp pkg-js/{src,*.json} scripts docs crates ./*.md LICENSE* Cargo.{toml,lock} package-lock.json)
if [ -f $made ] && [ -f pkg-js/dist/index.js ] && [ -z "$(find "${sources[@]}" -name node_modules -prune -o -newer $made -print -quit)" ]; then
  exit
fi
rm -f $made
touch $made.begun
node scripts/instance.mjs .cache/glue/tidelock.js .cache/glue/parts/names.json pkg-js/generated
cd pkg-js

say 'package: types, bundle, notices'
find dist -maxdepth 1 -name '*.js' -delete
rm -rf dist/integrations dist/cli types
find dist \( -name '*.d.ts' -o -name '*.map' \) -delete
find dist -mindepth 1 -type d -empty -delete
# Beside the bundles, which need no types.
{ ../node_modules/.bin/tsc -p tsconfig.json && node ../scripts/types/bundle.mjs && ../node_modules/.bin/tsc -p tsconfig.cli.json; } &
types=$!
# import.meta.url and the literal wasm URL must stay unchanged, because the user's bundler looks for them.
node ../scripts/bundle.mjs
# The parser of cron patterns, which few apps load.
../node_modules/.bin/esbuild src/base/cron.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 --sourcemap --minify \
  --legal-comments=inline --outfile=dist/cron.js --log-level=warning
# The worker of a database: one file without imports, which bundlers copy as it is.
../node_modules/.bin/esbuild src/worker/main.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 --sourcemap \
  --minify --outfile=dist/worker.js --log-level=warning
# The subpaths, each of which imports the package's public face and its own framework.
for entry in src/integrations/*/index.ts; do
  [ "$entry" = src/integrations/inspector/index.ts ] && continue
  ../node_modules/.bin/esbuild "$entry" --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 --sourcemap \
    --packages=external --external:../../index.js --outfile="dist/integrations/$(basename "$(dirname "$entry")")/index.js" --log-level=warning
done
# The inspector: the element, and what it loads when it is shown. The editor is bundled with it.
../node_modules/.bin/esbuild src/integrations/inspector/{index,panel,editor}.ts --bundle --splitting --format=esm --platform=browser \
  --target=es2022 --charset=utf8 --sourcemap --minify --external:../../index.js --chunk-names=chunk-[hash] --outdir=dist/integrations/inspector \
  --log-level=warning
# Only Node loads this file, by name.
../node_modules/.bin/esbuild src/node/files.ts --bundle --format=esm --platform=node --target=node20 --charset=utf8 --sourcemap \
  --outfile=dist/node-files.js --log-level=warning
# The command line, beside the module that it uses: the program, its thread, and what runs a command in it.
for module in main worker commands; do
  ../node_modules/.bin/esbuild "src/cli/$module.ts" --bundle --format=esm --platform=node --target=node20 --charset=utf8 --sourcemap \
    --external:../index.js --external:./commands.js --outfile="dist/cli/$module.js" --log-level=warning
done
node ../scripts/notices.mjs > THIRD_PARTY_NOTICES.md
wait $types
node ../scripts/package-documents.mjs
mv ../$made.begun ../$made
