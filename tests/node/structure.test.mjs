// What holds the sources of the crate and the package together: names of types, and imports that the linter doesn't see.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { mutants as ofStore } from '../mutants/store.mjs'
import { mutants as ofSync } from '../mutants/sync.mjs'
import { textOf, urlOf } from './documents/blocks.mjs'

/** The files of a folder and its folders with that ending, by their paths in it. */
function filesIn(folder, ending) {
  return readdirSync(urlOf(`${folder}/`), { recursive: true }).filter((name) => name.endsWith(ending))
}

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')

/** Types that both languages define, and that mean the same in both: the two sides of the wasm boundary, what programs in either use, or one term of the field. */
const SHARED = new Set(
  `AccessHandle AuditOptions Bytes Cancelled ColumnInfo ConflictFunction ConflictPolicy Connection Core Database DatabaseInfo Encryption Fetch
  FilePart FilterFunction Group GroupHealth GroupMemberState HeadInfo HeldLock Host HttpRequest HttpResponse LifecycleEvent LiveQuery LiveRead LockOptions
  ManualTransaction Migration Migrations Op OpenOptions OpenTransaction PointInTime PrivateFiles PullOptions Refusal RemoteOptions RemoteRow Row RunReport
  RunResult ScriptFlaw ScriptText Secrets SnapshotEvent SnapshotOptions Snapshots Statement Sync TableSync Timer Timetable
  UserFunctions Warning WarningCode`.split(/\s+/),
)

/** The types of the crate, by their names: the file of each. */
function typesInRust() {
  const types = new Map()
  for (const name of filesIn('src', '.rs').filter((name) => !/(^|[/])tests[./]/.test(name))) {
    const text = withoutComments(textOf(`src/${name}`)).replace(/^ *#\[cfg\(test\)\]\n *mod \w+ \{[\s\S]*/m, '')
    // Types of a module, or of an `extern` block in it. Those of a `trait` or an `impl` are members.
    const member = /^(impl|(?:pub(?:\([\w ]+\))? )?trait \w+).*?(?:\}$|\n[\s\S]*?^\})/gm
    const blocks = text.replace(member, (_, begin) => (begin === 'impl' ? '' : begin))
    for (const [, type] of blocks.matchAll(
      /^(?: {4})?(?:pub(?:\([\w: ]+\))? )?(?:struct|enum|trait|type|union) (\w+)/gm,
    ))
      types.set(type, `src/${name}`)
  }
  assert.ok(types.size > 300, `only ${types.size} types of Rust were found`)
  return types
}

test('the name of a type means one thing in Rust and TypeScript', () => {
  const inRust = typesInRust()
  const both = new Map()
  for (const name of filesIn('pkg-js/src', '.ts').filter((name) => name !== 'base/generated-types.ts')) {
    const types = /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class) (\w+)/gm
    for (const [, type] of withoutComments(textOf(`pkg-js/src/${name}`)).matchAll(types))
      if (inRust.has(type)) both.set(type, `${type}: ${inRust.get(type)}, pkg-js/src/${name}`)
  }
  assert.deepEqual(
    [...both].filter(([type]) => !SHARED.has(type)).map(([, where]) => where),
    [],
  )
  assert.deepEqual(
    [...SHARED].filter((type) => !both.has(type)),
    [],
    'only one of the languages has these',
  )
})

test('a Rust type whose generated type has another name takes none of another Rust type', () => {
  const inRust = typesInRust()
  // The option, and the argument of a transaction that follows from it: both are called so in IndexedDB.
  inRust.delete('Durability')
  const renamed = filesIn('src', '.rs').flatMap((name) =>
    [...textOf(`src/${name}`).matchAll(/\bts\(rename = "(\w+)"\)/g)].map(([, type]) => [type, `src/${name}`]),
  )
  assert.deepEqual(
    renamed.filter(([type]) => inRust.has(type)).map(([type, name]) => `${type}: ${name}, ${inRust.get(type)}`),
    [],
  )
})

