// `npx tidelock init` in the folders of apps of each framework: what it writes, that it compiles and runs, and that it overwrites nothing.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { runCommand } from './command-line.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const base = mkdtempSync(path.join(tmpdir(), 'tidelock-init-'))
after(() => rmSync(base, { recursive: true, force: true }))

let folders = 0
/** Makes the folder of an app; without `manifest` it has no package.json. */
function app(manifest, files = {}) {
  const made = path.join(base, `app-${++folders}`)
  mkdirSync(path.join(made, 'node_modules'), { recursive: true })
  symlinkSync(path.join(root, 'pkg-js'), path.join(made, 'node_modules/tidelock'))
  symlinkSync(path.join(root, 'node_modules/vite'), path.join(made, 'node_modules/vite'))
  if (manifest !== undefined) files['package.json'] ??= JSON.stringify({ name: 'shop', ...manifest })
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(made, file)), { recursive: true })
    writeFileSync(path.join(made, file), text)
  }
  return made
}

/** Runs a command in a folder → { code, out, err }. */
const run = (cwd, ...args) => runCommand(args, { cwd, env: { HOME: base } })

async function init(cwd, ...args) {
  const { code, out, err } = await run(cwd, 'init', '--json', ...args)
  assert.equal(code, 0, err)
  return JSON.parse(out)
}

const textOf = (cwd, file) => readFileSync(path.join(cwd, file), 'utf8')
const typescript = { devDependencies: { typescript: '7' } }
const source = { 'src/main.ts': '' }

for (const [name, manifest, files, module, prefix] of [
  [
    'react',
    { dependencies: { react: '19' }, devDependencies: { vite: '7', typescript: '7' } },
    source,
    'src/db.ts',
    'VITE_',
  ],
  ['next', { dependencies: { next: '16', react: '19' }, ...typescript }, {}, 'lib/db.ts', 'NEXT_PUBLIC_'],
  [
    'sveltekit',
    { devDependencies: { '@sveltejs/kit': '2', svelte: '5', vite: '7', typescript: '7' } },
    source,
    'src/lib/db.ts',
    'VITE_',
  ],
  ['svelte', { devDependencies: { svelte: '5', vite: '7' } }, source, 'src/lib/db.js', 'VITE_'],
  ['vue', { dependencies: { vue: '3' }, devDependencies: { vite: '7' } }, source, 'src/db.js', 'VITE_'],
  ['nuxt', { dependencies: { nuxt: '4', vue: '3' } }, { 'app/app.vue': '' }, 'app/utils/db.js', 'VITE_'],
  ['vite', { devDependencies: { vite: '7' } }, { 'tsconfig.json': '{}' }, 'db.ts', 'VITE_'],
  ['plain', { devDependencies: { webpack: '5' } }, {}, 'db.js', ''],
  ['plain', undefined, {}, 'db.js', ''],
  ['plain', {}, { 'index.html': '' }, 'db.js', ''],
  ['node', { type: 'module', ...typescript }, source, 'src/db.ts', ''],
  ['node', { type: 'commonjs' }, source, 'src/db.mjs', ''],
  ['node', undefined, { 'package.json': '{ malformed' }, 'db.mjs', ''],
]) {
  const shown = `${name}: ${module}, from ${JSON.stringify(manifest)}`
  test(shown, async () => {
    const cwd = app(manifest, { ...files })
    const made = await init(cwd)
    assert.equal(made.framework, name)
    assert.deepEqual(made.written, ['migrations/0001_notes.sql', '.env.example', module])
    assert.deepEqual([made.kept, made.next.length], [[], 3])
    assert.match(textOf(cwd, '.env.example'), new RegExp(`^${prefix}SUPABASE_URL=$`, 'm'))
    assert.doesNotMatch(textOf(cwd, '.env.example'), /=\S/)
    const lint = await run(cwd, 'migrate', 'lint', '--json')
    assert.equal(lint.code, 0, lint.err)
    if (module.endsWith('js')) {
      writeFileSync(path.join(cwd, 'checked.mjs'), textOf(cwd, module))
      execFileSync(process.execPath, ['--check', 'checked.mjs'], { cwd })
    } else {
      const types = name === 'node' ? [] : ['--types', 'vite/client']
      writeFileSync(path.join(cwd, 'node.d.ts'), nodeTypes)
      execFileSync(
        path.join(root, 'node_modules/.bin/tsc'),
        [
          '--noEmit',
          '--ignoreConfig',
          '--strict',
          '--skipLibCheck',
          '--module',
          'esnext',
          '--moduleResolution',
          'bundler',
          '--target',
          'es2022',
        ].concat(['--lib', 'es2022,dom,dom.iterable,esnext.disposable', ...types, 'node.d.ts', module]),
        { cwd, stdio: 'pipe' },
      )
    }
  })
}

/** The calls of Node in the module for Node; an app has @types/node. */
const nodeTypes = `declare module 'node:fs' {
  export function readdirSync(folder: URL): string[]
  export function readFileSync(file: URL, encoding: 'utf8'): string
}`

