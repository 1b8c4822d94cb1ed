// What a release checks before it is made: one version, the changelog, the policy of versions and of stored data, the bill of materials. And
// that the workflows name no registry and pin what they use.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { sectionOf, withRelease } from '../../scripts/release/changelog.mjs'
import { formatOf, itemsOf, numbersOf, problemsOfRelease } from '../../scripts/release/policy.mjs'
import { billOf, hashOfCrate, hashOfPackage, partOf } from '../../scripts/release/sbom.mjs'
import { MANIFESTS, problemsOfVersions, sourceOf, versionsIn, withVersion } from '../../scripts/release/versions.mjs'

const root = path.join(import.meta.dirname, '../..')
const textOf = (file) => readFileSync(path.join(root, file), 'utf8')
const textsOf = (files) => Object.fromEntries(files.map((file) => [file, textOf(file)]))

/** The manifests and lock files of the repository that name a package of ours with a version, however it is written. */
function filesWithVersion(version) {
  const files = execFileSync('git', ['ls-files', '*.toml', '*.lock', '*.json'], { cwd: root, encoding: 'utf8' })
  const ours = new RegExp(`(?:tidelock|pkg-js)[\\w-]*"?(?:,| = \\{|: \\{)?\\s+"?version"?(?: =|:) "${version}"`)
  return files
    .trim()
    .split('\n')
    .filter((file) => ours.test(textOf(file)))
}

test('each manifest and lock file that names the version has the one of Cargo.toml', () => {
  const version = sourceOf(textsOf(['Cargo.toml']))
  const files = [...new Set([...MANIFESTS, ...filesWithVersion(version)])]
  assert.ok(files.length >= 7, files.join())
  assert.deepEqual(problemsOfVersions(textsOf(files)), [])
  for (const file of files) assert.ok(versionsIn(file, textOf(file)).length > 0, `${file} would keep ${version}`)
})

test('a new version replaces each one of ours, and no other', () => {
  for (const [file, count] of [
    ['Cargo.toml', 4],
    ['Cargo.lock', 4],
    ['examples/leptos-notes/Cargo.lock', 4],
    ['pkg-js/package.json', 1],
    ['package-lock.json', 1],
  ]) {
    const text = textOf(file)
    const changed = withVersion(file, text, '12.34.56')
    assert.deepEqual(versionsIn(file, changed), Array(count).fill('12.34.56'), file)
    assert.equal(changed.split('\n').filter((line, index) => line !== text.split('\n')[index]).length, count, file)
  }
})

test('a version that differs or is missing is named with its file', () => {
  const texts = textsOf(MANIFESTS)
  const version = sourceOf(texts)
  texts['pkg-js/package.json'] = withVersion('pkg-js/package.json', texts['pkg-js/package.json'], '9.9.9')
  texts['Cargo.lock'] = ''
  assert.deepEqual(problemsOfVersions(texts), [
    'Cargo.lock has no version',
    `pkg-js/package.json has version 9.9.9, and Cargo.toml ${version}`,
  ])
})

const changelog = '# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.1.0] - 2026-01-02\n\n- Old.\n'

test('a release puts the unreleased notes under its version', () => {
  const after = withRelease(changelog, '0.1.1', '2026-03-04')
  assert.match(
    after,
    /^# Changelog\n\n## \[Unreleased\]\n\n## \[0\.1\.1\] - 2026-03-04\n\n- New\.\n\n## \[0\.1\.0\] - 2026-01-02\n/,
  )
  assert.deepEqual(sectionOf(after, '0.1.1'), { date: '2026-03-04', notes: '- New.' })
  assert.deepEqual(sectionOf(after, '0.1.0').notes, '- Old.')
  assert.equal(sectionOf('## [0x1.0] - 2026-01-02\n', '0.1.0'), undefined)
})

test('a release without notes, or of a version that has some, is refused', () => {
  assert.throws(
    () => withRelease(changelog.replace('- New.', ''), '0.1.1', ''),
    /"Unreleased" of CHANGELOG\.md is empty/,
  )
  assert.throws(
    () => withRelease(changelog.replace('## [Unre', '## [unre'), '0.1.1', ''),
    /no section "## \[Unreleased\]"/,
  )
  assert.throws(() => withRelease(changelog, '0.1.0', ''), /already has a section for 0\.1\.0/)
})

