// A model of the wasm class `Core` in plain JavaScript: the turn, the parameter area and the result header as the boundary defines
// them. What a statement does is told by the test. It is strict: what the real one would refuse, it refuses.
import { Calls } from '../src/calls.ts'
import { tag, told } from '../src/core.ts'
import { Database } from '../src/database.ts'

const headerAt = 64
const areaAt = 1024

export class FakeCore {
  /** Every step, in order, as text. */
  log = []
  /** What was executed: { op, sql, rows, names, timeoutMs }. */
  executed = []
  /** Whether every commit is to be told. */
  tellsChanges = false
  memory = { buffer: new ArrayBuffer(4096) }
  /** (statement) → { columns, rows, changes, rowid, wrote }, or throws. */
  answer = () => ({})
  /** What stored() gives; count of calls in `storedCalls`. */
  storing = undefined
  storedCalls = 0
  watched = new Map()
  cancelled = []
  #line = []
  #tickets = 0
  #turns = new Map()
  #shapes = []
  #depth = 0
  #watches = 0
  #failure
  /** Statements that can be run again, by their number; a test forgets them by emptying it. */
  known = new Map()
  /** How often one was run again. */
  runsAgain = 0
  #ids = 0

  /** What an opening with a remote does before it starts. */
  async connect(remote) {
    this.remote = remote
  }

  /** The second step of opening; a test puts migrations here. */
  async start() {}

  // The turn.

  enter() {
    if (this.#line.length > 0) return 0
    this.#line.push(++this.#tickets)
    return this.#tickets
  }

  queue() {
    this.#line.push(++this.#tickets)
    return this.#tickets
  }

  turn(ticket) {
    return new Promise((resolve) => {
      this.#turns.set(ticket, resolve)
      this.#next()
    })
  }

  leave(ticket) {
    this.#line = this.#line.filter((one) => one !== ticket)
    this.#next()
  }

  #next() {
    const resolve = this.#turns.get(this.#line[0])
    if (resolve) {
      this.#turns.delete(this.#line[0])
      resolve()
    }
  }

  get waiting() {
    return this.#line.length
  }

  #holds(ticket) {
    if (ticket === 0 || this.#line[0] !== ticket) throw { code: 'internal', message: 'this ticket has no turn' }
  }

  // Statements.

  reserve(bytes) {
    this.#grow(areaAt + bytes)
    return areaAt
  }

