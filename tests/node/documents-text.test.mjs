// The text of all documents: their words, the length of their lines, where their links and paths lead.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { pages } from '../../scripts/docs/pages.mjs'
import { declaredErrorCodes, textOf, urlOf } from './documents/blocks.mjs'
import {
  linesTooLong,
  problemsOfComments,
  problemsOfDocument,
  problemsOfNames,
  wordsOf,
  wordsToReplace,
} from './documents/language.mjs'

/** The documents of the repository. Those of the package are copies. */
const documents = [
  ...readdirSync(urlOf('.')).filter((file) => file.endsWith('.md')),
  ...['docs', 'benches', 'tests', 'crates', 'www'].flatMap(markdownIn),
]

/** The Markdown files of a folder and its folders. */
function markdownIn(folder) {
  return filesIn(folder, /\.md$/)
}

/** The files of a folder and its folders whose path matches. */
function filesIn(folder, pattern) {
  return readdirSync(urlOf(`${folder}/`), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (['node_modules', 'dist', 'target'].includes(entry.name) || entry.name.startsWith('.')) return []
    if (entry.isDirectory()) return filesIn(path, pattern)
    return pattern.test(path) ? [path] : []
  })
}

test('words that the glossary replaces are found with file and line', () => {
  const lines = ['The tab was robbed.', 'It then gives', 'up.', 'Two tabs took turns.', 'A fact.']
  assert.deepEqual(wordsToReplace('a.rs', lines), [
    "a.rs:1: 'robbed': say a stolen lock, a fenced-out holder",
    "a.rs:2: 'gives up': say cancel, or stop trying",
  ])
})

test('lines are counted in characters', () => {
  const line = '…'.repeat(121)
  assert.deepEqual(linesTooLong('a.rs', ['', line.slice(1), line]), ['a.rs:3: 121 columns, at most 120'])
})

test('code, tables, links and written results may be long, and code may have any word', () => {
  const long = 'x'.repeat(121)
  const block = ['```', `// nobody ${long}`, '```']
  const written = ['<!-- bench app -->', `nobody ${long}`, '<!-- /bench -->']
  const text = [...block, ...written, `| ${long} |`, `[a](${long})`, 'In `patience.ts`.', `nobody ${long}`].join('\n')
  assert.deepEqual(problemsOfDocument('a.md', text), [
    "a.md:10: 'nobody': say the name of the subject",
    'a.md:10: 128 columns, at most 120',
  ])
})

test('the documents use the words of the glossary, in lines of at most 120 columns', () => {
  assert.ok(documents.length >= 25, `only ${documents.length} documents were found`)
  const problems = documents.flatMap((file) => problemsOfDocument(file, textOf(file)))
  assert.deepEqual(problems, [])
})

test('words are found in comments, and only there', () => {
  const code = [
    '/// Wakes whoever waits.',
    'let nobody = 1; // Set aside.',
    '/** `nobody` else. */',
    '//! In code: `gone`.',
  ]
  assert.deepEqual(problemsOfComments('a.rs', code.join('\n')), [
    "a.rs:1: 'whoever': say the name of the subject",
    "a.rs:2: 'aside': say quarantined",
  ])
  assert.deepEqual(problemsOfComments('a.sh', 'say nobody # Set aside.'), ["a.sh:1: 'aside': say quarantined"])
  assert.deepEqual(problemsOfComments('a.sql', '-- Set aside.\n'), ["a.sql:1: 'aside': say quarantined"])
})

test('words are found in names, however they are joined, and only there', () => {
  const rust = ["fn prepare_anew<'a>(kept: &'a str) {} // nobody", 'let keep = r#"it is "gone""#;', "let told = '\"';"]
  assert.deepEqual(problemsOfNames('a.rs', rust.join('\n')), [
    "a.rs:1: 'anew': say again",
    "a.rs:3: 'told': say report, show, inform, distinguish",
  ])
  const typescript = ['const keptAside = `gone', "gone`, keep = 'gone'", '/* a moment', 'gone */ function giveUp() {}']
  assert.deepEqual(problemsOfNames('a.ts', typescript.join('\n')), [
    "a.ts:1: 'Aside': say quarantined",
    "a.ts:4: 'give Up': say cancel, or stop trying",
  ])
})

test('the comments of the sources use the words of the glossary', () => {
  const folders = ['scripts', 'tests', 'examples', 'crates'].flatMap((folder) => filesIn(folder, /\.(sh|toml|sql)$/))
  const others = ['build.sh', 'Cargo.toml', 'deny.toml', '.cargo/config.toml', ...folders]
  assert.ok(others.length > 15, `only ${others.length} scripts and settings were found`)
  assert.deepEqual(
    others.flatMap((file) => problemsOfComments(file, textOf(file))),
    [],
  )
  assert.deepEqual(
    // This file shows what such words are.
    sourcesIn(['src', 'crates', 'pkg-js/src', 'pkg-js/test', 'tests', 'scripts', 'www', 'benches', 'examples'])
      .filter((file) => file !== 'tests/node/documents-text.test.mjs')
      .flatMap((file) => problemsOfComments(file, textOf(file))),
    [],
  )
})

