import { TidelockError } from '../../index.js'
import { nodeProcess } from './storage-fault.js'

interface Timer {
  readonly id: number
  readonly run: () => void
  /** The interval of `setInterval`. */
  readonly everyMs: number | undefined
  at: number
}

/** The longest timer of JavaScript; a longer one fires at once. */
const maxTimeoutMs = 2 ** 31 - 1

/** Ids of timers begin here, so that they differ from those of timers that were set before. */
const firstId = 1e9

/** The clock that is in use. */
let current: FakeClock | undefined

/**
 * A clock that only the test moves. Made by {@link fakeClock}.
 *
 * It replaces `Date`, `performance.now`, `setTimeout` and `setInterval` of this thread. Promises, storage and requests stay real. Close
 * databases before `restore()`: what waits for a timer of this clock waits for ever then.
 */
export class FakeClock {
  readonly #real = {
    Date: globalThis.Date,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
  }
  readonly #performance = Object.getOwnPropertyDescriptor(performance, 'now')
  readonly #timers = new Map<number, Timer>()
  readonly #began: number
  readonly #startedAt = performance.now()
  #now: number
  #ids = firstId

  /** @internal */
  constructor(now: number) {
    this.#began = now
    this.#now = now
    const add =
      (repeats: boolean) =>
      (handler: unknown, ms: unknown, ...given: unknown[]) => {
        const wait = Number(ms) > 0 && Number(ms) <= maxTimeoutMs ? Number(ms) : 1
        return this.#add(() => (handler as (...given: unknown[]) => void)(...given), wait, repeats)
      }
    // Browsers refuse these functions as methods of another object.
    const { clearTimeout } = this.#real
    const remove = (timer: unknown) => {
      if (Number(timer) > firstId) this.#timers.delete(Number(timer))
      else clearTimeout(timer as number)
    }
    Object.assign(globalThis, {
      Date: this.#dateClass(),
      setTimeout: add(false),
      setInterval: add(true),
      clearTimeout: remove,
      clearInterval: remove,
    })
    Object.defineProperty(performance, 'now', {
      value: () => this.#startedAt + this.#now - this.#began,
      configurable: true,
      writable: true,
    })
  }

  /** The time of the clock. */
  get now(): Date {
    return new this.#real.Date(this.#now)
  }

  /**
   * Moves the clock forward and runs the timers that are due on the way, in their order, each at its time. Between two of them and at the
   * end, what they started may go on: it waits some turns of the real event loop. Wait for longer work with {@link FakeClock.until}.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) {
      throw new TidelockError('invalid_argument', 'advance needs a number of milliseconds that is not negative', {
        hint: 'A clock only moves forward; make another one for an earlier time',
      })
    }
    const end = this.#now + ms
    await this.#settle()
    for (;;) {
      const next = [...this.#timers.values()].sort((one, other) => one.at - other.at || one.id - other.id)[0]
      if (next === undefined || next.at > end) break
      this.#now = Math.max(this.#now, next.at)
      if (next.everyMs === undefined) this.#timers.delete(next.id)
      else next.at += next.everyMs
      next.run()
      await this.#settle()
    }
    this.#now = end
    await this.#settle()
  }

  /**
   * Waits until `check` returns something truthy, and returns it. Between two checks the clock moves by `advanceMs`, by default 0: then it
   * stands still, for requests and storage, which take real time. Rejects with `timeout` after `timeoutMs` of real time, by default 5000.
   *
   * Prefer it to {@link FakeClock.advance} where a timer starts only after a request or a write has ended.
   */
  async until<Value>(
    check: () => Value | Promise<Value>,
    { advanceMs = 0, timeoutMs = 5000 }: { advanceMs?: number; timeoutMs?: number } = {},
  ): Promise<Value> {
    const { Date: Time } = this.#real
    for (const end = Time.now() + timeoutMs; Time.now() < end; await this.advance(advanceMs)) {
      const value = await check()
      if (value) return value
    }
    throw new TidelockError('timeout', `What the test waits for didn't happen within ${timeoutMs} ms of real time`, {
      hint: 'If a timer has to run first, pass advanceMs',
    })
  }

  /** Gives the real clock back. Timers that are still waiting never run. */
  restore(): void {
    if (current !== this) return
    current = undefined
    Object.assign(globalThis, this.#real)
    if (this.#performance === undefined) Reflect.deleteProperty(performance, 'now')
    else Object.defineProperty(performance, 'now', this.#performance)
  }

  #add(run: () => void, ms: number, repeats: boolean): unknown {
    const id = ++this.#ids
    this.#timers.set(id, { id, run, everyMs: repeats ? ms : undefined, at: this.#now + ms })
    if (nodeProcess() === undefined) return id
    // Node's timers are objects.
    const timer = { ref: () => timer, unref: () => timer, hasRef: () => true, [Symbol.toPrimitive]: () => id }
    return timer
  }

  async #settle(): Promise<void> {
    const { setTimeout } = this.#real
    for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setTimeout(resolve, 0))
  }

  #dateClass(): DateConstructor {
    const time = () => this.#now
    return class extends this.#real.Date {
      constructor(...given: unknown[]) {
        super(...((given.length === 0 ? [time()] : given) as [number]))
      }

      static override now() {
        return time()
      }
    } as DateConstructor
  }
}

/**
 * Replaces the clock by one that only the test moves: for intervals of `sync.start`, retries, snapshots at intervals, `expires`, and for
 * all that reads the time. It works in Node and in pages, with every test runner, for databases with `thread: 'current'`: a worker has a
 * clock of its own. `restore()` gives the real clock back.
 *
 * Throws `invalid_argument` when another one is in use, or for a time that isn't one.
 *
 * @example
 * ```ts
 * const clock = fakeClock({ now: '2026-01-01T00:00:00Z' })
 * try {
 *   db.sync.start({ intervalMs: 30_000 })
 *   remote.insert('todos', { id: 'b', title: 'milk' })
 *   await clock.advance(30_000)
 * } finally {
 *   clock.restore()
 * }
 * ```
 */
export function fakeClock({ now = Date.now() }: { readonly now?: Date | number | string } = {}): FakeClock {
  const time = new Date(now).getTime()
  if (Number.isNaN(time)) throw new TidelockError('invalid_argument', 'The option now of fakeClock must be a time')
  if (current !== undefined) {
    throw new TidelockError('invalid_argument', 'Another fake clock is in use', {
      hint: 'Call its restore() first, for example in afterEach',
    })
  }
  current = new FakeClock(time)
  return current
}
