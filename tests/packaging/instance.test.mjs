// One wasm instance a database: a trap ends its own instance and leaves the others alone. The guard's promises are tried on a tiny
// module with the names that wasm-bindgen gives its exports; the factory on the built module itself.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import binaryen from 'binaryen'
import { createInstance, InstanceDeadError } from '../../pkg-js/generated/instance.js'
import { createGuard } from '../../scripts/guard.js'

const tiny = binaryen.parseText(`(module
  (import "host" "call" (func $call))
  (func $again (export "exhaust") (call $again) (call $again))
  (func (export "core_add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "core_trap") unreachable)
  (func (export "core_call") (call $call))
  (func (export "_invoke") unreachable)
  (func (export "_free") (param i32 i32)))`)

function instantiate(call = () => {}) {
  const traps = []
  const guard = createGuard((error) => traps.push(error))
  const host = { call: () => call(exports, guard) }
  const { exports: raw } = new WebAssembly.Instance(new WebAssembly.Module(tiny.emitBinary()), { host })
  const exports = guard.exports(raw)
  return { exports, guard, traps }
}

test('calls pass through while nothing has trapped', () => {
  const { exports, guard, traps } = instantiate()
  assert.equal(exports.core_add(20, 22), 42)
  assert.equal(guard.dead(), false)
  assert.deepEqual(traps, [])
})

test('a trap is reported once and ends its instance only', () => {
  const [one, other] = [instantiate(), instantiate()]
  assert.throws(() => one.exports.core_trap(), WebAssembly.RuntimeError)
  assert.equal(one.guard.dead(), true)
  assert.throws(
    () => one.exports.core_add(1, 2),
    (error) => error.name === 'InstanceDeadError' && error.cause === one.traps[0],
  )
  assert.equal(one.traps.length, 1)
  assert.equal(other.exports.core_add(1, 2), 3)
  assert.equal(other.guard.dead(), false)
})

test('an exhausted stack ends the instance', () => {
  const { exports, guard, traps } = instantiate()
  assert.throws(() => exports.exhaust(), RangeError)
  assert.equal(guard.dead(), true)
  assert.equal(traps.length, 1)
})

test('timers and finalizers that come late neither run nor throw', () => {
  const { exports, traps } = instantiate()
  assert.throws(() => exports.core_trap())
  assert.doesNotThrow(() => exports._invoke())
  assert.doesNotThrow(() => exports._free(1, 1))
  assert.equal(traps.length, 1)
})

test('a trap in a timer is reported, not thrown where nobody catches it', () => {
  const { exports, guard, traps } = instantiate()
  exports._invoke()
  assert.equal(guard.dead(), true)
  assert.ok(traps[0] instanceof WebAssembly.RuntimeError)
})

test('a trap in a nested call ends the calls around it, also when the import swallows it', () => {
  const swallowing = instantiate((exports) => {
    try {
      exports.core_trap()
    } catch {}
  })
  assert.throws(() => swallowing.exports.core_call(), { name: 'InstanceDeadError' })
  assert.equal(swallowing.traps.length, 1)
  const nested = instantiate((exports) => exports._invoke())
  assert.throws(() => nested.exports.core_call(), WebAssembly.RuntimeError)
  assert.equal(nested.traps.length, 1)
})

test("an import's own exception ends the instance, an error of wasm-bindgen doesn't", () => {
  const foreign = instantiate(() => {
    throw new TypeError('host')
  })
  assert.throws(() => foreign.exports.core_call(), /host/)
  assert.equal(foreign.guard.dead(), true)
  const own = instantiate((_, guard) => {
    throw guard.thrown(new Error('null pointer passed to rust'))
  })
  assert.throws(() => own.exports.core_call(), /null pointer/)
  assert.equal(own.guard.dead(), false)
  assert.equal(own.exports.core_add(1, 1), 2)
})

test('the guard knows the names by which the built glue calls closures', async () => {
  const glue = await readFile(new URL('../../pkg-js/generated/instance.js', import.meta.url), 'utf8')
  const shims = [...glue.matchAll(/function \w*(?:closures|destroy_closure)\w*\([^)]*\) \{[^}]*?wasm\.(\w+)\(/g)]
  assert.ok(shims.length > 0)
  for (const [, name] of shims) assert.match(name, /^_/)
})

test('a trap is told with the panic that it comes from', () => {
  const panics = []
  const guard = createGuard((_, panic) => panics.push(panic))
  const call = () => {
    guard.panicked('index out of bounds', 'src/lib.rs')
    throw new WebAssembly.RuntimeError('unreachable')
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(tiny.emitBinary()), { host: { call } })
  assert.throws(() => guard.exports(exports).core_call(), WebAssembly.RuntimeError)
  assert.deepEqual(panics, [{ message: 'index out of bounds', location: 'src/lib.rs' }])
})

test('two instances of the built module: one is crashed, the other goes on with its database', async () => {
  const module = await compiled('bg')
  const [one, other] = [await start(module), await start(module)]
  assert.notEqual(one.Core, other.Core)
  assert.notEqual(one.memory, other.memory)
  for (const each of [one, other]) script(each, 'CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (41)')

  // A Core at an address outside the memory: the first access is out of bounds.
  const stray = Object.create(one.Core.prototype)
  stray.__wbg_ptr = 0x7fff0000
  assert.throws(() => stray.tryAcquire(), WebAssembly.RuntimeError)
  assert.equal(one.dead(), true)
  assert.equal(one.traps.length, 1)
  assert.throws(() => script(one, 'DELETE FROM t'), InstanceDeadError)

  assert.equal(other.dead(), false)
  assert.deepEqual(other.traps, [])
  script(other, 'UPDATE t SET n = n + 1')
  const database = await other.core.exportBytes()
  assert.equal(Buffer.from(database.subarray(0, 15)).toString(), 'SQLite format 3')
  await other.core.close()
  assert.equal(other.dead(), false)
})

async function compiled(part) {
  return WebAssembly.compile(await readFile(new URL(`../../pkg-js/dist/tidelock_${part}.wasm`, import.meta.url)))
}

async function start(module) {
  const traps = []
  const instance = createInstance((error) => traps.push(error), compiled)
  const { memory } = await instance.init(module)
  const options = {
    name: 'instance',
    storage: 'memory',
    durability: 'relaxed',
    integers: 'auto',
    maxBytes: 2 ** 30,
    onBusy: 'fail',
    lockTimeoutMs: 10_000,
    holder: { title: '', url: '' },
    migrate: true,
    outOfOrder: 'error',
    migrationsTable: 'schema_migrations',
    snapshots: {
      enabled: false,
      intervalMs: 3_600_000,
      keep: 3,
      retries: 3,
      backoffMs: 1000,
      compress: true,
      verify: 'quick',
      onHidden: true,
      logRetentionMs: 604_800_000,
    },
    mode: 'local',
  }
  const core = await instance.Core.open(options, {
    emit() {},
    locked() {},
    loadPart: instance.loadPart,
  })
  return { ...instance, core, memory, traps }
}

function script({ core, memory }, sql) {
  const permit = core.tryAcquire()
  assert.notEqual(permit, 0)
  try {
    const text = new TextEncoder().encode(sql)
    const address = core.reserve(text.length)
    new Uint8Array(memory.buffer).set(text, address)
    core.script(permit, text.length, 0)
  } finally {
    core.release(permit)
  }
}
