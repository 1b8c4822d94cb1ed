// What docs/bundlers.md says to run: its tables have a row for each of these, which the test that drives it writes.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'

/**
 * `from`: the package.json, below this folder, that pins the version, and the name of the tool in it. `configure`: what an app's author has to
 * do. `tested`: what the test runs.
 */
const bundlers = {
  'Vite 8': { from: ['.', 'vite8'], configure: 'nothing', tested: 'build, dev' },
  'Vite 7': { from: ['more', 'vite7'], configure: 'nothing', tested: 'build, dev' },
  'Vite 6': { from: ['more', 'vite6'], configure: 'nothing', tested: 'build, dev' },
  'Vite in a monorepo': { from: ['.', 'vite8'], configure: '`tidelock/vite`', tested: 'build, dev' },
  'webpack 5': { from: ['.', 'webpack'], configure: 'nothing', tested: 'build' },
  esbuild: { from: ['../..', 'esbuild'], configure: '`tidelock/esbuild`', tested: 'build: esm, split, iife' },
  Rollup: { from: ['more', 'rollup'], configure: '[two plugins](#rollup)', tested: 'build' },
  Rspack: { from: ['more', '@rspack/core'], configure: 'nothing', tested: 'build' },
  Parcel: { from: ['parcel', 'parcel'], configure: 'nothing', tested: 'build' },
  'Next, Turbopack': { from: ['next', 'next'], configure: '[an effect](#next)', tested: 'build, dev' },
  'Next, webpack': { from: ['next', 'next'], configure: '[an effect](#next)', tested: 'build, dev' },
  SvelteKit: { from: ['sveltekit', '@sveltejs/kit'], configure: '[`onMount`](#sveltekit)', tested: 'build, dev' },
}

const pages = {
  'Import map, no bundler': { configure: '[an import map](#without-a-bundler)', tested: 'page' },
  'Modules of another origin': {
    configure: '[CORS, a policy](deployment.md#modules-of-another-origin)',
    tested: 'page, Vite',
  },
  'Strict CSP with Trusted Types': {
    configure: '[a policy](deployment.md#content-security-policy)',
    tested: 'esbuild',
  },
  'A subpath (`/app/`)': { configure: "the bundler's base", tested: 'Vite' },
  'A service worker, offline': { configure: '[a cache](deployment.md#offline)', tested: 'Vite' },
}

const runtimes = {
  'Node 20': { from: ['more', 'node20'], configure: 'nothing', tested: 'memory, file' },
  'Node 22': { from: ['more', 'node22'], configure: 'nothing', tested: 'memory, file' },
  'Node 24': { from: ['more', 'node24'], configure: 'nothing', tested: 'memory, file' },
  Deno: { from: ['more', '@deno/linux-x64-glibc'], configure: '[permissions](#deno)', tested: 'memory, file' },
  Bun: { from: ['more', '@oven/bun-linux-x64'], configure: 'nothing', tested: 'memory, file' },
}

const tables = { bundlers, pages, runtimes }
const document = new URL('../../docs/bundlers.md', import.meta.url)

/** Returns the rows of a table as the document should have them, by target. */
function rowsOf(table) {
  return Object.entries(tables[table]).map(([name, { from, configure, tested }]) => {
    const version = from === undefined ? [] : [versionOf(...from)]
    return [name, `| ${[name, ...version, configure, tested].join(' | ')} |`]
  })
}

function versionOf(folder, tool) {
  const { devDependencies, optionalDependencies } = JSON.parse(
    readFileSync(new URL(`./${folder}/package.json`, import.meta.url), 'utf8'),
  )
  return { ...devDependencies, ...optionalDependencies }[tool].split('@').at(-1)
}

const between = (table) => new RegExp(`(<!-- ${table} -->\n\n.*\n.*\n)((?:\\|.*\n)*)(\n<!-- /${table} -->)`)

/** Returns the rows of a table in the document. */
function written(table) {
  const found = readFileSync(document, 'utf8').match(between(table))
  assert.ok(found, `docs/bundlers.md has no table between the markers of ${table}`)
  return found[2].split('\n').filter(Boolean)
}

/** Records that a target ran: with `UPDATE_GOLDEN=1` writes its row into the document, otherwise compares it. */
export function record(name) {
  const table = Object.keys(tables).find((each) => name in tables[each])
  const known = new Set(written(table))
  const rows = rowsOf(table)
  const row = rows.find(([each]) => each === name)[1]
  if (process.env.UPDATE_GOLDEN) {
    const starts = (each) => [...known].find((text) => text.startsWith(`| ${each} |`))
    const kept = rows.map(([each, fresh]) => (each === name ? fresh : starts(each))).filter(Boolean)
    const text = readFileSync(document, 'utf8')
    writeFileSync(
      document,
      text.replace(between(table), (_, head, _rows, tail) => head + kept.map((each) => `${each}\n`).join('') + tail),
    )
  } else
    assert.ok(known.has(row), `docs/bundlers.md: the row of ${name} differs; renew it with UPDATE_GOLDEN=1\n${row}`)
}

/** Compares all rows of the document with the list of targets. */
export function compareRows() {
  for (const table of Object.keys(tables))
    assert.deepEqual(
      written(table),
      rowsOf(table).map(([, row]) => row),
      'run ./build.sh test packaging bundlers with UPDATE_GOLDEN=1',
    )
}
