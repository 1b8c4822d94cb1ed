// Messages of the TypeScript face that neither Node with the built package nor one page brings about at will: of lost tabs and workers,
// of full memory, of what browsers refuse. Each is made by the code that makes it there.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { having, Shown } from '../../tests/messages/golden.mjs'
import { isTidelockError } from '../src/base/errors.ts'
import { joined } from '../src/base/file-bytes.ts'
import { loaded } from '../src/base/lazy-module.ts'
import { decodeText } from '../src/engine/codec/text.ts'
import { resolveConflict } from '../src/functions/resolve-conflict.ts'
import { deleteDatabase } from '../src/open/stored.ts'
import { fromThrown } from '../src/rpc/thrown.ts'
import { differs, judge, rekeyed } from '../src/tabs/compatibility.ts'
import { Forwarding } from '../src/tabs/forwarding.ts'
import { Sendings } from '../src/tabs/sending.ts'
import { Lost, Serving } from '../src/tabs/serving.ts'
import { otherVersion, refusal } from '../src/tabs/wire.ts'
import { deferred, openEngine, settle, trap } from './engine.mjs'
import { facts, one, two } from './tab-facts.mjs'

async function shows(name, acts) {
  const shown = new Shown(name)
  for (const [done, act] of Object.entries(acts)) {
    const error = await Promise.resolve()
      .then(act)
      .catch((error) => error)
    assert.ok(isTidelockError(error), `${done}: ${error?.stack ?? error}`)
    shown.add(done, error)
  }
  shown.check()
}

/** A query for which the engine has no memory. */
async function starved() {
  const execute = () => {
    throw new RangeError('Array buffer allocation failed')
  }
  const { db } = await openEngine(undefined, () => ({ execute }))
  return db.query('SELECT 1')
}

async function trapped() {
  const { db, engine } = await openEngine()
  trap(engine)
  return db.query('SELECT 1')
}

const met = { table: 'items', key: { id: 1 }, base: null, local: null, remote: null }
const decided = (given) =>
  resolveConflict({ url: '', key: '', tables: [{ table: 'items', conflict: () => given }] }, met)

test('what memory, browsers and functions give', () =>
  shows('inside', {
    'a call for which there is no memory': starved,
    'a call after a trap': trapped,
    'a file for which there is no memory': () => joined([{ length: 2 ** 53 - 1 }]),
    'a text longer than strings are': () =>
      // As Chromium answers.
      having(
        TextDecoder.prototype,
        'decode',
        () => '',
        () => decodeText(new Uint8Array(100), 0, 100),
      ),
    'a module that is not served': () => loaded('conflict functions', Promise.reject(new TypeError('404'))),
    'a transaction whose outer one was stopped': async () => {
      const { db } = await openEngine()
      const stop = new AbortController()
      const gate = deferred()
      let nested
      const outer = db.transaction(
        async (tx) => {
          nested = tx.transaction(() => gate.promise)
          await nested
        },
        { signal: stop.signal },
      )
      while (nested === undefined) await settle()
      stop.abort('enough')
      await outer.catch(() => {})
      gate.resolve()
      return nested
    },
    'a conflict function that gives no row': () => decided('row'),
    'a conflict function that gives no value': () => decided({ id: 1, name: Symbol('name') }),
    'a browser that does not delete': () => {
      const indexedDB = {
        deleteDatabase() {
          const request = { error: new Error('UnknownError') }
          setTimeout(() => request.onerror())
          return request
        },
      }
      const locks = { request: (_, __, work) => work({}) }
      return having(globalThis, 'navigator', { locks }, () =>
        having(globalThis, 'indexedDB', indexedDB, () => deleteDatabase('shop')),
      )
    },
  }))

/** The calls of a tab whose leader has these answers, and dies when it is asked anything else. */
async function served(answers) {
  const forwarding = new Forwarding(() => {})
  const ask = async (method) => {
    if (method in answers) return answers[method]
    throw new Lost()
  }
  forwarding.serve(new Serving({ ask, tell() {} }, forwarding.numbers, { notes: false, own: false }), () => {})
  await settle()
  const { handlers } = forwarding
  const statement = (sql) => ['statement', 0, sql, []]
  return {
    statement: (sql) => handlers.run(undefined, statement(sql), 0),
    inTransaction: async (sql) => handlers.run(undefined, statement(sql), await handlers.turn()),
  }
}

test('what tabs tell each other', () =>
  shows('tabs', {
    'another option than the leader has': () => Promise.reject(judge(facts([]), facts([], { integers: 'bigint' }))),
    'another secret than the leader has': () => Promise.reject(differs('encryption')),
    'a secret that another tab has changed': () => Promise.reject(rekeyed()),
    'another version of tidelock': () => Promise.reject(otherVersion({ hello: 'a tab' })),
    'a call that the leader does not know': () => Promise.reject(fromThrown(refusal({ message: { id: 1 } }).thrown)),
    'an older app than the leader is': () => Promise.reject(judge(facts([one, two]), facts([one]))),
    'a migration left out': () => Promise.reject(judge(facts([one, two]), facts([two]))),
    'a migration changed': () => Promise.reject(judge(facts([one]), facts([{ ...one, checksum: 'c' }]))),
    'a migration that comes late': () => Promise.reject(judge(facts([two]), facts([one, two]))),
    'nobody who leads': () => {
      const sendings = new Sendings()
      sendings.timeoutMs = 5
      return sendings.call({ send: () => {}, onLost: () => 'again' })
    },
    'a write when the leader dies': async () => (await served({})).statement('INSERT INTO t VALUES (1)'),
    'a transaction when the leader dies': async () => (await served({ turn: 1 })).inTransaction('SELECT 1'),
    'a result whose columns were not told': async () =>
      (await served({ run: { results: [{ buffer: new ArrayBuffer(80), shape: 5 }] } })).statement('SELECT 1'),
  }))