  #grow(bytes) {
    if (bytes <= this.memory.buffer.byteLength) return
    const size = Math.ceil((bytes * 1.5) / 4096) * 4096
    // As in wasm: the old buffer is detached.
    this.memory.buffer = this.memory.buffer.transfer
      ? this.memory.buffer.transfer(size)
      : moved(this.memory.buffer, size)
  }

  execute(ticket, op, sql, bytes, names, timeoutMs) {
    this.#holds(ticket)
    const statement = {
      op,
      sql,
      rows: bytes === 0 ? [] : this.#unpack(bytes),
      names: names === '' ? [] : names.split('\0'),
      timeoutMs,
    }
    if (sql === 'wrong') throw { code: 'sqlite_error', message: 'near "wrong": syntax error', details: { offset: 0 } }
    if (op === 3 && statement.rows.length === 0) return this.#encode({})
    this.executed.push(statement)
    this.log.push(sql)
    this.#encode(this.answer(statement) ?? {}, this.#remember(sql, names))
  }

  /** As the real one does, it hears of other names only when a statement comes as text. */
  #remember(sql, names) {
    const found = [...this.known].find(([, one]) => one.sql === sql)
    const id = found?.[0] ?? 128 * ++this.#ids + 5
    this.known.set(id, { sql, names })
    return id
  }

  again(ticket, op, id, bytes) {
    const own = ticket || this.enter()
    if (own === 0) return told.busy
    const known = this.known.get(id)
    try {
      if (known === undefined) return told.unknown
      this.runsAgain++
      this.execute(own, op, known.sql, bytes, known.names, 0)
      return told.done
    } catch (error) {
      this.#failure = error
      return told.failed
    } finally {
      if (ticket === 0) this.leave(own)
    }
  }

  failure() {
    const failure = this.#failure
    this.#failure = undefined
    return failure
  }

  #unpack(bytes) {
    const view = new DataView(this.memory.buffer, areaAt, bytes)
    const [rows, columns, textBytes, blobBytes] = [0, 4, 8, 12].map((at) => view.getUint32(at, true))
    const cells = rows * columns
    const textAt = 16 + cells * 9
    if (textAt + textBytes + blobBytes !== bytes)
      throw { code: 'internal', message: `the area's lengths don't add up to ${bytes}` }
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      new Uint8Array(this.memory.buffer, areaAt + textAt, textBytes),
    )
    let at = 0
    let blob = textAt + textBytes
    const out = []
    for (let row = 0; row < rows; row++) {
      const values = []
      for (let column = 0; column < columns; column++) {
        const cell = row * columns + column
        const slot = view.getFloat64(16 + cell * 8, true)
        switch (view.getUint8(16 + cells * 8 + cell)) {
          case tag.integer:
            values.push({ integer: BigInt(slot) })
            break
          case tag.bigint:
            values.push({ integer: view.getBigInt64(16 + cell * 8, true) })
            break
          case tag.real:
            values.push({ real: slot })
            break
          case tag.text:
            values.push(text.slice(at, at + slot))
            at += slot
            break
          case tag.blob:
            values.push(new Uint8Array(this.memory.buffer.slice(areaAt + blob, areaAt + blob + slot)))
            blob += slot
            break
          case tag.null:
            values.push(null)
            break
          default:
            throw { code: 'internal', message: 'a bad tag' }
        }
      }
      out.push(values)
    }
    if (at !== text.length || blob !== bytes) throw { code: 'internal', message: 'texts or blobs are left over' }
    return out
  }

  #encode({ columns = [], rows = [], changes = 0, rowid = 0n, wrote = false }, id = 0) {
    const texts = []
    const wides = []
    const blobs = []
    const cells = rows.length * columns.length
    // As the engine does it for texts that come again: here for all short ones.
    const known = new Map()
    for (const value of rows.flat()) {
      if (typeof value === 'string') {
        if (known.has(value)) continue
        if (value.length < 9) known.set(value, -1)
        ;(isAscii(value) ? texts : wides).push(new TextEncoder().encode(value))
      } else if (value instanceof Uint8Array) blobs.push(value)
    }
    const size = (parts) => parts.reduce((sum, part) => sum + part.byteLength, 0)
    const slotsAt = areaAt
    const tagsAt = slotsAt + cells * 8
    const textAt = tagsAt + cells
    const wideAt = textAt + size(texts)
    const blobAt = wideAt + size(wides)
    this.#grow(blobAt + size(blobs))
    const view = new DataView(this.memory.buffer)
    const all = new Uint8Array(this.memory.buffer)
    let remembered = 0
    rows.flat().forEach((value, cell) => {
      const slot = slotsAt + cell * 8
      const put = (kind, number) => {
        all[tagsAt + cell] = kind
        view.setFloat64(slot, number, true)
      }
      if (value === null) put(tag.null, 0)
      else if (typeof value === 'number') put(Number.isInteger(value) ? tag.integer : tag.real, value)
      else if (typeof value === 'string') {
        const number = known.get(value)
        if (number === undefined) put(isAscii(value) ? tag.text : tag.wide, value.length)
        else if (number >= 0) put(tag.again, number)
        else {
          known.set(value, remembered++)
          put(isAscii(value) ? tag.newText : tag.newWide, value.length)
        }
      } else if (value instanceof Uint8Array) put(tag.blob, value.length)
      else {
        put(tag.bigint, 0)
        view.setBigInt64(slot, value, true)
      }
    })
    let end = textAt
    for (const part of [...texts, ...wides, ...blobs]) {
      all.set(part, end)
      end += part.length
    }
    let shape = this.#shapes.findIndex((names) => names.join('\0') === columns.join('\0'))
    if (shape < 0) shape = this.#shapes.push(columns) - 1
    const header = [
      rows.length,
      columns.length,
      shape,
      tagsAt,
      slotsAt,
      textAt,
      size(texts),
      wideAt,
      size(wides),
      blobAt,
      size(blobs),
      wrote && this.#depth === 0 ? 1 : 0,
      id,
    ]
    for (const [index, word] of header.entries()) view.setUint32(headerAt + index * 4, word, true)
    view.setFloat64(headerAt + 56, changes, true)
    view.setBigInt64(headerAt + 64, BigInt(rowid), true)
  }

  header() {
    return headerAt
  }

  columns(shape) {
    return this.#shapes[shape]
  }

  begin(ticket, immediate) {
    this.#holds(ticket)
    this.#depth++
    this.log.push(`begin ${this.#depth}${immediate ? ' immediate' : ''}`)
    return this.#depth
  }

  commit(ticket, depth) {
    this.#holds(ticket)
    if (depth !== this.#depth) throw { code: 'internal', message: `commit of ${depth} at ${this.#depth}` }
    this.log.push(`commit ${depth}`)
    if (this.failCommit) throw this.failCommit
    this.#depth--
    return this.#depth === 0
  }

  rollback(ticket, depth) {
    this.#holds(ticket)
    if (depth > this.#depth) throw { code: 'internal', message: `rollback of ${depth} at ${this.#depth}` }
    this.log.push(`rollback ${depth}`)
    this.#depth = depth - 1
  }

  script(ticket, bytes) {
    this.#holds(ticket)
    this.log.push(new TextDecoder().decode(new Uint8Array(this.memory.buffer, areaAt, bytes)))
    return true
  }

  explain(ticket) {
    this.#holds(ticket)
    return [{ id: 2, parent: 0, detail: 'SCAN t' }]
  }

  stored() {
    this.storedCalls++
    return this.storing
  }

  watch(sql) {
    this.watched.set(++this.#watches, sql)
    return this.#watches
  }

  tellChanges() {
    this.tellsChanges = true
  }

  unwatch(id) {
    this.watched.delete(id)
  }

  newCancel() {
    return 7
  }

  cancel(id) {
    this.cancelled.push(id)
  }

  dropCancel() {}

  async close() {
    const ticket = this.queue()
    await this.turn(ticket)
    this.log.push('close')
  }
}

const isAscii = (text) => /^[\0-\x7f]*$/.test(text)

function moved(buffer, size) {
  const bigger = new ArrayBuffer(size)
  new Uint8Array(bigger).set(new Uint8Array(buffer))
  structuredClone(buffer, { transfer: [buffer] })
  return bigger
}

/** A database over a fake core. */
export function fakeDatabase(options = {}) {
  const core = new FakeCore()
  const warnings = []
  const dead = []
  const calls = new Calls(core, core.memory, {
    integers: options.integers ?? 'auto',
    functions: options.functions,
    warn: (warning) => warnings.push(warning),
    refine: (error) => error,
    onDead: (error) => dead.push(error),
  })
  const db = new Database({ name: 'test', mode: 'local', storage: 'memory', durability: 'relaxed', ...options }, calls)
  return { db, core, calls, warnings, dead }
}

/** A promise with its ends in the hand. */
export function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

/** Lets everything that is ready run. */
export const settle = () => new Promise((resolve) => setImmediate(resolve))
