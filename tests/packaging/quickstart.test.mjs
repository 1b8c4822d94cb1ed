// The quick starts of the documents, as a user follows them: the tarball is installed, and each block is a file of an app that is run.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'
import { chromium, shellPath } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
let base, folder, browser
/** What npm has installed for `npx tidelock`, which takes npm's own start longer: one test calls that. */
let tidelock

/** The blocks of a start of the installed documents, in their order, without the first one, which installs the package. */
async function blocksOf(start) {
  const text = await readFile(path.join(folder, `node_modules/tidelock/docs/start-${start}.md`), 'utf8')
  const [first, ...others] = Array.from(text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm), ([, language, code]) => ({
    language,
    code,
  }))
  assert.equal(first.code, 'npm install tidelock\n')
  return others
}

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'tidelock-quickstart-'))
  folder = path.join(base, 'app')
  await mkdir(folder)
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  const { stdout } = await run('npm', ['pack', './pkg-js', '--json', '--pack-destination', base], { cwd: root })
  const answer = JSON.parse(stdout)
  const [packed] = Array.isArray(answer) ? answer : Object.values(answer) // npm 10, npm 11
  // `npm install tidelock`, from the tarball.
  const tarball = path.join(base, packed.filename)
  await run('npm', ['install', tarball, '--offline', '--no-audit', '--no-fund'], { cwd: folder })
  tidelock = path.join(folder, 'node_modules/.bin/tidelock')
  for (const name of ['vite', 'react', 'react-dom'])
    await symlink(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name))
  browser = await chromium.launch({
    executablePath: shellPath(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
  })
})

after(async () => {
  await browser?.close()
  await rm(base, { recursive: true, force: true })
})

/** Serves a folder, and visits its page twice: the second visit finds the note of the first. */
async function visitTwice(folders, files = {}) {
  const server = await serve({ folders, files })
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    const failures = []
    page.on('pageerror', (error) => failures.push(String(error)))
    for (const text of ['Buy tea', 'Buy tea, Buy tea']) {
      await page.goto(`${server.url}/`)
      await page
        .waitForFunction((expected) => document.body.textContent.trim() === expected, text, { timeout: 30_000 })
        .catch(async (error) => assert.fail(`${error}\n${failures.join('\n')}\n${await page.textContent('body')}`))
    }
    assert.deepEqual(failures, [])
  } finally {
    await context.close()
    await server.close()
  }
}

/** Writes the files of a start into a folder of its own: the first line of each block is the path of its file. */
async function filesOf(start) {
  const app = path.join(folder, start)
  for (const { code } of await blocksOf(start)) {
    const [, file] = /^(?:--|\/\/) (\S+)\n/.exec(code)
    await mkdir(path.dirname(path.join(app, file)), { recursive: true })
    await writeFile(path.join(app, file), code)
  }
  return app
}

