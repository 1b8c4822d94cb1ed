// The files of a database in the browser's private file system: which are opened when.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PrivateFiles } from '../src/worker/private-files.ts'

/** A private file system with these files. `breakHandles()` does what a browser does when a worker wakes up. */
function privateFileSystem(names) {
  const files = new Map(names.map((name) => [name, 0]))
  const opened = []
  const held = new Set()
  let broken = 0
  const handleOf = (name) => {
    const since = broken
    return {
      getSize() {
        if (since !== broken) throw new DOMException('The handle is broken', 'InvalidStateError')
        return files.get(name)
      },
      read: () => 0,
      write: (bytes) => bytes.length,
      truncate() {},
      flush() {},
      close: () => held.delete(name),
    }
  }
  const folder = {
    getDirectoryHandle: async () => folder,
    async getFileHandle(name) {
      if (!files.has(name)) files.set(name, 0)
      return {
        async createSyncAccessHandle() {
          // As long as a browser takes for each: longer for the last ones.
          for (let turns = 0; turns < 5 * opened.length; turns++) await undefined
          if (held.has(name)) throw new DOMException('The file is open', 'NoModificationAllowedError')
          held.add(name)
          opened.push(name)
          return handleOf(name)
        },
      }
    },
    async removeEntry(name) {
      files.delete(name)
    },
    async *entries() {
      for (const name of files.keys()) yield [name, { kind: 'file' }]
    },
  }
  const storage = { getDirectory: async () => folder }
  Object.defineProperty(globalThis, 'navigator', { value: { storage }, configurable: true })
  return { files, held, takeOpened: () => opened.splice(0).sort(), breakHandles: () => broken++ }
}

const segments = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => `journal.${from + n}`)

test('the older segments of a journal are opened when they are prepared, and listed all the same', async () => {
  const system = privateFileSystem([...segments(6, 12), 'pack.1', 'reserve', 'journal.x'])
  const files = new PrivateFiles('shop', { waitMs: 0, moving: true })
  await files.prepare([])
  assert.deepEqual(system.takeOpened(), ['about', ...segments(10, 12), 'journal.9', 'journal.x', 'pack.1', 'reserve'])
  assert.deepEqual(files.list().sort(), [...system.files.keys()].sort())
  assert.throws(() => files.size('journal.6'), { name: 'InvalidStateError' })
  assert.throws(() => files.read('journal.6', 0, new Uint8Array(1)), { name: 'InvalidStateError' })
  await files.prepare(['journal.6'])
  assert.deepEqual([files.size('journal.6'), system.takeOpened()], [0, ['journal.6']])
  files.remove('journal.7')
  await files.prepare(['journal.6'])
  assert.deepEqual([system.files.has('journal.7'), files.list().includes('journal.7')], [false, false])
})

test('after its handles broke, all files are open again that were', async () => {
  const system = privateFileSystem([...segments(1, 5), 'pack.1'])
  const files = new PrivateFiles('shop', { waitMs: 0, moving: true })
  await files.prepare([])
  // They were among the newest segments, and are no more.
  for (const name of segments(6, 9)) await files.prepare([name])
  system.takeOpened()
  system.breakHandles()
  await files.prepare([])
  assert.deepEqual(system.takeOpened(), ['about', ...segments(2, 9), 'pack.1'])
  assert.equal(files.size('journal.2'), 0)
})

test('two calls that find the files closed, or their handles broken, wait for the same opening', async () => {
  const system = privateFileSystem([...segments(1, 4), 'pack.1'])
  const files = new PrivateFiles('shop', { waitMs: 100, moving: true })
  for (let round = 0; round < 2; round++) {
    const seen = []
    const call = async () => {
      await files.prepare([])
      seen.push(files.list().sort())
    }
    const first = call()
    for (let turns = 0; turns < 30; turns++) await undefined
    await Promise.all([first, call(), call()])
    const all = ['about', ...segments(1, 4), 'pack.1']
    assert.deepEqual([seen, system.takeOpened()], [[all, all, all], all])
    system.breakHandles()
  }
})

test('an opening in which the files are closed fails, and leaves none of them open', async () => {
  const system = privateFileSystem([...segments(1, 4), 'pack.1'])
  const files = new PrivateFiles('shop', { waitMs: 100, moving: true })
  const all = ['about', ...segments(1, 4), 'pack.1']
  for (let turns = 0; turns < 25; turns++) {
    const opening = files.prepare([]).then(
      () => 'open',
      (error) => error.name,
    )
    for (let turn = 0; turn < turns; turn++) await undefined
    files.abandon()
    assert.deepEqual([await opening, [...system.held]], ['InvalidStateError', []], `${turns} turns`)
    system.takeOpened()
    await files.prepare([])
    assert.deepEqual([files.list().sort(), [...system.held].sort()], [all, all])
    files.close()
    system.takeOpened()
  }
})
