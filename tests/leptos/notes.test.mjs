// The example leptos-notes: a program in Rust that uses the crate in a page, without npm. Built by its own script.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { Browser } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'
import { startRemote } from '../remote/index.mjs'
import { until } from '../scenarios/run/context.mjs'

const example = path.join(import.meta.dirname, '../../examples/leptos-notes')
const browser = new Browser()
let remote
let server

before(async () => {
  remote = await startRemote({
    seed: 'create table notes (id text primary key, body text not null, done boolean not null, created_at timestamptz not null)',
  })
  const env = { ...process.env, SUPABASE_URL: remote.url, SUPABASE_KEY: remote.anonKey }
  execFileSync(path.join(example, 'build.sh'), { stdio: ['ignore', 'inherit', 'inherit'], env })
  server = await serve({ folders: { '/': path.join(example, 'dist') } })
  await browser.start()
})
after(async () => {
  await browser.dispose()
  await server?.close()
  await remote?.stop()
})

/** Opens the app in a tab; what goes wrong in it fails the test. */
async function tab(problems) {
  const page = await browser.page()
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    // The browser's own word for a request without a network.
    const isOffline = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !isOffline) problems.push(message.text())
  })
  await page.goto(server.url)
  return page
}

const add = async (page, body) => {
  await page.getByLabel('A new note').fill(body)
  await page.getByRole('button', { name: 'Add' }).click()
  await page.getByText(body).waitFor()
}
const notes = (page) => page.locator('li label').allInnerTexts()

test('notes are shown at once, work offline, and survive a reload and a killed browser', async () => {
  const problems = []
  let page = await tab(problems)
  await add(page, 'Tea is <b>low</b>')
  await browser.context.setOffline(true)
  await add(page, 'Written offline')
  await page.getByLabel('Tea').check()
  await page.locator('li.done').waitFor()
  await browser.context.setOffline(false)
  await page.reload()
  await page.locator('li.done').waitFor()
  assert.deepEqual(await notes(page), ['Tea is <b>low</b>', 'Written offline'])
  await browser.kill()
  await browser.start()
  page = await tab(problems)
  await page.locator('li.done').waitFor()
  await page.getByTitle('Remove').first().click()
  await page.locator('li.done').waitFor({ state: 'detached' })
  assert.deepEqual(await notes(page), ['Written offline'])
  assert.deepEqual(problems, [])
  await page.close()
})

test('notes are sent, those of others arrive, and offline ones wait', async () => {
  const problems = []
  const page = await tab(problems)
  const sent = async () => (await remote.sql('select body from notes order by body')).map(({ body }) => body)
  await add(page, 'For all')
  await until(async () => (await sent()).includes('For all'))
  await browser.context.setOffline(true)
  await add(page, 'In the train')
  await browser.context.setOffline(false)
  await remote.sql("insert into notes values ('b', 'From afar', false, now())")
  await page.reload()
  await page.getByText('From afar').waitFor()
  const all = ['For all', 'From afar', 'In the train', 'Written offline']
  await until(async () => isDeepStrictEqual(await sent(), all))
  assert.deepEqual((await notes(page)).sort(), all)
  assert.deepEqual(problems, [])
  await page.close()
})

test('a second tab says who has the notes, and takes them over', async () => {
  const problems = []
  const first = await tab(problems)
  await add(first, 'From the first tab')
  const second = await tab(problems)
  await second.getByText(/Database already in use by tab "Notes" since \d\d:\d\d/).waitFor()
  assert.equal(await second.getByLabel('A new note').count(), 0)
  await second.getByRole('button', { name: 'Use the notes here' }).click()
  await add(second, 'From the second tab')
  await first.getByText('The notes are in another tab now').waitFor()
  await first.getByRole('button', { name: 'Use the notes here' }).click()
  await add(first, 'And back')
  assert.deepEqual((await notes(first)).slice(-3), ['From the first tab', 'From the second tab', 'And back'])
  // Its tab closes without a word: the lock is free.
  await first.close()
  await second.reload()
  await second.getByText('And back').waitFor()
  assert.deepEqual(problems, [])
})
