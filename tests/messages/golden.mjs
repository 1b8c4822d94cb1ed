// Errors as a user reads them, gathered and compared with golden files: code, message, hint, names of the details.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'

export { having } from '../scenarios/run/having.mjs'

const folder = new URL('./golden/', import.meta.url)

/** The names of an object's details, those of inner ones behind their name: `at, holder { id, url }`. */
function keys(facts) {
  return Object.entries(facts)
    .filter(([, fact]) => fact !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, fact]) => {
      const plain = typeof fact === 'object' && fact !== null && !Array.isArray(fact)
      return plain && keys(fact) !== '' ? `${name} { ${keys(fact)} }` : name
    })
    .join(', ')
}

/** An error, or its JSON, as golden files show it. */
function entry({ code, message, hint, details = {}, cause }) {
  const lines = [`${code}: ${message}`]
  if (hint !== undefined) lines.push(`  hint: ${hint}`)
  if (keys(details) !== '') lines.push(`  details: ${keys(details)}`)
  // What a browser or Node says is theirs to change.
  if (cause !== undefined) lines.push('  has a cause')
  return lines.join('\n').replace(/backup-\S+?Z-/g, 'backup-TIME-')
}

/** Compares with a golden file, whatever the order; `UPDATE_GOLDEN=1` writes it instead. No entries are no file. */
function compare(name, entries) {
  const file = new URL(`${name}.txt`, folder)
  if (process.env.UPDATE_GOLDEN) {
    mkdirSync(new URL('.', file), { recursive: true })
    if (entries.length > 0) writeFileSync(file, `${entries.join('\n\n')}\n`)
    else rmSync(file, { force: true })
    return
  }
  const expected = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n\n').filter(Boolean) : []
  const lacks = (list, sign) => (each) => (list.includes(each) ? [] : [each.replace(/^/gm, `${sign} `)])
  const changes = [...expected.flatMap(lacks(entries, '-')), ...entries.flatMap(lacks(expected, '+'))]
  if (changes.length > 0)
    assert.fail(
      `tests/messages/golden/${name}.txt: - is expected, + is new; UPDATE_GOLDEN=1 writes the file\n\n${changes.join('\n\n')}`,
    )
}

/** The errors of one golden file, each under what was done. */
export class Shown {
  #name
  #entries = new Map()
  #normalize

  /** `normalize` takes out of a text what is another one on another machine: folders, ports. */
  constructor(name, normalize = (text) => text) {
    this.#name = name
    this.#normalize = normalize
  }

  /** Adds an error, or its JSON, under what was done. */
  add(done, error) {
    assert.ok(!this.#entries.has(done), `${done}: shown twice`)
    this.#entries.set(done, this.#normalize(`# ${done}\n${entry(error)}`))
  }

  check() {
    compare(this.#name, [...this.#entries.values()])
  }
}

/** The retryable codes of the contract. */
const retryable = new Set([
  'timeout',
  'wasm_load_failed',
  'sqlite_busy',
  'database_in_use',
  'lock_timeout',
  'storage_blocked',
  'storage_unavailable',
  'sync_network',
  'sync_server',
  'leader_unreachable',
])

/** What differs from run to run, or with the scenarios before. */
const varying = [
  [new RegExp(`${tmpdir()}/tidelock-[\\w-]+`, 'g'), 'FOLDER'],
  [/\b(scenario|e2e)-[\w-]*\d+/g, 'NAME'],
  [/\b(127\.0\.0\.1|localhost):\d+/g, 'HOST'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'TOKEN'],
  [/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'ID'],
  [/\b[0-9a-f]{16,}\b/g, 'HEX'],
  [/\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?/g, 'TIME'],
  [/\b[\d.]+ ms\b/g, 'N ms'],
  [/\b(process|pid) \d+/g, '$1 PID'],
  // Of remote.tableName(), which counts over all modules.
  [/\bt\d+\b/g, 'TABLE'],
]

/** What every error keeps to, wherever it comes from: whether it may be tried again, and its JSON. */
export function checkForm(error, json = JSON.stringify(error)) {
  const { code, message, hint, details, cause } = error
  const expected = { name: 'TidelockError', code, message, retryable: retryable.has(code), hint, details }
  assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ ...expected, cause: cause && String(cause) })))
}

/** The errors that the scenarios of one module assert on, compared with `golden/scenarios/<module>.txt`. */
export class Recorded {
  #name
  #entries = new Set()

  constructor(module) {
    this.#name = `scenarios/${module}`
  }

  add(error) {
    checkForm(error)
    this.#entries.add(varying.reduce((text, [pattern, name]) => text.replace(pattern, name), entry(error)))
  }

  check() {
    compare(this.#name, [...this.#entries].sort())
  }
}
