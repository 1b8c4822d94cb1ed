// `tidelock inspect FILE --web`: who may read the database, what the page does under its policy, and how it ends.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import { networkInterfaces, tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { Browser } from '../e2e/browser.mjs'
import { cli, runCommand } from './command-line.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-web-'))
const file = path.join(base, 'shop.sqlite')
let child, address
const ended = (program) => program.exitCode !== null || program.signalCode !== null

/** Starts the command for a file or folder → `[its process, the address of its page]`. */
async function inspect(where) {
  const program = spawn(process.execPath, [cli, 'inspect', where, '--web'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  for await (const part of program.stdout) {
    out += part
    if (out.includes('\n')) break
  }
  return [program, new URL(out.trim())]
}

before(async () => {
  execFileSync('sqlite3', [
    file,
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
  ])
  const started = await inspect(file)
  child = started[0]
  address = started[1]
})
after(() => {
  if (!ended(child)) child.kill('SIGKILL')
  rmSync(base, { recursive: true, force: true })
})

/** The status and the headers of a request. */
async function get(pathname, headers = {}, method = 'GET') {
  const request = http.request({ host: '127.0.0.1', port: address.port, path: pathname, method, headers }).end()
  const [response] = await once(request, 'response')
  response.resume()
  return response
}

test('the address has a token, and only with it anything is served', async () => {
  assert.match(address.href, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{24}\/$/)
  const [, token] = address.pathname.split('/')
  for (const [pathname, status] of [
    [`/${token}/`, 200],
    [`/${token}/database`, 200],
    ['/', 404],
    ['/database', 404],
    [`/${token.slice(1)}x/database`, 404],
    [`/${token}/../package.json`, 404],
    [`/${token}/tidelock/../../package.json`, 404],
    [`/${token}/tidelock/%2e%2e/%2e%2e/package.json`, 404],
    [`/${token}/tidelock/cli/main.js`, 404],
  ])
    assert.equal((await get(pathname)).statusCode, status, pathname)
  assert.equal((await get(address.pathname, {}, 'POST')).statusCode, 405)
  const { headers } = await get(address.pathname)
  assert.match(headers['content-security-policy'], /default-src 'none'.*require-trusted-types-for 'script'/)
  assert.deepEqual([headers['referrer-policy'], headers['cache-control']], ['no-referrer', 'no-store'])
})

test('another Host is refused, and another address of this machine is not bound', async () => {
  for (const host of [
    'evil.example',
    `evil.example:${address.port}`,
    '127.0.0.1',
    `127.0.0.1:${address.port}.evil.example`,
  ])
    assert.equal((await get(address.pathname, { host })).statusCode, 421, host)
  assert.equal((await get(address.pathname, { host: `localhost:${address.port}` })).statusCode, 200)
  const others = Object.values(networkInterfaces())
    .flat()
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
  for (const { address: host } of others)
    await assert.rejects(fetch(`http://${host}:${address.port}${address.pathname}`), TypeError)
})

/** Runs `work` with the page of an address, which must report no errors. */
async function inPage(url, work) {
  const browser = new Browser()
  const problems = []
  try {
    await browser.start()
    const page = await browser.context.newPage()
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
    page.on('pageerror', (error) => problems.push(String(error)))
    await page.goto(url.href)
    await work(page)
  } finally {
    await browser.dispose()
  }
  assert.deepEqual(problems, [])
}

test('the page shows the file; changes stay in it', async () => {
  const before = readFileSync(file)
  await inPage(address, async (page) => {
    await page.waitForSelector('[data-table=t] tbody tr')
    assert.ok((await page.textContent('h1')).endsWith('shop.sqlite'))
    await page.dblclick('td[data-column=a]')
    await page.fill('td input', 'changed')
    await page.keyboard.press('Enter')
    await page.waitForSelector('td:text-is("changed")')
    await page.click('#tab-history')
    await page.waitForSelector('text=This database is in memory, so it has no history')
    await page.click('text=Take a snapshot')
    await page.waitForSelector('[data-snapshot] .badge.manual')
    await page.click('#tab-sql')
    await page.click('.cm-content')
    await page.keyboard.insertText('SELECT a, a FROM t')
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('.outcome td:text-is("changed")')
    assert.match(await page.textContent('#note'), /A file has no history/)
  })
  assert.ok(before.equals(readFileSync(file)))
})

test('of a folder, the page has the history: earlier states, what happened to a row, restores of the copy', async () => {
  const folder = path.join(base, 'notes.tidelock')
  const options = { name: 'notes', storage: 'file', path: folder }
  const db = await open(options)
  await db.exec(
    "CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT); INSERT INTO notes VALUES ('a', 'first'), ('b', 'other')",
  )
  await db.snapshots.create({ label: 'begun' })
  await db.run("UPDATE notes SET body = 'second' WHERE id = 'a'")
  await db.run("UPDATE notes SET body = 'changed' WHERE id = 'b'")
  await db.run("DELETE FROM notes WHERE id = 'b'")
  await db.close()
  const [program, url] = await inspect(folder)
  try {
    await inPage(url, async (page) => {
      await page.click('td:text-is("second")')
      await page.click('text=History of row')
      await page.waitForSelector('[data-row="notes a"]:not([aria-busy]) tbody tr.added')
      const changes = await page.$$eval('[data-row] tbody tr', (rows) => rows.map((row) => row.className))
      assert.deepEqual(changes, ['changed', 'added'])
      await page.waitForSelector('[data-row] td:has-text("first → second")')
      await page.selectOption('select[aria-label="What to show"]', 'since')
      await page.click('text=Show on the timeline')
      await page.waitForSelector('[data-difference=notes]:has-text("1 changed, 1 deleted")')
      await page.click('[data-snapshot] button:text-is("Delete…")')
      await page.click('dialog button.danger')
      await page.waitForSelector('.problem:has-text("The folder stays as it is")')
      await page.click('[data-snapshot] button:text-is("Restore…")')
      await page.click('dialog button.danger')
      await page.waitForSelector('text=No row differs.')
    })
  } finally {
    program.kill('SIGKILL')
  }
  const again = await open(options)
  assert.deepEqual(await again.query('SELECT * FROM notes'), [{ id: 'a', body: 'second' }])
  assert.equal((await again.snapshots.list()).length, 1)
  await again.close()
})

test('wrong use', async () => {
  for (const [args, message] of [
    [['inspect', file, '--web', '--json'], /--web has no result/],
    [['inspect', file, '--web', '--port', '99999'], /--port must be a number/],
    [['inspect', file, '--web', '--port', address.port], /can't be used: .*EADDRINUSE/],
    [['inspect', path.join(base, 'missing.sqlite'), '--web'], /does not exist/],
  ]) {
    const { code, err } = await runCommand(args, { cwd: base })
    assert.match(err, message)
    assert.notEqual(code, 0)
  }
})

test('Ctrl-C ends it', async () => {
  const exit = once(child, 'exit')
  child.kill('SIGINT')
  assert.deepEqual(await exit, [0, null])
  await assert.rejects(fetch(address))
})