const pageWith = (script) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><body></body><script type="module" src="${script}"></script></html>`

for (const start of ['vite', 'react'])
  test(`init writes the first two files of the start with ${start}`, async () => {
    const app = await filesOf(start)
    const made = path.join(folder, `init-start-${start}`)
    await mkdir(path.join(made, 'src'), { recursive: true })
    await writeFile(path.join(made, 'tsconfig.json'), '{}')
    await run(tidelock, ['init', '--framework', start, '--name', 'notes'], { cwd: made })
    for (const file of ['migrations/0001_notes.sql', 'src/db.ts']) {
      const [shown, written] = await Promise.all([app, made].map((each) => readFile(path.join(each, file), 'utf8')))
      // Comments besides the first line of the document: how to go on.
      const code = (text) => text.replace(/^ *(--|\/\/ (?!While)).*\n/gm, '')
      assert.equal(code(shown), code(written), file)
    }
  })

test('a React app: in StrictMode, and after a reload', async () => {
  const app = await filesOf('react')
  const main = `import { StrictMode } from 'react'
    import { createRoot } from 'react-dom/client'
    import App from './App'
    createRoot(document.body.appendChild(document.createElement('main'))).render(<StrictMode><App /></StrictMode>)`
  await writeFile(path.join(app, 'src/main.tsx'), main)
  await writeFile(path.join(app, 'index.html'), pageWith('/src/main.tsx'))
  await build({ root: app, logLevel: 'warn', mode: 'development', esbuild: { jsx: 'automatic' } })
  const server = await serve({ folders: { '/': path.join(app, 'dist') } })
  const page = await browser.newPage()
  try {
    const failures = []
    page.on('pageerror', (error) => failures.push(String(error)))
    for (const count of [1, 2]) {
      await page.goto(`${server.url}/`)
      await page.click('button')
      await page.waitForFunction((expected) => document.querySelectorAll('li').length === expected, count)
    }
    assert.deepEqual(failures, [])
  } finally {
    await page.close()
    await server.close()
  }
})

test('a browser app with a bundler', async () => {
  const app = await filesOf('vite')
  await writeFile(path.join(app, 'index.html'), pageWith('/src/main.ts'))
  await build({ root: app, logLevel: 'warn' })
  await visitTwice(
    { '/': path.join(app, 'dist') },
    { '/index.html': await readFile(path.join(app, 'dist/index.html'), 'utf8') },
  )
  const types = ['--types', 'vite/client', '--lib', 'es2022,dom,dom.iterable,esnext.disposable', '--target', 'es2022']
  await run(
    path.join(root, 'node_modules/.bin/tsc'),
    [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      ...types,
      'src/main.ts',
    ],
    { cwd: app },
  ).catch((error) => assert.fail(error.stdout || error.message))
})

test('a plain page', async () => {
  const [{ language, code }] = await blocksOf('browser')
  assert.equal(language, 'html')
  const app = path.join(folder, 'plain')
  await cp(path.join(folder, 'node_modules/tidelock/dist'), path.join(app, 'tidelock'), { recursive: true })
  await visitTwice({ '/': app }, { '/index.html': code })
})

test('Node', async () => {
  const [{ code }] = await blocksOf('node')
  await writeFile(path.join(folder, 'main.js'), code)
  for (const count of [1, 2]) {
    const { stdout } = await run(process.execPath, ['main.js'], { cwd: folder })
    assert.equal(stdout.match(/Buy tea/g).length, count)
  }
  const { stdout } = await run('npx', ['--offline', 'tidelock', 'inspect', 'notes.tidelock'], { cwd: folder })
  assert.match(stdout, /notes: 2 rows/)
})

/** The page of an app that `init` began: it writes a note, and shows all of them. */
const initPage = (head = '') =>
  `<!doctype html><html lang="en"><meta charset="utf-8">${head}<body></body><script type="module" src="./main.js"></script></html>`
const initMain = `import { database } from './db.js'
const db = await database()
await db.run('INSERT INTO notes (body) VALUES (?)', ['Buy tea'])
const notes = await db.query('SELECT body FROM notes')
document.body.textContent = notes.map(({ body }) => body).join(', ')
`

/** Runs `tidelock init` for a framework in a new folder of the app → the folder. */
async function initialized(framework) {
  const app = path.join(folder, `init-${framework.join('-')}`)
  await mkdir(app)
  await run(tidelock, ['init', '--framework', ...framework], { cwd: app })
  await writeFile(path.join(app, 'main.js'), initMain)
  return app
}

test('init for Vite: the app runs', async () => {
  const app = await initialized(['vite'])
  await writeFile(path.join(app, 'index.html'), initPage())
  await build({ root: app, logLevel: 'warn', build: { target: 'es2022' } })
  await visitTwice({ '/': path.join(app, 'dist') })
})

test('init for a plain page: the app runs without a bundler', async () => {
  const app = await initialized(['plain'])
  const imports =
    '<script type="importmap">{ "imports": { "tidelock": "/node_modules/tidelock/dist/index.js" } }</script>'
  await visitTwice(
    { '/': app, '/node_modules/': path.join(folder, 'node_modules') },
    { '/index.html': initPage(imports) },
  )
})

test('init for a page: webpack copies the migrations', async () => {
  const app = await initialized(['plain', '--name', 'packed'])
  const webpack = createRequire(new URL('../bundlers/package.json', import.meta.url))('webpack')
  const output = path.join(app, 'built')
  const compiler = webpack({
    mode: 'production',
    context: app,
    entry: './main.js',
    output: { path: output },
    optimization: { minimize: false }, // tests/bundlers has minified ones
    performance: { hints: false },
  })
  const stats = await promisify(compiler.run.bind(compiler))()
  await promisify(compiler.close.bind(compiler))()
  assert.deepEqual(stats.toJson({ all: false, errors: true, warnings: true }).errors, [])
  await visitTwice({ '/': output }, { '/index.html': initPage() })
})
