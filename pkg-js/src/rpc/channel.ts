import type { Soon } from '../engine/connection.js'
import { fromThrown, type Thrown, toThrown } from './thrown.js'

/** The methods of one side by name: what they take, and what they give at last. */
export type Methods<T> = { readonly [K in keyof T]: (...args: never[]) => unknown }

/** How one side serves its methods: each also gets the signal by which the caller gives up, if there is one. */
export type Handlers<T extends Methods<T>> = {
  readonly [K in keyof T]: (
    signal: AbortSignal | undefined,
    ...args: Parameters<T[K]>
  ) => Soon<ReturnType<T[K]> | Moved<ReturnType<T[K]>>>
}

/** A result together with the buffers in it that needn't be copied, where the way to the other side can move them. */
export class Moved<T> {
  constructor(
    readonly value: T,
    readonly transfer: readonly ArrayBuffer[],
  ) {}
}

/** What a call that was given up rejects with; `reason` is its signal's. */
export class GivenUp {
  constructor(readonly reason: unknown) {}
}

/** What a call may take along. */
export interface AskOptions {
  /** Buffers in the arguments that the caller doesn't need any more. */
  readonly transfer?: readonly Transferable[] | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * What goes from one side to the other: plain data only.
 *
 * A request (`id` 0: nobody waits for an answer), whose arguments with the numbers `functions` are functions of the caller; its answer;
 * a call of such a function; the wish that a request be given up.
 */
export type Message =
  | {
      readonly id: number
      readonly method: string
      readonly args: readonly unknown[]
      readonly functions?: readonly number[]
      readonly stoppable?: true
    }
  | { readonly answer: number; readonly value: unknown }
  | { readonly answer: number; readonly thrown: Thrown }
  | { readonly answer: number; readonly givenUp: true }
  | { readonly called: number; readonly which: number; readonly args: readonly unknown[] }
  | { readonly giveUp: number }

interface Asked {
  readonly args: readonly unknown[]
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Calls in both directions between two threads (or tabs), over anything that carries messages in order. Methods begin in the order in
 * which they were called, as soon as their message arrives.
 */
export class Channel<Theirs extends Methods<Theirs>, Ours extends Methods<Ours>> {
  readonly #post: (message: Message, transfer: readonly Transferable[]) => void
  readonly #ours: Handlers<Ours>
  readonly #asked = new Map<number, Asked>()
  /** Requests of the other side that it may give up. */
  readonly #stops = new Map<number, AbortController>()
  #last = 0
  #ended: { readonly error: unknown } | undefined

  constructor(post: (message: Message, transfer: readonly Transferable[]) => void, ours: Handlers<Ours>) {
    this.#post = post
    this.#ours = ours
  }

