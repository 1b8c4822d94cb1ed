import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { loadSeed } from '../src/options/load-seed.ts'

const servers = []
after(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

/** Starts a server with this answer. Returns its URL. */
async function serve(answer) {
  const server = createServer((_, response) => answer(response))
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${server.address().port}/seed.sqlite`
}

const pace = { bytes: 1000, ms: 300 }
const slow = [
  ['no answer', () => {}],
  ['no body', (response) => response.writeHead(200).flushHeaders()],
  [
    'a body that drips',
    (response) => {
      const drip = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(drip))
    },
  ],
]
for (const [what, answer] of slow) {
  test(`a seed that arrives too slowly is cancelled: ${what}`, { timeout: 10_000 }, async () => {
    const url = await serve(answer)
    const error = await loadSeed(url, undefined, undefined, pace).catch((thrown) => thrown)
    assert.equal(error.code, 'sync_network')
    assert.match(String(error.cause), /Fewer than 1000 bytes arrived in 0\.3 s/)
  })
}

test('a slow seed that keeps the minimal pace is read', { timeout: 20_000 }, async () => {
  // Longer in all than the time in which the minimum must arrive; a busy machine delays single pieces.
  const patient = { bytes: 1000, ms: 2000 }
  const url = await serve((response) => {
    let left = 12
    const more = setInterval(() => {
      response.write(Buffer.alloc(2000))
      if (--left === 0) {
        clearInterval(more)
        response.end()
      }
    }, 200)
  })
  assert.equal((await loadSeed(url, undefined, undefined, patient)).length, 24_000)
})

test('a signal cancels the load of a seed', { timeout: 10_000 }, async () => {
  const abort = new AbortController()
  const url = await serve(() => abort.abort(new Error('enough')))
  await assert.rejects(loadSeed(url, abort.signal), { code: 'sync_network' })
  await assert.rejects(loadSeed(url, abort.signal), { code: 'sync_network' })
})
