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
  (func (export "wasm_bindgen__convert__closures_____invoke__h1") unreachable)
  (func (export "__wbg_core_free") (param i32 i32)))`)

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
  assert.doesNotThrow(() => exports.wasm_bindgen__convert__closures_____invoke__h1())
  assert.doesNotThrow(() => exports.__wbg_core_free(1, 1))
  assert.equal(traps.length, 1)
})

test('a trap in a timer is reported, not thrown where nobody catches it', () => {
  const { exports, guard, traps } = instantiate()
  exports.wasm_bindgen__convert__closures_____invoke__h1()
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
  const nested = instantiate((exports) => exports.wasm_bindgen__convert__closures_____invoke__h1())
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

test('two instances of the built module: one is crashed, the other goes on', async () => {
  const module = await WebAssembly.compile(
    await readFile(new URL('../../pkg-js/dist/tidelock_bg.wasm', import.meta.url)),
  )
  const start = async () => {
    const traps = []
    const instance = createInstance((error) => traps.push(error))
    const { memory } = await instance.init({ module_or_path: module })
    return { ...instance, memory, traps }
  }
  const [one, other] = [await start(), await start()]
  assert.notEqual(one.Core, other.Core)
  assert.notEqual(one.memory, other.memory)

  // A Core at an address outside the memory: the first access is out of bounds.
  const core = Object.create(one.Core.prototype)
  core.__wbg_ptr = 0x7fff0000
  assert.throws(() => core.enter(), WebAssembly.RuntimeError)
  assert.equal(one.dead(), true)
  assert.equal(one.traps.length, 1)
  assert.throws(() => core.enter(), InstanceDeadError)

  assert.equal(other.dead(), false)
  assert.deepEqual(other.traps, [])
  const released = Object.create(other.Core.prototype)
  released.__wbg_ptr = 0
  assert.throws(() => released.enter(), /null pointer/) // an answer from the living instance, which it survives
  assert.equal(other.dead(), false)
})