test('in Node, the module opens a database with the migration, and the command line knows it', async () => {
  const cwd = app({ type: 'module' })
  await init(cwd)
  writeFileSync(
    path.join(cwd, 'main.js'),
    `import { database } from './db.js'
     const db = await database()
     await db.run("INSERT INTO notes (body) VALUES ('first')")
     console.log((await db.query('SELECT body FROM notes')).length, db === (await database()))
     await db.close()`,
  )
  for (const count of [1, 2])
    assert.equal(execFileSync(process.execPath, ['main.js'], { cwd, encoding: 'utf8' }), `${count} true\n`)
  const { out } = await run(cwd, 'migrate', 'status', 'shop.tidelock', '--json')
  assert.deepEqual(
    JSON.parse(out).map(({ name, state }) => [name, state]),
    [['notes', 'applied']],
  )
  const types = await run(cwd, 'types', '--dir', 'migrations')
  assert.match(
    types.out,
    /export interface Tables \{\n {2}notes: \{\n {4}id: string\n {4}body: string\n {4}updated_at: string\n/,
  )
})

test('with Vite, a build contains the text of the migration', async () => {
  const cwd = app(
    { devDependencies: { vite: '7' } },
    { 'index.html': '<script type="module" src="/main.js"></script>' },
  )
  await init(cwd)
  writeFileSync(path.join(cwd, 'main.js'), "import { database } from './db.js'\nwindow.db = database()\n")
  await build({ root: cwd, logLevel: 'warn', build: { minify: false } })
  const assets = readdirSync(path.join(cwd, 'dist/assets')).filter((file) => file.endsWith('.js'))
  assert.ok(assets.some((file) => textOf(cwd, `dist/assets/${file}`).includes('CREATE TABLE notes')))
})

test('with another bundler than Vite, the module of a framework fetches the migrations', async () => {
  for (const [dependencies, bundler] of [
    [{ react: '19' }, 'webpack'],
    [{ react: '18' }, 'react-scripts'],
    [{ vue: '3' }, '@rsbuild/core'],
    [{ svelte: '5' }, 'rollup'],
  ]) {
    const cwd = app({ dependencies, devDependencies: { [bundler]: '1' } }, { 'src/index.js': '' })
    const { framework, written } = await init(cwd)
    assert.equal(framework, Object.keys(dependencies)[0])
    const module = textOf(cwd, written.at(-1))
    assert.match(
      module,
      /'0001_notes\.sql': new URL\('[./]+\/migrations\/0001_notes\.sql', import\.meta\.url\)/,
      bundler,
    )
    assert.doesNotMatch(module, /import\.meta\.(glob|env)/, bundler)
    assert.doesNotMatch(textOf(cwd, '.env.example'), /VITE_/, bundler)
  }
  // Tests and tools often bring a bundler along.
  const cwd = app({ dependencies: { react: '19' }, devDependencies: { vite: '7', esbuild: '1' } })
  await init(cwd)
  assert.match(textOf(cwd, 'db.js'), /import\.meta\.glob/)
})

test('nothing that exists is overwritten; the module reads the migrations that are there', async () => {
  const own = { 'db.js': 'mine', '.env.example': 'mine', 'migrations/0007_own.sql': 'CREATE TABLE own (n);' }
  const cwd = app({}, { ...own, 'index.html': '' })
  const { written, kept } = await init(cwd)
  assert.deepEqual([written, kept], [[], ['migrations', '.env.example', 'db.js']])
  for (const [file, text] of Object.entries(own)) assert.equal(textOf(cwd, file), text)
  assert.ok(!existsSync(path.join(cwd, 'migrations/0001_notes.sql')))
  rmSync(path.join(cwd, 'db.js'))
  const { code, out } = await run(cwd, 'init')
  assert.equal(code, 0)
  assert.match(out, /^For a page:\n {2}wrote db\.js\n {2}kept {2}migrations, which was there already\n/)
  assert.match(out, /\nNext:\n {2}1\. /)
  assert.match(textOf(cwd, 'db.js'), /'0007_own\.sql': new URL\('\.\/migrations\/0007_own\.sql', import\.meta\.url\)/)
})

test('options choose the folder, the framework and the name', async () => {
  const cwd = app({ name: "@scope/it's" }, { 'src/a.js': '' })
  const { framework, written } = await init(cwd, '--framework', 'react', '--dir', 'src/sql', '--name', "it's")
  assert.deepEqual([framework, written[0]], ['react', 'src/sql/0001_notes.sql'])
  assert.match(textOf(cwd, 'src/db.js'), /glob\('\.\/sql\/\*\.sql'[\s\S]*name: 'it\\'s',/)
  writeFileSync(path.join(cwd, 'a file'), '')
  for (const dir of ['a file', 'a file/below']) {
    const { code, err } = await run(cwd, 'init', '--dir', dir)
    assert.deepEqual([code, /^error: .*a file.* \(invalid_argument\)/.test(err)], [1, true], err)
  }
  const unknown = await run(cwd, 'init', '--framework', 'angular')
  assert.equal(unknown.code, 2)
})
