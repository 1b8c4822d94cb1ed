// Errors as a user reads them, gathered and compared with a golden file of this folder: code, message, hint, names of the details, cause.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const folder = new URL('./golden/', import.meta.url)

/** The names of an object's facts, those of inner ones behind their name: `at, holder { id, url }`. */
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

/** The errors of one golden file. */
export class Shown {
  #name
  #entries = new Map()
  #mend

  /** `mend` takes out of a text what is another one on another machine: folders, ports. */
  constructor(name, mend = (text) => text) {
    this.#name = name
    this.#mend = mend
  }

  /** Adds an error, or its JSON, under what was done. */
  add(done, { code, message, hint, details = {}, cause }) {
    assert.ok(!this.#entries.has(done), `${done}: shown twice`)
    const lines = [`# ${done}`, `${code}: ${message}`]
    if (hint !== undefined) lines.push(`  hint: ${hint}`)
    if (keys(details) !== '') lines.push(`  details: ${keys(details)}`)
    // What a browser or Node says is theirs to change.
    if (cause !== undefined) lines.push('  has a cause')
    const text = lines.join('\n').replace(/backup-\S+?Z-/g, 'backup-TIME-')
    this.#entries.set(done, this.#mend(text))
  }

  /** Compares with what is expected; UPDATE_GOLDEN=1 writes it. */
  check() {
    const file = new URL(`${this.#name}.txt`, folder)
    const text = `${[...this.#entries.values()].join('\n\n')}\n`
    if (process.env.UPDATE_GOLDEN) writeFileSync(file, text)
    const expected = existsSync(file) ? readFileSync(file, 'utf8') : ''
    assert.deepEqual(text.split('\n\n'), expected.split('\n\n'), `${this.#name}.txt; UPDATE_GOLDEN=1 writes it anew`)
  }
}

/** Runs `work` with a property of an object changed. */
export async function having(object, name, value, work) {
  const before = Object.getOwnPropertyDescriptor(object, name)
  Object.defineProperty(object, name, { value, configurable: true, writable: true })
  try {
    return await work()
  } finally {
    if (before === undefined) delete object[name]
    else Object.defineProperty(object, name, before)
  }
}
