// Messages of a realtime service, by a WebSocket that exists only here: the database ignores them, follows them or connects again.
import assert from 'node:assert/strict'
import { open } from '../../../pkg-js/dist/index.js'
import { mutatedText } from '../random.mjs'
import { mine, mustBeTyped } from '../rules.mjs'

const key = 'the-key-of-this-project'
/** More requests than this for a few messages mean an endless loop. */
const mostRequests = 100

const topic = 'realtime:tidelock'
const message = (event, payload, ref = null, of = topic) => JSON.stringify({ topic: of, event, payload, ref })
const joined = message('phx_reply', { status: 'ok', response: { postgres_changes: [{ id: 1 }] } }, '1')
const following = message('system', { status: 'ok', message: 'Subscribed', extension: 'postgres_changes' })
const change = (table) => message('postgres_changes', { data: { table, type: 'UPDATE', record: { id: 1 } }, ids: [1] })
const messages = [
  joined,
  following,
  change('notes'),
  change('others'),
  message('phx_reply', { status: 'ok', response: {} }, '2', 'phoenix'),
  message('phx_reply', { status: 'error', response: { reason: `no ${key} \u001b[2J` } }, '1'),
  message('system', { status: 'error', message: 'x'.repeat(100_000) }),
  message('phx_close', {}),
  message('phx_error', {}),
]
const words = [
  'null',
  '5',
  '{}',
  '[[]]',
  '"\\ud800"',
  `"${key}"`,
  '"ref"',
  '"__proto__"',
  '9'.repeat(10_000),
  '['.repeat(1_000_000),
  `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
  `${'{"payload":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
  Array.from({ length: 50_000 }, (_, at) => `"k${at}":1,`).join(''),
]

/** The sockets of the present case, oldest first. */
const sockets = []

class Socket extends EventTarget {
  sent = []
  constructor(url) {
    super()
    this.url = url
    sockets.push(this)
  }
  send(text) {
    this.sent.push(text)
  }
  close() {}
  say({ type, text }) {
    const event = new Event(type)
    if (type === 'message') event.data = text
    this.dispatchEvent(event)
  }
}

export async function setUp() {
  globalThis.WebSocket = Socket
  return { make, run }
}

function make(random) {
  const text = () => {
    const plain = random.pick(messages)
    if (random.oneIn(3)) return plain
    if (random.oneIn(60)) return 'x'.repeat(17 * 2 ** 20)
    if (random.oneIn(20)) return random.pick([undefined, null, new Uint8Array(9), {}, 7])
    return mutatedText(random, plain, words)
  }
  const event = () =>
    random.oneIn(20) ? { type: random.pick(['open', 'close', 'error']) } : { type: 'message', text: text() }
  const begin = [{ type: 'open' }, { type: 'message', text: joined }, { type: 'message', text: following }]
  const events = [...(random.oneIn(8) ? [] : begin), ...random.some(12, event)]
  // As many at once as a busy page would find.
  if (random.oneIn(20)) events.push(...Array(20_000).fill({ type: 'message', text: random.pick(messages) }))
  return { events }
}

let names = 0
const task = () => new Promise((resolve) => setImmediate(resolve))

async function run({ events }) {
  sockets.length = 0
  const [told, warnings] = [[], []]
  let requests = 0
  const fetch = async (url) => {
    assert.ok(++requests <= mostRequests, `${requests} requests`)
    const headers = { 'content-type': 'application/json', 'content-range': '*/0' }
    return new Response('[]', { status: String(url).includes('tidelock_') ? 404 : 200, headers })
  }
  const db = await open({
    name: `realtime-${++names}`,
    storage: 'memory',
    snapshots: false,
    maxBytes: 64 * 2 ** 20,
    onWarning: (warning) => warnings.push(warning),
    remote: { url: 'http://remote.example', key, tables: ['notes', 'others'], fetch, retries: 0, realtime: true },
  })
  try {
    await db.exec(mine.sql)
    await db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY); CREATE TABLE others (id INTEGER PRIMARY KEY)')
    db.addEventListener('sync', ({ detail }) => told.push(detail))
    await db.sync.start({ intervalMs: 3_600_000 })
    while (sockets.length === 0) await task()
    for (const event of events) {
      sockets.at(-1).say(event)
      // Each event is a task of its own.
      await task()
    }
    await mine.mustBeThere(db)
    await db.sync.stop()
    await mine.mustBeThere(db)
    assert.notEqual((await db.health()).status, 'failed')
  } finally {
    await db.close()
  }
  const shown = JSON.stringify([told, warnings])
  assert.ok(!shown.includes(key), 'The key is shown')
  assert.ok(shown.length < 50_000, `${shown.length} characters of reports`)
  for (const { error } of told) if (error !== undefined && error !== null) mustBeTyped(error)
  if (warnings.length > 0) return warnings[0].code
  return requests > 2 ? 'followed' : 'ignored'
}
