import { beforeTimeout } from '../base/waiting.js'

/** What V8 shows of a frame of a stack. */
interface CallSite {
  getFunctionName(): string | null
}

/** The part of V8's `Error` that reads a stack without making a text of it. */
interface StackReader {
  stackTraceLimit?: number
  prepareStackTrace?: unknown
  captureStackTrace?(into: object): void
}

/** How many frames above a call are looked at. */
const farthest = 100

let instances = 0

type Run = <T>(work: () => T | PromiseLike<T>) => Promise<T>

/**
 * Runs functions such that it is known whether one of them awaits what runs now. V8's stacks go on with the functions that await
 * the present one; other engines don't show that, and nothing is recognised there.
 */
export class Callers {
  /** A name that no other function has, which V8 shows in stacks. */
  readonly #name = `tidelock transaction ${++instances}`
  #running = 0
  #isInside = false
  readonly #run: Run

  constructor() {
    const named = {
      [this.#name]: async <T>(work: () => T | PromiseLike<T>): Promise<T> => {
        this.#running++
        try {
          return await work()
        } finally {
          this.#running--
        }
      },
    }
    this.#run = named[this.#name] as Run
  }

  /** Runs a function, and returns its result. */
  run<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return this.#run(() => this.attributing(true, work))
  }

  /** Whether such a function runs now, before its first `await`: every engine shows that. */
  get isInside(): boolean {
    return this.#isInside
  }

  /** Makes the calls in `work` ones of such a function, or not. */
  attributing<T>(isInside: boolean, work: () => T): T {
    const before = this.#isInside
    this.#isInside = isInside
    try {
      return work()
    } finally {
      this.#isInside = before
    }
  }

  /** Whether any function runs here. */
  get areRunning(): boolean {
    return this.#running > 0
  }

  /** Settles as a promise does. Once a function that runs here awaits the result, rejects with the error that `abandon` returns. */
  unlessAwaited<T>(pending: Promise<T>, abandon: () => Error): Promise<T> {
    return this.areRunning ? this.#unlessAwaited(pending, abandon) : pending
  }

  async #unlessAwaited<T>(pending: Promise<T>, abandon: () => Error): Promise<T> {
    let hasSettled = false
    const settled = pending.finally(() => {
      hasSettled = true
    })
    // A function may await its call later than it made it.
    for (let ms = 0; this.areRunning; ms = Math.min(2 * ms + 1, 1000)) {
      await beforeTimeout(settled, ms)
      if (hasSettled) break
      if (this.includeThis()) throw abandon()
    }
    return pending
  }

  /** Returns whether a function that runs here has called, or awaits, the function that calls this one. */
  includeThis(): boolean {
    return this.#running > 0 && callers().some((site) => site.getFunctionName() === this.#name)
  }
}

/** Returns the frames of the present stack, and of the functions that await it. Empty in engines other than V8. */
function callers(): readonly CallSite[] {
  const reader = Error as unknown as StackReader
  const { stackTraceLimit, prepareStackTrace } = reader
  if (reader.captureStackTrace === undefined) return []
  const holder: { readonly stack?: unknown } = {}
  // Where `Error` is frozen, this changes nothing, and the stack is a text.
  Reflect.set(reader, 'stackTraceLimit', farthest)
  Reflect.set(reader, 'prepareStackTrace', (_: unknown, sites: readonly CallSite[]) => sites)
  reader.captureStackTrace(holder)
  const { stack } = holder
  Reflect.set(reader, 'stackTraceLimit', stackTraceLimit)
  Reflect.set(reader, 'prepareStackTrace', prepareStackTrace)
  return Array.isArray(stack) ? stack : []
}
