// The types of the package, as packed: they compile in each version of TypeScript from 5.4 on, with and without those of the DOM, and each
// way of resolving modules finds them.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { blocksOfDocuments } from '../node/documents/blocks.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('./typescript/', import.meta.url))
let app, installed

before(async () => {
  app = await mkdtemp(join(tmpdir(), 'tidelock-types-'))
  const { stdout } = await run('npm', ['pack', './pkg-js', '--json', '--pack-destination', app], { cwd: root })
  const answer = JSON.parse(stdout)
  const tarball = join(app, (Array.isArray(answer) ? answer[0] : Object.values(answer)[0]).filename) // npm 10, npm 11
  installed = join(app, 'node_modules/tidelock')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  for (const program of ['app.ts', 'page.ts']) await cp(join(here, program), join(app, program))
})
after(() => rm(app, { recursive: true, force: true }))

const compilers = {
  5.4: join(here, 'node_modules/typescript-5.4/bin/tsc'),
  5.9: join(here, 'node_modules/typescript-5.9/bin/tsc'),
  6: join(here, 'node_modules/typescript-6/bin/tsc'),
  7: join(root, 'node_modules/.bin/tsc'),
}
const common = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  target: 'es2022',
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
}
const programs = {
  'without the DOM': { files: ['app.ts'], lib: ['es2022'] },
  'with the DOM, the declarations included': {
    files: ['app.ts', 'page.ts'],
    lib: ['es2022', 'dom', 'dom.iterable', 'dom.asynciterable'],
  },
}

/** The oldest and the newest, or all with TIDELOCK_ALL=1. */
const chosen = Object.entries(compilers).filter(
  ([version]) => process.env.TIDELOCK_ALL || ['5.4', '7'].includes(version),
)

for (const [version, compiler] of chosen) {
  for (const [kind, { files, ...options }] of Object.entries(programs)) {
    test(`TypeScript ${version} compiles a strict program ${kind}`, async () => {
      const { stdout } = await run(process.execPath, [compiler, '--version'])
      assert.match(stdout, new RegExp(`^Version ${version}`))
      const project = join(app, `${version} ${kind}.json`)
      await writeFile(project, JSON.stringify({ files, compilerOptions: { ...common, ...options } }))
      await run(process.execPath, [compiler, '-p', project], { cwd: app }).catch((error) => {
        assert.fail(error.stdout || error.message)
      })
    })
  }
}

test('code of the documents whose types are easily wrong compiles', async () => {
  const blocks = {
    'docs/operations.md: SQL functions and collations': "import { open } from 'tidelock'",
    'docs/runbook.md: Back up': `import type { Database } from 'tidelock'
      declare const db: Database, passphrase: string, download: (file: Blob, name: string) => void`,
    'docs/runbook.md: Another tab has the database open': `import { type Database, isTidelockError, open } from 'tidelock'
      declare let db: Database
      declare const name: string, ask: (question: string) => Promise<boolean>`,
  }
  const documents = new Map(blocksOfDocuments().map(({ id, code }) => [id, code]))
  const files = []
  for (const [id, declarations] of Object.entries(blocks)) {
    files.push(`block-${files.length}.ts`)
    await writeFile(join(app, files.at(-1)), `${declarations}\n{\n${documents.get(id)}}\n`)
  }
  const project = join(app, 'documents.json')
  const { lib } = programs['with the DOM, the declarations included']
  await writeFile(project, JSON.stringify({ files, compilerOptions: { ...common, lib } }))
  await run(process.execPath, [compilers[7], '-p', project], { cwd: app }).catch((error) => {
    assert.fail(error.stdout || error.message)
  })
})

test('each way of resolving modules finds the types of each subpath, and none is of CommonJS', async () => {
  const require = createRequire(join(here, 'package.json'))
  const { checkPackage, Package } = await import(require.resolve('@arethetypeswrong/core'))
  const files = {}
  for (const file of await readdir(installed, { recursive: true }))
    if (/\.(js|ts|json)$/.test(file))
      files[`/node_modules/tidelock/${file}`] = await readFile(join(installed, file), 'utf8')
  const { version, exports } = JSON.parse(files['/node_modules/tidelock/package.json'])
  const { problems = [] } = await checkPackage(new Package(files, 'tidelock', version))
  const hasTypes = (entrypoint) => exports[entrypoint]?.types !== undefined
  // The package is for ES modules only, and bundlers and Node read `exports`; `node10` doesn't.
  const real = problems.filter(
    ({ kind, resolutionKind, entrypoint }) =>
      resolutionKind !== 'node10' && kind !== 'CJSResolvesToESM' && (entrypoint === undefined || hasTypes(entrypoint)),
  )
  assert.deepEqual(real, [])
})
