// Messages of the TypeScript side that neither the built package in Node nor a single page can cause at will: of lost tabs and workers, of
// full memory, of refusals by browsers. Each is created by the code that creates it in a browser.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { having, Shown } from '../../tests/messages/golden.mjs'
import { invalid, isTidelockError } from '../src/base/errors.ts'
import { joined } from '../src/base/file-bytes.ts'
import { loaded } from '../src/base/lazy-module.ts'
import { decodeText } from '../src/engine/codec/text.ts'
import { resolveConflict } from '../src/functions/conflict-function.ts'
import { deleteDatabase } from '../src/open/delete-database.ts'
import { deserializeError } from '../src/rpc/serialized-error.ts'
import { checkCompatibility, rekeyed, wrongSecret } from '../src/tabs/compatibility.ts'
import { Forwarding } from '../src/tabs/forwarding.ts'
import { rejectionFor, versionMismatch } from '../src/tabs/messages.ts'
import { PendingCalls } from '../src/tabs/pending-calls.ts'
import { EngineLost, ServingEngine } from '../src/tabs/serving-engine.ts'
import { deferred, openEngine, settle, trap } from './engine.mjs'
import { info, one, two } from './tab-info.mjs'

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

/** Runs a query for which the engine has no memory. */
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

test('an error names the page of its code, which is a page of this repository', () => {
  const { homepage } = JSON.parse(readFileSync(new URL('../package.json', TESTS), 'utf8'))
  const [, owner, name] = /github\.com\/([\w-]+)\/([\w-]+)/.exec(homepage)
  assert.equal(invalid('no').docs, `https://${owner}.github.io/${name}/errors/invalid_argument.html`)
})

test('messages about memory, browsers and functions', () =>
  shows('inside', {
    'a call for which there is no memory': starved,
    'a call after a trap': trapped,
    'a file for which there is no memory': () => joined([{ length: 2 ** 53 - 1 }]),
    'a text longer than a string can be': () =>
      // Chromium returns an empty string.
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
    'a conflict function that returns no row': () => decided('row'),
    'a conflict function that returns an unsupported value': () => decided({ id: 1, name: Symbol('name') }),
    'a browser that does not delete': () => {
      const indexedDB = {
        deleteDatabase() {
          const request = { error: new Error('UnknownError') }
          setTimeout(() => request.onerror())
          return request
        },
      }
      const locks = { request: (_, __, work) => work({}), query: async () => ({ held: [] }) }
      return having(globalThis, 'navigator', { locks }, () =>
        having(globalThis, 'indexedDB', indexedDB, () => deleteDatabase('shop')),
      )
    },
  }))

/** Returns the calls of a tab whose leader has these answers, and is lost at any other call. */
async function served(answers) {
  const forwarding = new Forwarding(() => {})
  const ask = async (method) => {
    if (method in answers) return answers[method]
    throw new EngineLost()
  }
  forwarding.serve(
    new ServingEngine({ ask, notify() {} }, forwarding.ids, { recordsWrites: false, isOwn: false }),
    () => {},
  )
  await settle()
  const { handlers } = forwarding
  const statement = (sql) => ['statement', 0, sql, []]
  return {
    statement: (sql) => handlers.run(undefined, statement(sql), 0),
    inTransaction: async (sql) => handlers.run(undefined, statement(sql), await handlers.acquire()),
  }
}

test('messages between tabs', () =>
  shows('tabs', {
    'another option than the leader has': () =>
      Promise.reject(checkCompatibility(info([]), info([], { integers: 'bigint' }))),
    'another secret than the leader has': () => Promise.reject(wrongSecret()),
    'a secret that another tab has changed': () => Promise.reject(rekeyed()),
    'another version of tidelock': () => Promise.reject(versionMismatch({ hello: 'a tab' })),
    'a call that the leader does not know': () =>
      Promise.reject(deserializeError(rejectionFor({ message: { id: 1 } }).thrown)),
    'an older app than that of the leader': () => Promise.reject(checkCompatibility(info([one, two]), info([one]))),
    'a migration left out': () => Promise.reject(checkCompatibility(info([one, two]), info([two]))),
    'a migration changed': () => Promise.reject(checkCompatibility(info([one]), info([{ ...one, checksum: 'c' }]))),
    'a migration that comes late': () => Promise.reject(checkCompatibility(info([two]), info([one, two]))),
    'no leader': () => {
      const pendingCalls = new PendingCalls()
      pendingCalls.timeoutMs = 5
      return pendingCalls.call({ send: () => {}, onLost: () => 'again' })
    },
    'a write when the leader dies': async () => (await served({})).statement('INSERT INTO t VALUES (1)'),
    'a transaction when the leader dies': async () => (await served({ acquire: 1 })).inTransaction('SELECT 1'),
    'a result without its column names': async () =>
      (await served({ run: { results: [{ buffer: new ArrayBuffer(80), shape: 5 }] } })).statement('SELECT 1'),
  }))
