// docs/reference/methods.md, which lists each method with its signature, as the doc comments of the declarations describe them. The file is
// written with UPDATE_GOLDEN=1.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'

const document = new URL('../../docs/reference/methods.md', TESTS)
const declarations = readFileSync(new URL('../dist/index.d.ts', TESTS), 'utf8')

/** The classes that a program gets, what it calls an object of each, and where that comes from. */
const classes = [
  ['Database', 'db', 'what `open` returns'],
  ['Tx', 'tx', 'the argument of the function of `db.transaction`'],
  ['ManualTransaction', 'tx', 'what `db.begin` returns: also all methods of `Tx`'],
  ['LiveQuery', 'live', 'what `db.live` returns'],
  ['Migrations', 'db.migrations', 'the migrations'],
  ['Snapshots', 'db.snapshots', 'the snapshots'],
  ['Sync', 'db.sync', 'the sync with the remote'],
  ['GroupCalls', 'group', 'what `openGroup` returns'],
]

/** The options of calls, and what restores take. */
const options = [
  ...['CallOptions', 'QueryOptions', 'TransactionOptions', 'LiveOptions', 'PullOptions', 'PushOptions', 'StartOptions'],
  ...['MigrationRunOptions', 'GenerateOptions', 'PointInTime', 'SnapshotExportOptions'],
]

/** Members that every class has, or that only the engine and JavaScript call. */
const isHidden = (signature) => /^(constructor|private|protected|#|(get )?\[Symbol|static|set )/.test(signature)

/** The text of a doc comment: without its examples, on one line, with names instead of links. */
function textOf(comment) {
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, ''))
  const at = lines.findIndex((line) => /^@(?!link)/.test(line))
  const byDefault = lines.find((line) => line.startsWith('@default'))?.replace('@default ', 'Default: ') ?? ''
  return [...(at < 0 ? lines : lines.slice(0, at)), byDefault]
    .join(' ')
    .replace(/\{@link (?:\w+\s+\|\s*)?([\w.]+)\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .trim()
}

/** A signature on one line, without what says nothing to a caller. */
function short(signature) {
  return signature
    .replace(/\/\*\*[\s\S]*?\*\//g, '')
    .replace(/\s+/g, ' ')
    .replace(/\breadonly (?=\w+\??:)/g, '')
    .replace(/(\?: [^?;)]*?) \| undefined/g, '$1')
    .replace(/^get (\w+)\(\)/, '$1')
    .replace(/;$/, '')
    .trim()
}

/** The members in the body of a declaration, each with a comment: `{ signatures, text }`. Overloads share that of the first one. */
function membersOf(body, indent) {
  const members = []
  // A declaration has one line, or ends after its braces.
  const lines = `\\S.*;|\\S.*\\{\\n(?:${indent} .*\\n)*${indent}\\}.*;`
  const part = new RegExp(`^${indent}/\\*\\*([\\s\\S]*?)\\*/\\n|^${indent}(${lines})$`, 'gm')
  let comment
  for (const [, text, declaration] of body.matchAll(part)) {
    if (text !== undefined) comment = text
    else {
      const signature = short(declaration)
      if (comment !== undefined && !isHidden(signature))
        members.push({ signatures: [signature], text: textOf(comment) })
      else if (
        comment === undefined &&
        members.length > 0 &&
        nameOf(signature) === nameOf(members.at(-1).signatures[0])
      )
        members.at(-1).signatures.push(signature)
      comment = undefined
    }
  }
  return members
}

const nameOf = (signature) => /^\w+/.exec(signature)?.[0]

function bodyOf(name) {
  const found = new RegExp(`^(?:declare class|interface) ${name}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(declarations)
  assert.ok(found, `${name} is not declared`)
  return found[1]
}

/** The functions of the package, with their comments. */
function functions() {
  const exported = new Set(declarations.match(/^export \{([\s\S]*?)\};/m)[1].match(/[\w$]+/g))
  const body = declarations.replaceAll(/^declare function /gm, '')
  return membersOf(body, '')
    .filter(({ signatures: [first] }) => /^\w+[<(]/.test(first) && exported.has(nameOf(first)))
    .sort((a, b) => (a.signatures[0] < b.signatures[0] ? -1 : 1))
}

function optionsOf(name) {
  return membersOf(bodyOf(name), ' {4}').map(({ signatures: [first], text }) => ({
    signatures: [`${name}.${first}`],
    text,
  }))
}

const code = (text) => `\`${text.replaceAll('|', '\\|')}\``

function table(members) {
  const rows = members.map(({ signatures, text }) => {
    return `| ${signatures.map(code).join('<br>')} | ${text.replaceAll('|', '\\|')} |`
  })
  return ['| call | does |', '|---|---|', ...rows]
}

test('docs/reference/methods.md is up to date', () => {
  const sections = [
    ['## Functions', "What `import { … } from 'tidelock'` gives.", functions()],
    ...classes.map(([name, object, about]) => [
      `## ${name.replace('Calls', '')}`,
      `\`${object}\`: ${about}.`,
      membersOf(bodyOf(name), ' {4}'),
    ]),
    ['## Options of calls', 'All of them also have those of `CallOptions`.', options.flatMap(optionsOf)],
  ]
  for (const [heading, , members] of sections) {
    assert.ok(members.length > 0, heading)
    for (const { signatures, text } of members) assert.ok(text.length > 10, `${heading}: ${signatures[0]}`)
  }
  const text = [
    '# Methods',
    '',
    'Every function and method with its signature. The last argument of a call that waits may hold `{ signal, timeoutMs }`.',
    '',
    ...sections.flatMap(([heading, about, members]) => [heading, '', about, '', ...table(members), '']),
  ].join('\n')
  if (process.env.UPDATE_GOLDEN) writeFileSync(document, text)
  assert.equal(readFileSync(document, 'utf8'), text, 'renew it with UPDATE_GOLDEN=1')
})
