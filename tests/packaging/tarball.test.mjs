// What the unpacked tarball says about itself: its manifest, its declarations, its source maps, its documents.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { SourceMap } from 'node:module'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
let base, folder, manifest, files

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'tidelock-tarball-'))
  const { stdout } = await run('npm', ['pack', './pkg-js', '--json', '--pack-destination', base], { cwd: root })
  const answer = JSON.parse(stdout)
  const [packed] = Array.isArray(answer) ? answer : Object.values(answer) // npm 10, npm 11
  await run('tar', ['-xzf', path.join(base, packed.filename), '-C', base])
  folder = path.join(base, 'package')
  manifest = JSON.parse(textOf('package.json'))
  files = readdirSync(folder, { recursive: true }).map((file) => file.replaceAll('\\', '/'))
})

after(() => rm(base, { recursive: true, force: true }))

const textOf = (file) => readFileSync(path.join(folder, file), 'utf8')
const filesOf = (pattern) => files.filter((file) => pattern.test(file))

test('publint has nothing to say', async () => {
  const { messages } = await publint({ pkgDir: folder, strict: true })
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest)),
    [],
  )
})

test('the manifest names author, homepage, repository and issues, in agreement with the licence and the crate', () => {
  const { author, homepage, repository, bugs, version, license } = manifest
  const [, copyright] = /^Copyright \(c\) \d+ (.+)$/m.exec(textOf('LICENSE-MIT'))
  assert.equal(author.toLowerCase(), copyright.toLowerCase())
  const url = repository.url.replace(/^git\+|\.git$/g, '')
  assert.match(url, /^https:\/\/[\w.-]+\/[\w-]+\/tidelock$/)
  assert.deepEqual([homepage, bugs, repository.directory], [`${url}#readme`, `${url}/issues`, 'pkg-js'])
  const crate = readFileSync(path.join(root, 'Cargo.toml'), 'utf8')
  const field = (name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(crate)?.[1]
  assert.deepEqual([version, license], [field('version'), field('license')])
  assert.ok([url, undefined].includes(field('repository')), 'the crate is in the same repository')
})

test('each entry has one file of declarations, which imports packages and the entry of the package only', () => {
  const declared = Object.entries(manifest.exports).flatMap(([subpath, { types, default: script }]) =>
    script?.endsWith('.js') ? [types ?? `nothing for ${subpath}`] : [],
  )
  assert.deepEqual(filesOf(/\.d\.ts$/).toSorted(), declared.map((file) => path.posix.normalize(file)).toSorted())
  for (const file of filesOf(/\.d\.ts$/)) {
    const code = textOf(file).replace(/\/\*\*.*?\*\//gs, '')
    const imports = [...code.matchAll(/(?:\bfrom|\bimport\(?) ?['"]([^'"]+)['"]/g)].map(([, name]) => name)
    for (const name of imports) assert.match(name, /^(?![./])|^\.\.\/\.\.\/index\.js$/, file)
  }
})

test('the declarations have doc comments, and nothing internal', () => {
  const text = textOf('dist/index.d.ts')
  assert.ok(text.match(/\/\*\*/g).length > 500, 'the doc comments are there')
  for (const file of filesOf(/\.d\.ts$/)) assert.doesNotMatch(textOf(file), /@internal|\bgenerated\//, file)
  const declared = [...text.matchAll(/^(?:declare )?(?:abstract )?(?:class|function|const|interface|type) (\w+)/gm)]
  assert.ok(declared.length > 100)
  // Each of these classes and functions can be imported, but for the base class of those with events, which has no name in it; a type may
  // also be a part of one that can.
  const exported = new Set(
    [...text.matchAll(/^export (?:type )?\{([^}]+)\}/gm)].flatMap(([, names]) =>
      names.split(/,\s*/).map((n) => n.trim()),
    ),
  )
  const values = [...text.matchAll(/^declare (?:abstract )?(?:class|function|const) (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(
    values.filter((name) => !exported.has(name)),
    ['Events'],
  )
})

test('each script has a source map with its sources, and none with a folder of the machine that built it', () => {
  const scripts = filesOf(/\.js$/)
  assert.ok(scripts.length > 10)
  for (const script of scripts) {
    assert.match(textOf(script), new RegExp(`//# sourceMappingURL=${path.basename(script)}\\.map\\n$`), script)
    const { sources, sourcesContent } = JSON.parse(textOf(`${script}.map`))
    assert.equal(sources.length, sourcesContent.length, script)
    assert.ok(!sourcesContent.includes(null), script)
    for (const place of [homedir(), root]) assert.ok(!textOf(`${script}.map`).includes(place), `${script}: ${place}`)
  }
})

test('source maps find the functions of a script, also below renamed imports', () => {
  for (const script of ['dist/index.js', 'dist/lazy-options.js', 'dist/open-shared.js']) {
    const payload = JSON.parse(textOf(`${script}.map`))
    const map = new SourceMap(payload)
    let found = 0
    for (const [line, text] of textOf(script).split('\n').entries()) {
      const [, before, name] = /^((?:async )?function )(\w+)\(/.exec(text) ?? []
      if (name === undefined) continue
      const { originalSource, originalLine, originalColumn } = map.findEntry(line, before.length)
      const source = payload.sourcesContent[payload.sources.indexOf(originalSource)]
      // A bundler numbers functions of the same name.
      const plain = name.replace(/\d+$/, '')
      const original = source.split('\n')[originalLine].slice(originalColumn)
      assert.ok(original.startsWith(plain), `${script}:${line + 1}: ${name} is not '${original}'`)
      found++
    }
    assert.ok(found > 5, `${script} has ${found} functions`)
  }
})

test('links of the documents lead to files of the tarball, to their headings, or to the repository', () => {
  const documents = filesOf(/\.md$/)
  assert.ok(documents.includes('README.md') && documents.includes('docs/reference/options.md') && documents.length > 15)
  const repository = manifest.homepage.replace('#readme', '')
  let inside = 0
  for (const file of documents.filter((name) => name !== 'THIRD_PARTY_NOTICES.md'))
    for (const [, link] of textOf(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (link.startsWith(repository)) {
        const place = link.slice(`${repository}/blob/main/`.length).replace(/#.*/, '')
        assert.ok(existsSync(path.join(root, place)), `${file} has a link to ${link}`)
        continue
      }
      if (/^\w+:/.test(link)) continue
      const [target, anchor] = link.split('#')
      const name = target === '' ? file : path.posix.join(path.posix.dirname(file), target)
      assert.ok(files.includes(name), `${file} has a link to ${link}`)
      if (anchor !== undefined)
        assert.ok(
          anchorsOf(textOf(name)).includes(anchor),
          `${file} has a link to ${link}, a heading that is not there`,
        )
      inside++
    }
  assert.ok(inside > 30, `${inside} links`)
})

test('programs find the pages: AGENTS.md and llms.txt have a link to each, llms-full.txt has all', () => {
  const documents = filesOf(/^docs\/.*\.md$/)
  const full = textOf('llms-full.txt')
  for (const name of documents) {
    for (const list of ['AGENTS.md', 'llms.txt'])
      assert.ok(textOf(list).includes(`](${name})`), `${list} lacks ${name}`)
    assert.ok(full.includes(/^# .+$/m.exec(textOf(name))[0]), `llms-full.txt lacks ${name}`)
  }
})

/** The anchors of a document's headings, as its readers make them. */
function anchorsOf(text) {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
