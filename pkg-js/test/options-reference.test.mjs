// docs/reference/options.md is generated from the types of the options, their comments, and the rules that check them. `UPDATE_GOLDEN=1` writes it.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { auditRules } from '../src/options/check-audit.ts'
import { remoteRules, tableRules } from '../src/options/check-remote.ts'
import { healthRules, lockRules, openRules, snapshotRules } from '../src/options/open-rules.ts'

const source = (path) => readFileSync(new URL(`../src/${path}`, TESTS), 'utf8')
const document = new URL('../../docs/reference/options.md', TESTS)
const types = source('options/options.ts') + source('remote/remote-options.ts')

/** The sections of the document: a type, its rules, and how a user writes it. */
const sections = [
  ['OpenOptions', openRules, 'open({ … })'],
  ['LockOptions', lockRules, 'open({ lock: { … } })'],
  ['SnapshotOptions', snapshotRules, 'open({ snapshots: { … } })'],
  ['RemoteOptions', remoteRules, 'open({ remote: { … } })'],
  ['TableSync', tableRules, 'open({ remote: { tables: [{ … }] } })'],
  ['AuditOptions', auditRules, 'open({ audit: { … } })'],
  ['HealthThresholds', healthRules, 'open({ health: { … } })'],
]

/** Returns the options of an interface: name, whether it is required, its comment as one text, and the default in the comment. */
function optionsOf(type) {
  const [, body] = types.match(new RegExp(`export interface ${type} \\{\\n(.*?)\\n\\}`, 's'))
  return [...body.matchAll(/ {2}\/\*\*(.*?)\*\/\n {2}readonly (\w+)(\??):/gs)].map(([, comment, name, optional]) => {
    const lines = comment.split('\n').map((line) => line.replace(/^\s*\*?\s?/, '').trimEnd())
    const at = lines.findIndex((line) => line.startsWith('@default'))
    const meaning = (at < 0 ? lines : lines.slice(0, at)).join(' ').trim()
    const byDefault = at < 0 ? undefined : lines[at].slice('@default '.length)
    return { name, required: optional === '', meaning: meaning.replace(/\{@link (.*?)\}/g, '`$1`'), byDefault }
  })
}

/** What an option may be, where its check says more or less than a reader needs, or happens in another place. */
const described = {
  name: 'a text of 1 to 128 characters, without control characters',
  migrations: 'an array of migrations',
  storage: "'indexeddb', 'opfs', 'best', 'memory' or 'file'",
  path: 'the path of a folder',
  targets: 'an array of snapshot targets',
  encryption: '{ passphrase } or { key }',
  seed: 'a URL, bytes, a Blob or a function that gives bytes',
  remote: 'an object',
  functions: 'an object, or { module: URL }',
  columnKey: 'a key or an array of keys',
  audit: 'an array of tables, or an object',
  expires: 'an object: the column for each table',
  primaryKey: 'a column or an array of columns',
  types:
    "by column: 'text' or 'int8' or 'numeric' or 'float8' or 'bool' or 'json' or 'bytea' or 'array' or 'timestamptz'",
  filter: 'an object of texts, or a function that returns one',
  conflict: "'keep-local' or 'remote-wins' or 'last-write-wins' or a function",
  tables: 'an array of table names and objects',
  client: 'a client of @supabase/supabase-js',
  url: 'an http(s) URL',
  redact: 'an array of columns, or an object of such arrays',
}

/** Returns what an option may be, as the error for another value says it. */
function valuesOf(type, name, { check }) {
  const known = type === 'AuditOptions' && name === 'tables' ? undefined : described[name]
  if (known !== undefined) return known
  try {
    check('option', Symbol('no value'))
  } catch ({ message }) {
    return message.replace(/^option must be /, '')
  }
  throw new Error(`${type}.${name} accepts anything: describe it`)
}

const cell = (text) => text.replaceAll('|', '\\|')

function table([type, rules, written]) {
  const rows = optionsOf(type).map(({ name, required, meaning, byDefault }) => {
    const hasOwnSection = Object.keys(rules[name].default ?? {}).length > 0 && typeof rules[name].default === 'object'
    const holds = required
      ? 'required'
      : (byDefault ?? (hasOwnSection ? 'its options have defaults, see below' : 'none'))
    return `| \`${name}\` | ${cell(valuesOf(type, name, rules[name]))} | ${cell(holds)} | ${cell(meaning)} |`
  })
  return [
    `## ${type}`,
    '',
    `\`${written}\``,
    '',
    '| option | value | default | meaning |',
    '|---|---|---|---|',
    ...rows,
  ]
}

test('each option has a rule and a comment, with the same default', () => {
  for (const [type, rules] of sections) {
    const options = optionsOf(type)
    assert.deepEqual(options.map(({ name }) => name).sort(), Object.keys(rules).sort(), type)
    for (const { name, required, byDefault } of options) {
      assert.equal(rules[name].required ?? false, required, `${type}.${name} must be given`)
      const { default: inRules } = rules[name]
      if (typeof inRules === 'object' && !Array.isArray(inRules) && Object.keys(inRules).length > 0) continue
      const expected = typeof inRules === 'string' ? `'${inRules}'` : JSON.stringify(inRules)
      if (inRules !== undefined) assert.equal(byDefault?.split(' (')[0], expected, `${type}.${name}`)
      else
        assert.ok(
          !/^(\d|'|true|false)/.test(byDefault ?? '') || elsewhere.has(name),
          `${type}.${name} has no rule's default`,
        )
    }
  }
})

/** Options whose defaults depend on other options, or are set by the engine. */
const elsewhere = new Set([
  'storage',
  'maxBytes',
  'overlapMs',
  'conflict',
  'direction',
  'noSnapshotMs',
  'syncLagMs',
  'storageRatio',
  'growthFactor',
])

test('docs/reference/options.md is up to date', () => {
  const text = [
    '# Options',
    '',
    'Every option with its values, its default and its meaning. An option that is unknown, or that has a wrong value, is',
    '`invalid_argument`; `details.option` names it. `undefined` is the same as leaving an option out.',
    '',
    ...sections.flatMap((section) => [...table(section), '']),
  ].join('\n')
  if (process.env.UPDATE_GOLDEN) writeFileSync(document, text)
  assert.equal(readFileSync(document, 'utf8'), text, 'renew it with UPDATE_GOLDEN=1')
})
