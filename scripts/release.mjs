// node scripts/release.mjs [X.Y.Z] [--check], by ./build.sh release
//
// Makes a release: sets the version everywhere, dates its section of CHANGELOG.md, checks what would be published, commits and tags. It
// publishes nothing: .github/workflows/release.yml does, when the tag is pushed. After a failed check all files are as before. `--check`
// only checks, by default the version of Cargo.toml, and changes no file of the repository. The tarball and the bills of materials are
// in .cache/release afterwards.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { sectionOf, withRelease } from './release/changelog.mjs'
import { compare, formatOf, itemsOf, numbersOf, problemsOfRelease } from './release/policy.mjs'
import { billOf, hashOfCrate, hashOfPackage, partOf } from './release/sbom.mjs'
import { problemsOfVersions, sourceOf, versionsIn, withVersion } from './release/versions.mjs'
import { bundledPackages, linkedCrates, root } from './shipped.mjs'

process.chdir(root)
const CHANGELOG = 'CHANGELOG.md'
const FILES = '.cache/release'

const textOf = (file) => readFileSync(file, 'utf8')
const git = (...words) => execFileSync('git', words, { encoding: 'utf8', maxBuffer: 2 ** 26 }).trimEnd()
const linesOf = (...words) =>
  git(...words)
    .split('\n')
    .filter(Boolean)

const words = process.argv.slice(2)
const isCheck = words.includes('--check')
const [asked, ...more] = words.filter((word) => word !== '--check')
if (more.length > 0 || asked?.startsWith('-') || (asked === undefined && !isCheck)) {
  console.error('usage: ./build.sh release X.Y.Z | ./build.sh release --check [X.Y.Z]')
  process.exit(2)
}

/** The text of each file that has the version. */
const texts = Object.fromEntries(
  linesOf('ls-files')
    .map((file) => [file, /\.(toml|lock|json)$/.test(file) ? textOf(file) : ''])
    .filter(([file, text]) => versionsIn(file, text).length > 0),
)
const version = asked ?? sourceOf(texts)
const tag = `v${version}`
const failed = []

/** Runs a check: it fails if it throws, or returns problems. */
function check(name, run) {
  console.log(`==> ${name}`)
  let problems
  try {
    problems = run() ?? []
  } catch (error) {
    problems = [error.message]
  }
  for (const problem of problems) console.error(`FAILED: ${problem}`)
  if (problems.length > 0) failed.push(name)
}

/** Runs a command as a check. */
function checkCommand(name, command) {
  check(name, () => {
    const { status, error } = spawnSync('bash', ['-c', command], { stdio: 'inherit' })
    if (status !== 0) throw error ?? new Error(`${command}: exit code ${status}`)
  })
}

/** Ends the script if a check has failed. */
function stopIfFailed() {
  if (failed.length === 0) return
  console.error(`\nnot ready for release ${version}: ${failed.join('; ')}`)
  process.exit(1)
}