test('the changelog and the source have what a release looks for', () => {
  assert.match(textOf('CHANGELOG.md'), /^## \[Unreleased\]$/m)
  const format = formatOf(textOf('src/format/mod.rs'))
  assert.ok(readdirSync(path.join(root, 'tests/fixtures')).includes(`format-${format}`))
  const items = itemsOf(textOf('tests/native/public-api.txt'))
  assert.ok(items.length > 900)
  for (const item of ['pub enum Atomic', 'pub enum Atomic: Each', 'pub enum Atomic: derive(Copy)'])
    assert.ok(items.includes(item), item)
})

/** A release, and one that follows it. */
const stateOf = (version, changes) => ({
  version,
  format: 2,
  items: ['pub fn open', 'pub struct Row'],
  stored: { 'tests/fixtures/format-2/log.json': 'a1' },
  ...changes,
})
const bothFormats = { 'tests/fixtures/format-2/log.json': 'a1', 'tests/fixtures/format-3/log.json': 'b2' }

for (const [what, from, to, changes, expected] of [
  ['a patch without changes', '0.1.0', '0.1.1', {}, []],
  ['the same version again', '0.1.0', '0.1.0', {}, [/0\.1\.0 does not follow 0\.1\.0/]],
  ['an older version', '0.10.0', '0.9.9', {}, [/0\.9\.9 does not follow 0\.10\.0/]],
  [
    'a new format in a patch',
    '0.1.0',
    '0.1.1',
    { format: 3, stored: bothFormats },
    [/format 3 is new.* needs a minor version/],
  ],
  ['a new format in a minor version before 1.0', '0.1.0', '0.2.0', { format: 3, stored: bothFormats }, []],
  ['a new format in a minor version', '1.1.0', '1.2.0', { format: 3, stored: bothFormats }, [/needs a major version/]],
  ['a new format in a major version', '1.1.0', '2.0.0', { format: 3, stored: bothFormats }, []],
  ['a new format without golden databases', '0.1.0', '0.2.0', { format: 3 }, [/format 3 has no golden databases/]],
  [
    'golden databases of a newer format',
    '0.1.0',
    '0.2.0',
    { stored: bothFormats },
    [/format-3 is of a newer storage format than 2/],
  ],
  [
    'an older format',
    '0.1.0',
    '0.2.0',
    { format: 1, stored: { 'tests/fixtures/format-1/log.json': 'a1' } },
    [/older than 2/, /is missing/],
  ],
  [
    'a changed golden database',
    '0.1.0',
    '0.2.0',
    { stored: { 'tests/fixtures/format-2/log.json': 'c3' } },
    [/log\.json differs from that of 0\.1\.0/],
  ],
  [
    'a missing golden database',
    '0.1.0',
    '0.2.0',
    { stored: { 'tests/fixtures/format-2/big.json': 'a1' } },
    [/log\.json is missing/],
  ],
  [
    'no reader for the old format',
    '0.1.0',
    '0.2.0',
    { format: 3, stored: { 'tests/fixtures/format-3/log.json': 'b2' } },
    [/format-2\/log\.json is missing/],
  ],
  [
    'a public item less in a patch',
    '0.1.0',
    '0.1.1',
    { items: ['pub fn open'] },
    [/lacks 'pub struct Row'.* needs a minor version/],
  ],
  ['a public item less in a minor version', '1.1.0', '1.2.0', { items: ['pub fn open'] }, [/needs a major version/]],
  [
    'a public item more in a patch before 1.0',
    '0.1.0',
    '0.1.1',
    { items: ['pub fn open', 'pub struct Row', 'pub fn close'] },
    [],
  ],
  [
    'a public item more in a patch',
    '1.1.0',
    '1.1.1',
    { items: ['pub fn open', 'pub struct Row', 'pub fn close'] },
    [/has 'pub fn close'.* needs a minor version/],
  ],
])
  test(`${what}, ${to} after ${from}: ${expected.length === 0 ? 'ready' : 'refused'}`, () => {
    const problems = problemsOfRelease(stateOf(from), stateOf(to, changes))
    assert.equal(problems.length, expected.length, problems.join('\n'))
    for (const [index, pattern] of expected.entries()) assert.match(problems[index], pattern)
  })

test('the first release needs golden databases only', () => {
  assert.deepEqual(problemsOfRelease(undefined, stateOf('0.1.0')), [])
  assert.match(
    problemsOfRelease(undefined, stateOf('0.1.0', { stored: {} })).join(),
    /format 2 has no golden databases/,
  )
})

test('a version is three numbers', () => {
  for (const text of ['1.0', 'v1.0.0', '1.0.0-rc.1', '01.0.0'])
    assert.throws(() => numbersOf(text), /is not a version/, text)
})

test('a bill of materials has the parts with addresses, licences and checksums', () => {
  const crates =
    'name = "ring"\nversion = "0.17.1"\nsource = "registry"\nchecksum = "ab12"\n\n[[package]]\nname = "x"\nversion = "1.0.0"\n'
  const packages = { packages: { 'node_modules/@a/b': { integrity: 'sha512-AQID' } } }
  const ring = { name: 'ring', version: '0.17.1', license: 'MIT/ISC' }
  const scoped = { name: '@a/b', version: '1.2.3', license: 'MIT' }
  const bill = JSON.parse(
    billOf(partOf('npm', { name: 'tidelock', version: '1.0.0', license: 'MIT' }), [
      partOf('npm', scoped, { hash: hashOfPackage(packages, scoped) }),
      partOf('cargo', ring, { hash: hashOfCrate(crates, ring) }),
    ]),
  )
  assert.equal(bill.metadata.component.purl, 'pkg:npm/tidelock@1.0.0')
  assert.deepEqual(
    bill.components.map(({ purl, licenses, hashes }) => [purl, licenses[0].expression, hashes[0]]),
    [
      ['pkg:cargo/ring@0.17.1', 'MIT OR ISC', { alg: 'SHA-256', content: 'ab12' }],
      ['pkg:npm/%40a/b@1.2.3', 'MIT', { alg: 'SHA-512', content: '010203' }],
    ],
  )
  assert.equal(hashOfCrate(crates, { name: 'x', version: '1.0.0' }), undefined)
})

test('the workflows name no registry, pin each action by its commit, and only jobs that publish have an identity', () => {
  const folder = path.join(root, '.github/workflows')
  let publishing = 0
  for (const file of readdirSync(folder)) {
    const text = readFileSync(path.join(folder, file), 'utf8')
    assert.doesNotMatch(text, /registry-url|npmjs|crates\.io|https?:/, file)
    for (const [, used] of text.matchAll(/uses: (\S+)/g)) assert.match(used, /^\.\/|@[0-9a-f]{40}$/, `${file}: ${used}`)
    for (const job of text.split(/^ {2}(?=\w+:\n)/m).filter((each) => /id-token: write/.test(each))) {
      assert.match(job, /\b(npm|cargo) publish\b/, file)
      assert.doesNotMatch(job, /build\.sh|\bnpm ci\b/, file)
      publishing++
    }
  }
  assert.equal(publishing, 2)
})