  /** Calls a method of the other side. Rejects with what it throws, with {@link GivenUp}, and with what the channel {@link end}s with. */
  ask<K extends keyof Theirs & string>(
    method: K,
    args: Parameters<Theirs[K]>,
    { transfer = [], signal }: AskOptions = {},
  ): Promise<Awaited<ReturnType<Theirs[K]>>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended.error
      const id = ++this.#last
      this.#post(requestOf(id, method, args, signal !== undefined), transfer)
      if (signal === undefined) {
        this.#asked.set(id, { args, resolve: resolve as (value: unknown) => void, reject })
        return
      }
      const giveUp = () => this.#post({ giveUp: id }, [])
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener('abort', giveUp)
          settle(value)
        }
      signal.addEventListener('abort', giveUp)
      this.#asked.set(id, {
        args,
        resolve: settled(resolve as (value: unknown) => void),
        reject: settled((error) => reject(error instanceof GivenUp ? new GivenUp(signal.reason) : error)),
      })
      if (signal.aborted) giveUp()
    })
  }

  /** These methods of the other side, as functions. */
  asking<K extends keyof Theirs & string>(names: readonly K[]): Pick<Theirs, K> {
    return Object.fromEntries(
      names.map((name) => [name, (...args: Parameters<Theirs[K]>) => this.ask(name, args)]),
    ) as unknown as Pick<Theirs, K>
  }

  /** Handlers that hand on what they are asked to these methods of the other side. */
  forwarding<K extends keyof Theirs & string>(names: readonly K[]): Pick<Handlers<Theirs>, K> {
    const handlers = names.map((name) => [
      name,
      (signal: AbortSignal | undefined, ...args: Parameters<Theirs[K]>) => this.ask(name, args, { signal }),
    ])
    return Object.fromEntries(handlers)
  }

  /** Calls a method of the other side without waiting for it. */
  tell<K extends keyof Theirs & string>(method: K, args: Parameters<Theirs[K]>): void {
    if (this.#ended === undefined) this.#post({ id: 0, method, args }, [])
  }

  /** The other side is gone: every call rejects with this. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
    for (const stop of this.#stops.values()) stop.abort(error)
  }

  /** A message of the other side has arrived. */
  receive(message: Message): void {
    if (this.#ended !== undefined) return
    if ('method' in message) this.#serve(message)
    else if ('giveUp' in message) this.#stops.get(message.giveUp)?.abort()
    else if ('called' in message) {
      const called = this.#asked.get(message.called)?.args[message.which] as ((...args: unknown[]) => void) | undefined
      called?.(...message.args)
    } else this.#settle(message)
  }

  #settle(message: Extract<Message, { readonly answer: number }>): void {
    const asked = this.#asked.get(message.answer)
    this.#asked.delete(message.answer)
    if ('value' in message) asked?.resolve(message.value)
    else asked?.reject('thrown' in message ? fromThrown(message.thrown) : new GivenUp(undefined))
  }

  #serve({ id, method, args, functions, stoppable }: Extract<Message, { readonly method: string }>): void {
    let given = args
    if (functions !== undefined) {
      given = args.map((one, which) =>
        functions.includes(which) ? (...rest: unknown[]) => this.#post({ called: id, which, args: rest }, []) : one,
      )
    }
    let signal: AbortSignal | undefined
    if (stoppable === true) {
      const stop = new AbortController()
      this.#stops.set(id, stop)
      signal = stop.signal
    }
    const handler = this.#ours[method as keyof Ours] as (signal: AbortSignal | undefined, ...args: unknown[]) => unknown
    try {
      const result = handler(signal, ...given)
      if (result instanceof Promise) {
        result.then(
          (value) => this.#answer(id, value),
          (error) => this.#refuse(id, error, signal),
        )
      } else this.#answer(id, result)
    } catch (error) {
      this.#refuse(id, error, signal)
    }
  }

  #answer(id: number, result: unknown): void {
    this.#stops.delete(id)
    if (id === 0 || this.#ended !== undefined) return
    try {
      if (result instanceof Moved) this.#post({ answer: id, value: result.value }, result.transfer)
      else this.#post({ answer: id, value: result }, [])
    } catch (error) {
      this.#refuse(id, error, undefined)
    }
  }

  #refuse(id: number, error: unknown, signal: AbortSignal | undefined): void {
    this.#stops.delete(id)
    if (this.#ended !== undefined) return
    // Nobody waits: what was told only helps, as leaving a place that is gone.
    if (id === 0) return
    if (signal?.aborted && (error === signal.reason || error instanceof GivenUp))
      this.#post({ answer: id, givenUp: true }, [])
    else this.#post({ answer: id, thrown: toThrown(error) }, [])
  }
}

/** Serves methods by functions of these names. */
export function answering<T extends Methods<T>, K extends keyof T & string>(
  functions: Pick<T, K>,
  names: readonly K[],
): Pick<Handlers<T>, K> {
  const handlers = names.map((name) => [name, (_: unknown, ...args: never[]) => functions[name](...args)])
  return Object.fromEntries(handlers)
}

function requestOf(id: number, method: string, args: readonly unknown[], stoppable: boolean): Message {
  const more = stoppable ? ({ stoppable } as const) : undefined
  if (!args.some((one) => typeof one === 'function')) return { id, method, args, ...more }
  const functions = args.flatMap((one, at) => (typeof one === 'function' ? [at] : []))
  const given = args.map((one) => (typeof one === 'function' ? undefined : one))
  return { id, method, args: given, functions, ...more }
}