/** Returns what the policy compares of a commit. */
function stateAt(commit, version) {
  const stored = linesOf('ls-tree', '-r', commit, '--', 'tests/fixtures')
    .map((line) => /^\d+ blob (\w+)\t(.*)$/.exec(line).slice(1))
    .filter(([, file]) => /^tests\/fixtures\/format-\d+\//.test(file))
    .map(([hash, file]) => [file, hash])
  return {
    version,
    format: formatOf(git('show', `${commit}:src/format/mod.rs`)),
    items: itemsOf(git('show', `${commit}:tests/native/public-api.txt`)),
    stored: Object.fromEntries(stored),
  }
}

const isTagged = linesOf('tag', '--points-at', 'HEAD').includes(tag)
const notCommitted = () => linesOf('status', '--porcelain').map((line) => line.slice(3))
const before = notCommitted()

check('the tree is clean, on main or at the tag of the version', () => {
  const branch = git('branch', '--show-current')
  const elsewhere = branch !== 'main' && !isTagged ? [`on branch '${branch}', not on main`] : []
  return [...before.map((file) => `not committed: ${file}`), ...elsewhere]
})
check('one version', () => {
  numbersOf(version)
  const problems = problemsOfVersions(texts)
  if (isTagged && sourceOf(texts) !== version) problems.push(`${tag} is at version ${sourceOf(texts)}`)
  return problems
})
check('changelog', () => {
  const changelog = textOf(CHANGELOG)
  // A tagged version has its section; another one gets it now.
  if (!isCheck || !isTagged) withRelease(changelog, version, '')
  else if (!sectionOf(changelog, version)?.notes) throw new Error(`${CHANGELOG} has no notes for ${version}`)
})
check('Semantic Versioning of the API and of the storage format, golden databases', () => {
  const released = linesOf('tag', '--list', 'v*.*.*').filter(
    (name) => /^v\d+\.\d+\.\d+$/.test(name) && (name !== tag || !isTagged),
  )
  const [last] = released.map((name) => name.slice(1)).toSorted((one, other) => compare(other, one))
  console.log(last === undefined ? 'no release before this one' : `the last release is ${last}`)
  return problemsOfRelease(last && stateAt(`v${last}`, last), stateAt('HEAD', version))
})
if (!isCheck) {
  stopIfFailed()
  for (const [file, text] of Object.entries(texts)) writeFileSync(file, withVersion(file, text, version))
  writeFileSync(CHANGELOG, withRelease(textOf(CHANGELOG), version, new Date().toISOString().slice(0, 10)))
}

// Ctrl-C ends the running command, and with it the check.
process.on('SIGINT', () => {})
checkCommand(
  'the package, and the licences of what it contains',
  'scripts/wasm.sh && scripts/package.sh && node scripts/size.mjs',
)
checkCommand(
  'golden databases, public API and messages of the crate',
  'cargo test --locked --features realtime --test native -- golden public_api messages',
)
checkCommand(
  'the tarball: publint, are the types wrong?',
  'node --test tests/packaging/tarball.test.mjs tests/packaging/types.test.mjs',
)
rmSync(FILES, { recursive: true, force: true })
mkdirSync(FILES, { recursive: true })
checkCommand(
  'npm publish --dry-run',
  `npm pack ./pkg-js --silent --pack-destination ${FILES} && npm publish ./${FILES}/tidelock-*.tgz --dry-run --access public`,
)
// The tree was clean before the version was set.
checkCommand('cargo package', 'cargo package --workspace --locked --allow-dirty')
const [, oldest] = /^rust-version = "(.+)"$/m.exec(textOf('Cargo.toml'))
checkCommand(
  `Rust ${oldest}, the rust-version of Cargo.toml`,
  `rustup toolchain install ${oldest} --no-self-update --profile minimal --target wasm32-unknown-unknown &&
  cargo +${oldest} check --locked --lib --features realtime &&
  cargo +${oldest} check --locked --lib --features sync,opfs --target wasm32-unknown-unknown`,
)
checkCommand('licences, sources and versions of crates', 'cargo deny --locked check bans licenses sources')
check('bills of materials', () => {
  const lock = textOf('Cargo.lock')
  const npmLock = JSON.parse(textOf('package-lock.json'))
  const [, sqlite] = /^#define SQLITE_VERSION +"([\d.]+)"/m.exec(textOf('.cache/sqlite3/sqlite3.h'))
  const [, rust] = /^channel = "(.+)"$/m.exec(textOf('rust-toolchain.toml'))
  const license = 'MIT OR Apache-2.0'
  const inBoth = [
    partOf(
      'generic',
      { name: 'sqlite', version: sqlite, license: 'blessing' },
      { cpe: `cpe:2.3:a:sqlite:sqlite:${sqlite}:*:*:*:*:*:*:*` },
    ),
  ]
  const crates = (...words) =>
    linkedCrates(...words).map((each) => partOf('cargo', each, { hash: hashOfCrate(lock, each) }))
  const packages = bundledPackages().map((each) => partOf('npm', each, { hash: hashOfPackage(npmLock, each) }))
  const std = partOf('generic', { name: 'rust', version: rust, license })
  const bills = {
    npm: [...inBoth, std, ...packages, ...crates()],
    cargo: [...inBoth, ...crates('x86_64-unknown-linux-gnu', ['realtime'])],
  }
  for (const [kind, parts] of Object.entries(bills)) {
    const file = `${FILES}/tidelock-${version}.${kind}.cdx.json`
    writeFileSync(file, billOf(partOf(kind, { name: 'tidelock', version, license }), parts))
    console.log(`${file}: ${parts.length} components`)
  }
})
const written = isCheck ? [] : [...Object.keys(texts), CHANGELOG]
check('golden files as committed', () =>
  notCommitted()
    .filter((file) => !written.includes(file) && !before.includes(file))
    .map((file) => `the checks changed ${file}`),
)

if (isCheck) {
  stopIfFailed()
  console.log(`\nready for release ${version}`)
} else {
  if (failed.length > 0) git('checkout', '--quiet', '--', ...written)
  stopIfFailed()
  git('commit', '--quiet', '--message', `Release ${version}`, '--', ...written)
  const { notes } = sectionOf(textOf(CHANGELOG), version)
  git('tag', '--annotate', tag, '--cleanup=verbatim', '--message', `tidelock ${version}\n\n${notes}\n`)
  console.log(`\ncommitted and tagged. To publish it: git push origin main ${tag}`)
}