test('the names of the sources use the words of the glossary', () => {
  assert.deepEqual(
    sourcesIn(['src', 'crates', 'pkg-js/src']).flatMap((file) => problemsOfNames(file, textOf(file))),
    [],
  )
})

function sourcesIn(folders) {
  const sources = folders.flatMap((folder) => filesIn(folder, /\.(rs|tsx?|m?js)$/))
  assert.ok(sources.length > 300, `only ${sources.length} sources were found`)
  return sources
}

test('ARCHITECTURE.md is an overview of at most 250 lines', () => {
  assert.ok(textOf('ARCHITECTURE.md').split('\n').length <= 251)
})

test('the documents for users have at most 15,000 words, without code and what programs write', () => {
  assert.equal(
    wordsOf('# One two\n\n| three | `four` |\n|---|---|\n```js\nfive\n```\n<!-- six -->\nsix\n<!-- /six -->'),
    4,
  )
  const counts = pages.filter(({ file }) => !file.startsWith('docs/reference/')).map(({ text }) => wordsOf(text))
  const words = counts.reduce((sum, count) => sum + count, 0)
  assert.ok(words > 10_000 && words <= 15_000, `${words} words`)
})

test('the site and the tarball have each document for users', () => {
  const files = readdirSync(urlOf('docs/')).filter((file) => file.endsWith('.md'))
  assert.deepEqual(
    pages.map(({ file }) => file).toSorted(),
    [
      ...files.map((file) => `docs/${file}`),
      ...readdirSync(urlOf('docs/reference/')).map((file) => `docs/reference/${file}`),
    ].toSorted(),
  )
  for (const { file, title, summary } of pages) {
    assert.ok(title.length > 2, file)
    assert.ok(summary.length > 15 && summary.length < 300, `${file}: ${summary}`)
  }
})

test('docs/errors.md has each code once, with its cause, an example and the way out, and says which may pass', () => {
  const text = textOf('docs/errors.md')
  const codes = declaredErrorCodes()
  assert.ok(codes.length >= 43)
  const sections = text.split(/^### /m).slice(1)
  assert.deepEqual(sections.map((section) => section.split('\n')[0]).toSorted(), codes.toSorted())
  for (const section of sections)
    assert.match(
      section,
      /^\w+\n\n- \*\*Cause:\*\* [\s\S]+?\n- \*\*Example:\*\* [\s\S]+?\n- \*\*Way out:\*\* \S/,
      section,
    )
  const retryable = [...textOf('pkg-js/src/base/errors.ts').matchAll(/^ {2}(\w+): true,$/gm)].map(([, code]) => code)
  const [, named] = /`retryable` is true([\s\S]+?)\.\n/.exec(text)
  assert.deepEqual(
    [...named.matchAll(/`(\w+)`/g)].map(([, code]) => code),
    retryable,
  )
})

test('links to files lead somewhere', () => {
  for (const file of documents) {
    const links = [...textOf(file).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, link]) => link)
    for (const link of links) assert.ok(existsSync(new URL(link, urlOf(file))), `${file} has a link to ${link}`)
  }
})

test('paths in code lead somewhere', () => {
  const path = /`((?:benches|crates|docs|pkg-js\/src|pkg-js\/test|scripts|src|tests|www)\/[\w./-]+)`/g
  for (const file of documents) {
    for (const [, name] of textOf(file).matchAll(path)) assert.ok(existsSync(urlOf(name)), `${file} names ${name}`)
  }
})

test('modules and source files in code exist', () => {
  const sources = ['src', 'pkg-js', 'tests', 'scripts', 'benches', 'www'].flatMap((folder) => filesIn(folder, /\.\w+$/))
  const crate = sources.filter((file) => file.startsWith('src/'))
  const problems = []
  for (const file of documents) {
    const text = textOf(file).replaceAll(/^```[\s\S]*?^```/gm, '')
    for (const [, name] of text.matchAll(/`([\w-]+(?:\/[\w-]+)*\.rs)`/g))
      if (!sources.some((source) => `/${source}`.endsWith(`/${name}`))) problems.push(`${file}: ${name}`)
    for (const [, name] of text.matchAll(/`([a-z]\w*(?:::\w+)+)`/g)) {
      const segments = name.split('::')
      const item = segments.pop()
      const [module, child] = [segments.join('/'), [...segments, item].join('/')]
      const filesOf = (path) =>
        crate.filter((source) => source.endsWith(`/${path}.rs`) || source.endsWith(`/${path}/mod.rs`))
      const isModule = filesOf(child).length > 0
      const isItem = filesOf(module).some((source) => new RegExp(`\\b${item}\\b`).test(textOf(source)))
      if (segments[0] !== 'std' && !isModule && !isItem) problems.push(`${file}: ${name}`)
    }
  }
  assert.deepEqual(problems, [])
})
