// Each app of examples/ by its two commands, installed from the packed package, and used.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { run, runToEnd, startServer } from '../bundlers/harness.mjs'
import { Browser } from '../e2e/browser.mjs'
import { packed } from '../e2e/package.mjs'
import { startRemote } from '../remote/index.mjs'
import { until } from '../scenarios/run/context.mjs'

const examples = new URL('../../examples/', import.meta.url)
const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory())
// tests/crate runs native-notes and native-sync, and tests/leptos leptos-notes, which are in Rust.
/** What an example has besides its sources, after it was run. */
const made = /\/(node_modules|\.svelte-kit|build|dist|target|\.env\.local)(\/|$)/
const sources = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !made.test(file) && !/\/(package-lock\.json|Cargo\.lock)$/.test(file))

const browser = new Browser()
before(() => browser.start())
after(() => browser.dispose())

/** Copies an example beside the packed package, installs it as its reader does, and calls `use` with the folder. */
async function installed(name, use) {
  const root = mkdtempSync(path.join(tmpdir(), 'tidelock-example-'))
  try {
    const folder = path.join(root, 'examples', name)
    cpSync(packed(), path.join(root, 'pkg-js'), { recursive: true })
    cpSync(new URL(name, examples), folder, { recursive: true, filter: (file) => !made.test(file) })
    await run(folder, 'npm', ['install', '--prefer-offline'])
    await use(folder)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

for (const { name } of folders)
  test(`${name} has less than 200 lines, and the table of examples lists it`, () => {
    const lines = sources(fileURLToPath(new URL(name, examples))).map(
      (file) => readFileSync(file, 'utf8').split('\n').length - 1,
    )
    assert.ok(lines.reduce((sum, each) => sum + each, 0) < 200)
    assert.match(
      readFileSync(new URL('README.md', examples), 'utf8'),
      new RegExp(`^\\| \\[${name}\\]\\(${name}\\) \\|`, 'm'),
    )
  })

test('node-cli: entries stay from one run to the next; wrong usage ends with 2', () =>
  installed('node-cli', async (folder) => {
    assert.deepEqual(await runToEnd(folder, 'npm', ['start', '--silent']), { code: 0, output: 'Nothing to do\n' })
    const todo = (...words) => runToEnd(folder, 'node', ['todo.js', ...words])
    assert.deepEqual(await todo('add', 'Buy', 'tea'), { code: 0, output: 'Added 1\n' })
    assert.deepEqual(await todo('add', 'Drink it'), { code: 0, output: 'Added 2\n' })
    assert.deepEqual(await todo('done', '1'), { code: 0, output: '' })
    assert.deepEqual(await todo('list'), { code: 0, output: '[x] 1 Buy tea\n[ ] 2 Drink it\n' })
    assert.deepEqual(await todo('remove', '1'), { code: 0, output: '' })
    assert.deepEqual(await todo('list'), { code: 0, output: '[ ] 2 Drink it\n' })
    for (const words of [['add'], ['done', 'tea'], ['remove', '7'], ['sing']])
      assert.equal((await todo(...words)).code, 2)
  }))

test('vanilla: notes are in every tab, and there after a reload', () =>
  installed('vanilla', async (folder) => {
    const server = await startServer(folder, 'npm', ['start'], { PORT: '0' })
    try {
      const [one, other] = [await browser.page(server.url), await browser.page(server.url)]
      await one.getByText('0 notes').waitFor()
      await one.getByLabel('A new note').fill('Tea is <b>low</b>')
      await one.getByRole('button', { name: 'Add' }).click()
      await other.getByText('1 note', { exact: true }).waitFor()
      await one.reload()
      await one.getByText('Tea is <b>low</b>').waitFor()
      await other.getByTitle('Remove').click()
      await one.getByText('0 notes').waitFor()
    } finally {
      await server.close()
    }
  }))

/** Builds and serves an example by `npm start`, and calls `use` with its address. */
const started = (name, env, use) =>
  installed(name, async (folder) => {
    const server = await startServer(folder, 'npm', ['start', '--', '--port', '0', '--host', '127.0.0.1'], env)
    try {
      await use(server.url, folder)
    } finally {
      await server.close()
    }
  })

test('react-todo: a list in two tabs goes on offline, and reaches the remote afterwards', async () => {
  const remote = await startRemote({ seed: readFileSync(new URL('react-todo/supabase.sql', examples), 'utf8') })
  const rows = async () => {
    const todos = await remote.sql(
      "SELECT title || CASE WHEN done THEN ', done' ELSE '' END AS todo FROM todos ORDER BY 1",
    )
    return todos.map(({ todo }) => todo)
  }
  const arrived = (...expected) => until(async () => isDeepStrictEqual(await rows(), expected), 60_000)
  const env = { VITE_SUPABASE_URL: remote.url, VITE_SUPABASE_KEY: remote.publishableKey }
  try {
    await started('react-todo', env, async (url) => {
      const [one, other] = [await browser.page(url), await browser.page(url)]
      const add = async (page, title) => {
        await page.getByLabel('What to do').fill(title)
        await page.getByRole('button', { name: 'Add' }).click()
      }
      await add(one, 'Buy tea')
      await other.getByText('Buy tea').waitFor()
      await arrived('Buy tea')

      await one.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
      const outage = remote.faults.add({ drop: true, times: 1_000_000 })
      await browser.context.setOffline(true)
      await other.reload()
      await other.getByLabel('Buy tea').click()
      await add(one, 'Drink it')
      await other.getByText('To send: 2').waitFor()
      assert.deepEqual(await rows(), ['Buy tea'])

      outage.remove()
      await browser.context.setOffline(false)
      await arrived('Buy tea, done', 'Drink it')
      await other.getByText('Saved').waitFor()
      await one.getByTitle('Remove').first().click()
      await other.getByText('Buy tea').waitFor({ state: 'detached' })
      await arrived('Drink it')
      for (const page of [one, other]) await page.close()
    })
  } finally {
    await browser.context.setOffline(false)
    await remote.stop()
  }
})

/** Those that install a framework or tools which tests/bundlers and tests/integrations drive, too: with TIDELOCK_ALL=1. */
const testOfAll = process.env.TIDELOCK_ALL ? test : () => {}

testOfAll('sveltekit-notes: only the right passphrase shows the notes', () =>
  started('sveltekit-notes', {}, async (url) => {
    const page = await browser.page(url)
    const complaints = []
    page.on('pageerror', (error) => complaints.push(String(error)))
    const unlock = async (passphrase) => {
      await page.getByLabel('Passphrase').fill(passphrase)
      await page.getByRole('button', { name: 'Unlock' }).click()
    }
    await unlock('correct horse')
    await page.getByLabel('A new note').fill('Tea is low')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByText('Tea is low').waitFor()

    await page.reload()
    await unlock('battery staple')
    await page.getByText('Wrong passphrase').waitFor()
    assert.equal(await page.getByText('Tea is low').count(), 0)
    await page.getByRole('button', { name: 'Try again' }).click()
    await unlock('correct horse')
    await page.getByText('Tea is low').waitFor()
    assert.deepEqual(complaints, [])
  }),
)

testOfAll('kysely-vite: totals follow each expense, and are there after a reload', () =>
  started('kysely-vite', {}, async (url) => {
    const page = await browser.page(url)
    const totals = () =>
      page.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)))
    const add = async (category, amount, expected) => {
      await page.getByLabel('Category').fill(category)
      await page.getByLabel('Amount').fill(amount)
      await page.getByRole('button', { name: 'Add' }).click()
      await page.getByText(expected, { exact: true }).waitFor()
    }
    await add('Tea', '4.20', '€4.20')
    await add('Books', '20', '€20.00')
    await add('tea', '0.35', '€4.55')
    const expected = [
      ['Books', '1', '€20.00'],
      ['Tea', '2', '€4.55'],
    ]
    assert.deepEqual(await totals(), expected)
    await page.reload()
    await page.getByText('€20.00').waitFor()
    assert.deepEqual(await totals(), expected)
  }),
)
