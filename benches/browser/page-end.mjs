// node benches/browser/page-end.mjs [--rounds N] [--storage opfs]
//
// What a page that ends loses of writes that were done in memory only (durability 'deferred'): one write and then a navigation,
// a reload or the end of its tab; the same while writes never pause; and writes of several sizes. For docs/internals/durability.md.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Browser } from '../../tests/e2e/browser.mjs'
import { serve } from '../../tests/e2e/serve.mjs'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '50' }, storage: { type: 'string', default: 'indexeddb' } },
})
const rounds = Number(options.rounds)
if (!(rounds >= 1)) throw new Error('--rounds wants a number of at least 1')

const blank = `<!doctype html><meta charset="utf-8"><title>Leaving</title>
<script type="module">
  import { open } from '/tidelock/index.js'
  // Before the database listens: what was written by the time the page learns that it ends.
  addEventListener('pagehide', () => {
    if (window.written !== undefined) localStorage.written = window.written
  })
  window.openDatabase = async (name) => {
    for (;;) {
      try {
        return await open({ name, storage: '${options.storage}', durability: 'deferred', onWarning() {} })
      } catch (error) {
        if (error.code !== 'database_in_use') throw error
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
  }
  window.ready = true
</script>`

const server = await serve({
  folders: { '/tidelock/': fileURLToPath(new URL('../../pkg-js/dist', import.meta.url)) },
  files: { '/index.html': blank, '/elsewhere.html': '<!doctype html><title>Elsewhere</title>' },
})
const browser = new Browser({ shell: false })
await browser.start()

async function tab() {
  const page = await browser.page(`${server.url}/`)
  await page.waitForFunction(() => window.ready)
  return page
}

/** How the page ends. `leave` runs in it, right after the last write; `from outside` when it can't do so itself. */
const ways = {
  navigation: { leave: () => location.assign('/elsewhere.html') },
  reload: { leave: () => location.reload() },
  'end of the tab': { leave: () => {}, outside: (page) => page.close({ runBeforeUnload: true }) },
}

/** One page that writes `bytes` a row, once or without a pause, and ends; how many rows are missing afterwards. */
async function lost(name, { leave, outside }, bytes, busy) {
  const page = await tab()
  const gone = new Promise((resolve) => (outside ? page.once('close', resolve) : page.once('load', resolve)))
  const working = page.evaluate(
    async ([name, bytes, busy, leave]) => {
      const db = await window.openDatabase(name)
      await db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER, filler BLOB)')
      await db.run('DELETE FROM t')
      await db.flush()
      await new Promise((resolve) => setTimeout(resolve, 30))
      window.written = 0
      const write = () => {
        void db.run('INSERT INTO t VALUES (?, zeroblob(?))', [window.written, bytes])
        window.written++
      }
      const go = new Function(`return (${leave})`)()
      write()
      if (!busy) return void go()
      setInterval(write, 1)
      setTimeout(go, 50 + Math.random() * 100)
    },
    [name, bytes, busy, leave.toString()],
  )
  // It may have ended before it has answered.
  await working.catch((error) => {
    if (!/context was destroyed|closed/.test(error.message)) throw error
  })
  if (outside) {
    if (busy) await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100))
    await outside(page)
  }
  await gone
  if (!page.isClosed()) await page.close()
  const after = await tab()
  const [written, found] = await after.evaluate(async (name) => {
    const db = await window.openDatabase(name)
    const { n } = await db.get('SELECT count(*) AS n FROM t')
    await db.close()
    return [Number(localStorage.written), n]
  }, name)
  await after.close()
  // A dying page may go on writing after the request; what it wrote then doesn't count.
  return Math.max(0, written - found)
}

const row = (cells) => console.log(`| ${cells.join(' | ')} |`)
row(['the page ends by', 'writes', 'a row has', 'rounds', 'rounds with a loss', 'rows lost'])
row(Array(6).fill('---'))
try {
  for (const [way, how] of Object.entries(ways)) {
    for (const [writes, bytes, busy] of [
      ['one, in the same task', 100, false],
      ['one, in the same task', 1_000_000, false],
      ['one, in the same task', 8_000_000, false],
      ['one each millisecond', 100, true],
    ]) {
      const name = `end-${way}-${bytes}-${busy}`
      const losses = []
      for (let round = 0; round < rounds; round++) losses.push(await lost(name, how, bytes, busy))
      const total = losses.reduce((sum, one) => sum + one, 0)
      row([way, writes, `${bytes} B`, rounds, losses.filter((one) => one > 0).length, total])
    }
  }
} finally {
  await browser.dispose()
  await server.close()
}
