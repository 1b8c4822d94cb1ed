// What every message keeps to, looked at in the golden files, which show each one that a test brings about.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { wordsToReplace } from '../node/documents/language.mjs'

const folder = new URL('./golden/', import.meta.url)
const golden = readdirSync(folder, { recursive: true })
  .filter((name) => name.endsWith('.txt'))
  .flatMap((file) =>
    readFileSync(new URL(file, folder), 'utf8')
      .trimEnd()
      .split('\n\n')
      .map((entry) => {
        // A message of SQLite may have several lines: the first one is enough.
        const [, code, message] = /^(?:# .*\n)?(\w+): (.*)/.exec(entry)
        const details = /\n {2}details: (.*)/.exec(entry)?.[1] ?? ''
        return { file, code, message, details, hint: /\n {2}hint: (.*)/.exec(entry)?.[1] }
      }),
  )

/** Messages that need no hint, and why. */
const hintless = {
  "nowhere.env can't be read: ENOENT: no such file or directory, open 'nowhere.env'": 'the user has given the name',
  'The schema has no table u': 'the user has given both',
  Interrupted: 'the user has done it',
  'An sql`...` fragment brings its own parameters': 'it says that there is nothing to give',
  'decrypt() got a value that was changed after its encryption': 'what is damaged stays so',
  "The remote's realtime service refused the subscription: Unauthorized: no": 'it is a warning, which has no hint',
  'why it failed': 'it is of the test itself',
  'the simulated storage refused': 'it is of the simulated storage',
}

test('messages and hints are sentences without a full stop, and nearly all say what to do', () => {
  // Texts that say themselves what is wanted.
  const says = /\b(must|needs?|needs either|is no name|either|gives)\b/
  const stops = /[^.]\.$/
  const silent = []
  const used = new Set()
  for (const { file, code, message, hint } of golden) {
    // What stands behind a colon may be another's words.
    assert.ok(/^\S/.test(message) && (!stops.test(message) || message.includes(': ')), `${file}: ${message}`)
    assert.ok(hint === undefined || !stops.test(hint), `${file}: ${hint}`)
    // SQLite's own words get their hint where JavaScript gets them.
    if (file.startsWith('native-') && ['sqlite_error', 'sqlite_constraint'].includes(code)) continue
    if (hint !== undefined || says.test(message)) continue
    if (message in hintless) used.add(message)
    else silent.push(`${file}: ${message}`)
  }
  assert.deepEqual(silent, [], 'these say nothing of what to do')
  assert.deepEqual(
    Object.keys(hintless).filter((message) => !used.has(message)),
    [],
    'these are gone, or have a hint',
  )
})

test('messages and hints use the words of the glossary', () => {
  const refused = (file, text) => wordsToReplace(file, [withoutNames(text)])
  // Names between quotation marks, and what stands behind a colon, may be another's words.
  const withoutNames = (text) => text.replace(/'[^']*'|"[^"]*"|`[^`]*`/g, '').replace(/:.*/, '')
  assert.deepEqual(refused('a.txt', "Nobody has 'gone' to it: gone"), [
    "a.txt:1: 'Nobody': say the name of the subject",
  ])
  const found = golden.flatMap(({ file, message, hint = '' }) => [message, hint].flatMap((text) => refused(file, text)))
  // The name of a table.
  assert.deepEqual(found, ["scenarios/migrations-schema.txt:1: 'nobody': say the name of the subject"])
})

/** Codes that no act with the package can bring about at will, and where they are shown. */
const elsewhere = {
  sqlite_busy: 'a database has one connection, whose statements run to their end: tests/native/messages',
  leader_changed: 'the leader dies in tests/e2e/tabs-death.test.mjs; the text is of pkg-js/test',
  leader_unreachable: 'the leader dies in tests/e2e/tabs-death.test.mjs; the text is of pkg-js/test',
}

test('an act with the package brings about each code of the contract', () => {
  const source = readFileSync(new URL('../../src/error/code.rs', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {4}[A-Z]\w+ => "(\w+)",$/gm)].map(([, code]) => code)
  assert.ok(codes.length >= 43)
  const real = golden.filter(({ file }) => /^(scenarios\/|browser|command-line)/.test(file)).map(({ code }) => code)
  assert.deepEqual(codes.toSorted(), [...new Set([...real, ...Object.keys(elsewhere)])].toSorted())
})

test('each golden file of scenarios has its module', () => {
  const files = new Set(golden.map(({ file }) => file).filter((file) => file.startsWith('scenarios/')))
  const gone = [...files].filter((file) => !existsSync(new URL(`../${file.replace(/txt$/, 'mjs')}`, import.meta.url)))
  assert.deepEqual(gone, [])
})

test('the types know each key of the details of errors, by their code', () => {
  const types = readFileSync(new URL('../../pkg-js/src/base/error-details.ts', import.meta.url), 'utf8')
  const keysIn = (text) => [...text.matchAll(/readonly (\w+)\??:/g)].map(([, key]) => key)
  const shared = new Map([...types.matchAll(/interface (\w+) \{([\s\S]*?)\n\}/g)].map(([, name, body]) => [name, body]))
  const known = new Map()
  const byCode = shared.get('KnownErrorDetails')
  for (const [, code, type] of byCode.matchAll(/\n {2}readonly (\w+):([\s\S]*?)(?=\n {2}readonly \w+:|$)/g)) {
    const names = type.match(/\bAbout\w+/g) ?? []
    known.set(code, new Set([...keysIn(type), ...names.flatMap((name) => keysIn(shared.get(name)))]))
  }
  // Of a nested object only its own name is looked for.
  const given = (details) =>
    details
      .replace(/ \{.*?\}/g, '')
      .split(', ')
      .filter(Boolean)
  const unknown = golden.flatMap(({ code, details }) =>
    given(details).flatMap((key) => (known.get(code)?.has(key) ? [] : `${code}: ${key}`)),
  )
  assert.deepEqual([...new Set(unknown)].sort(), [])
})