test('what has known values is no bare text in the types of the package', () => {
  const known = 'action code direction durability kind mode op phase reason role severity state status storage'.split(
    ' ',
  )
  const field = new RegExp(`^ +readonly (?:${known.join('|')})\\??: (?:string|unknown|any)\\b.*`, 'gm')
  const untyped = (text) => [...text.matchAll(field)].map(([line]) => line.trim())
  assert.deepEqual(untyped('  readonly phase?: string | null\n  readonly phase: SyncPhase'), [
    'readonly phase?: string | null',
  ])
  const rooms = ['api', 'base', 'files', 'functions', 'open', 'options', 'remote']
  const files = rooms.flatMap((room) => filesIn(`pkg-js/src/${room}`, '.ts').map((name) => `${room}/${name}`))
  assert.deepEqual(
    files.flatMap((name) => untyped(textOf(`pkg-js/src/${name}`)).map((line) => `${name}: ${line}`)),
    // Of an error that comes from the engine, before it is known to be one.
    ['base/errors.ts: readonly code: string'],
  )
})

/** The rules of the linter for imports: the folder of the importing file, and a test of what it names. */
function importRules() {
  const { overrides } = JSON.parse(textOf('pkg-js/src/biome.jsonc').replace(/^\s*\/\/.*$/gm, ''))
  return overrides.flatMap(({ includes, linter }) => {
    const patterns = linter?.rules.style.noRestrictedImports.options.patterns.flatMap(({ group }) => group) ?? []
    if (patterns.length === 0) return []
    const named = (pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('**', '.+')}$`)
    const [allowed, refused] = [true, false].map((not) =>
      patterns.filter((one) => one.startsWith('!') === not).map((one) => named(one.replace('!', ''))),
    )
    const is = (list, module) => list.some((pattern) => pattern.test(module))
    return [{ folder: includes[0].replace('**', ''), refuses: (module) => is(refused, module) && !is(allowed, module) }]
  })
}

test('each folder of the package is a room, whose rule refuses all rooms below it', () => {
  const rules = importRules()
  const rooms = rules.map(({ folder }) => folder.replace('/', ''))
  const entries = readdirSync(urlOf('pkg-js/src/'), { withFileTypes: true })
  const namesOf = (wanted) => entries.filter(wanted).map(({ name }) => name)
  assert.deepEqual(namesOf((entry) => entry.isDirectory()).toSorted(), rooms.toSorted())
  assert.deepEqual(
    namesOf((entry) => entry.isFile()),
    ['biome.jsonc', 'index.ts'],
  )
  // The last two use what apps use.
  for (const [at, { folder, refuses }] of rules.slice(0, -2).entries()) {
    const open = rooms.filter((room) => !refuses(`../${room}/a.js`))
    assert.deepEqual(open, rooms.slice(0, at + 1), folder)
    assert.ok(refuses('../index.js'), folder)
  }
})

/** The modules whose types a text names by `import('…').Type` or `typeof import('…')`. */
function inlineTypes(text) {
  return [...withoutComments(text).matchAll(/\btypeof import\(\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)\.[A-Z]/g)].map(
    ([, whole, one]) => whole ?? one,
  )
}

test('types that are named by an inline import keep the order of the rooms', () => {
  const rules = importRules()
  assert.ok(rules.length >= 15, `only ${rules.length} rooms have rules`)
  const wrong = (name, text) => {
    const rule = rules.find(({ folder }) => name.startsWith(folder))
    return inlineTypes(text).filter((module) => rule?.refuses(module))
  }
  assert.deepEqual(wrong('base/a.ts', "let a: import('../engine/core.js').Core"), ['../engine/core.js'])
  assert.deepEqual(wrong('base/a.ts', "as typeof import('../open/open.js')"), ['../open/open.js'])
  assert.deepEqual(wrong('open/a.ts', "let a: import('../engine/core.js').Core // import('../cli/a.js').A"), [])
  assert.deepEqual(wrong('cli/a.ts', "let a: import('../base/closest.js').A | import('../base/check.js').B"), [
    '../base/check.js',
  ])
  const files = filesIn('pkg-js/src', '.ts')
  const found = files.map((name) => [name, textOf(`pkg-js/src/${name}`)])
  assert.ok(found.some(([, text]) => inlineTypes(text).length > 0))
  assert.deepEqual(
    found.flatMap(([name, text]) => wrong(name.split(path.sep).join('/'), text).map((module) => `${name}: ${module}`)),
    [],
  )
})

test('each defect of tests/mutants has its place in the sources', () => {
  const mutants = [...ofStore, ...ofSync]
  assert.ok(mutants.length > 90, `only ${mutants.length} defects were found`)
  const places = ({ file, text }) => textOf(file).split(text).length - 1
  assert.deepEqual(
    mutants.filter((mutant) => places(mutant) !== 1).map(({ name }) => name),
    [],
  )
})
