import type { MaybePromise } from '../engine/connection.js'
import { deserializeError, type SerializedError, serializeError } from './serialized-error.js'

/** The methods of one side by name, with their arguments and final results. */
export type MethodMap<T> = { readonly [K in keyof T]: (...args: never[]) => unknown }

/** The handlers that serve the methods of one side. Each also receives the signal by which the caller cancels, if the call has one. */
export type Handlers<T extends MethodMap<T>> = {
  readonly [K in keyof T]: (
    signal: AbortSignal | undefined,
    ...args: Parameters<T[K]>
  ) => MaybePromise<ReturnType<T[K]> | Transferred<ReturnType<T[K]>>>
}

/** A result with the buffers in it that are transferred rather than copied, where the transport can. */
export class Transferred<T> {
  constructor(
    readonly value: T,
    readonly transfer: readonly ArrayBuffer[],
  ) {}
}

/** The rejection of a cancelled call; `reason` is its signal's. */
export class Cancelled {
  constructor(readonly reason: unknown) {}
}

/** Options of {@link Channel.ask}. */
export interface AskOptions {
  /** Buffers in the arguments that are transferred rather than copied. */
  readonly transfer?: readonly Transferable[] | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * A message from one side to the other: plain data only.
 *
 * A request (`id` 0: without an answer), whose arguments at the indexes `functions` are functions of the caller; its answer; a call of
 * such a function; the cancellation of a request.
 */
export type Message =
  | {
      readonly id: number
      readonly method: string
      readonly args: readonly unknown[]
      readonly functions?: readonly number[]
      readonly cancellable?: true
    }
  | { readonly answer: number; readonly value: unknown }
  | { readonly answer: number; readonly thrown: SerializedError }
  | { readonly answer: number; readonly cancelled: true }
  | { readonly called: number; readonly which: number; readonly args: readonly unknown[] }
  | { readonly cancel: number }

interface PendingRequest {
  readonly args: readonly unknown[]
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Calls in both directions between two threads or tabs, over any transport that keeps the order of messages. Methods begin in the order
 * of their calls, as soon as their message arrives.
 */
export class Channel<Remote extends MethodMap<Remote>, Local extends MethodMap<Local>> {
  readonly #post: (message: Message, transfer: readonly Transferable[]) => void
  readonly #handlers: Handlers<Local>
  readonly #onUnknownAnswer: () => void
  readonly #pending = new Map<number, PendingRequest>()
  /** Controllers of the other side's requests that it may cancel. */
  readonly #cancellable = new Map<number, AbortController>()
  #last = 0
  #ended: { readonly error: unknown } | undefined

  /** `onUnknownAnswer` is called for an answer to a request that this side hasn't sent, or that was answered before. */
  constructor(
    post: (message: Message, transfer: readonly Transferable[]) => void,
    handlers: Handlers<Local>,
    onUnknownAnswer: () => void = () => {},
  ) {
    this.#post = post
    this.#handlers = handlers
    this.#onUnknownAnswer = onUnknownAnswer
  }

  /** Calls a method of the other side. Rejects with what the method throws, with {@link Cancelled}, and with the error of {@link end}. */
  ask<K extends keyof Remote & string>(
    method: K,
    args: Parameters<Remote[K]>,
    { transfer = [], signal }: AskOptions = {},
  ): Promise<Awaited<ReturnType<Remote[K]>>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended.error
      const id = ++this.#last
      this.#post(requestOf(id, method, args, signal !== undefined), transfer)
      if (signal === undefined) {
        this.#pending.set(id, { args, resolve: resolve as (value: unknown) => void, reject })
        return
      }
      const cancel = () => this.#post({ cancel: id }, [])
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener('abort', cancel)
          settle(value)
        }
      signal.addEventListener('abort', cancel)
      this.#pending.set(id, {
        args,
        resolve: settled(resolve as (value: unknown) => void),
        reject: settled((error) => reject(error instanceof Cancelled ? new Cancelled(signal.reason) : error)),
      })
      if (signal.aborted) cancel()
    })
  }

  /** Returns functions that call these methods of the other side. */
  stubs<K extends keyof Remote & string>(names: readonly K[]): Pick<Remote, K> {
    return Object.fromEntries(
      names.map((name) => [name, (...args: Parameters<Remote[K]>) => this.ask(name, args)]),
    ) as unknown as Pick<Remote, K>
  }

  /** Returns handlers that forward their calls to these methods of the other side. */
  forwarders<K extends keyof Remote & string>(names: readonly K[]): Pick<Handlers<Remote>, K> {
    const handlers = names.map((name) => [
      name,
      (signal: AbortSignal | undefined, ...args: Parameters<Remote[K]>) => this.ask(name, args, { signal }),
    ])
    return Object.fromEntries(handlers)
  }

  /** Calls a method of the other side without an answer. */
  notify<K extends keyof Remote & string>(method: K, args: Parameters<Remote[K]>): void {
    if (this.#ended === undefined) this.#post({ id: 0, method, args }, [])
  }

  /** Ends the channel, when the other side has ended: every call rejects with this error. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    for (const controller of this.#cancellable.values()) controller.abort(error)
  }

  /** Handles a message of the other side. */
  receive(message: Message): void {
    if (this.#ended !== undefined) return
    if ('method' in message) this.#serve(message)
    else if ('cancel' in message) this.#cancellable.get(message.cancel)?.abort()
    else if ('called' in message) {
      const called = this.#pending.get(message.called)?.args[message.which] as
        | ((...args: unknown[]) => void)
        | undefined
      called?.(...message.args)
    } else this.#settle(message)
  }

  #settle(message: Extract<Message, { readonly answer: number }>): void {
    const request = this.#pending.get(message.answer)
    if (request === undefined) {
      this.#onUnknownAnswer()
      return
    }
    this.#pending.delete(message.answer)
    if ('value' in message) request.resolve(message.value)
    else request.reject('thrown' in message ? deserializeError(message.thrown) : new Cancelled(undefined))
  }

  #serve({ id, method, args, functions, cancellable }: Extract<Message, { readonly method: string }>): void {
    let given = args
    if (functions !== undefined) {
      given = args.map((one, which) =>
        functions.includes(which) ? (...rest: unknown[]) => this.#post({ called: id, which, args: rest }, []) : one,
      )
    }
    let signal: AbortSignal | undefined
    if (cancellable === true) {
      const controller = new AbortController()
      this.#cancellable.set(id, controller)
      signal = controller.signal
    }
    const handler = this.#handlers[method as keyof Local] as (
      signal: AbortSignal | undefined,
      ...args: unknown[]
    ) => unknown
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
    this.#cancellable.delete(id)
    if (id === 0 || this.#ended !== undefined) return
    try {
      if (result instanceof Transferred) this.#post({ answer: id, value: result.value }, result.transfer)
      else this.#post({ answer: id, value: result }, [])
    } catch (error) {
      this.#refuse(id, error, undefined)
    }
  }

  #refuse(id: number, error: unknown, signal: AbortSignal | undefined): void {
    this.#cancellable.delete(id)
    if (this.#ended !== undefined) return
    // No caller waits. What `notify` sends may fail, like the release of a permit whose engine has ended.
    if (id === 0) return
    if (signal?.aborted && (error === signal.reason || error instanceof Cancelled))
      this.#post({ answer: id, cancelled: true }, [])
    else this.#post({ answer: id, thrown: serializeError(error) }, [])
  }
}

/** Returns handlers that call the functions of these names. */
export function handlersOf<T extends MethodMap<T>, K extends keyof T & string>(
  functions: Pick<T, K>,
  names: readonly K[],
): Pick<Handlers<T>, K> {
  const handlers = names.map((name) => [name, (_: unknown, ...args: never[]) => functions[name](...args)])
  return Object.fromEntries(handlers)
}

function requestOf(id: number, method: string, args: readonly unknown[], cancellable: boolean): Message {
  const more = cancellable ? ({ cancellable } as const) : undefined
  if (!args.some((one) => typeof one === 'function')) return { id, method, args, ...more }
  const functions = args.flatMap((one, at) => (typeof one === 'function' ? [at] : []))
  const given = args.map((one) => (typeof one === 'function' ? undefined : one))
  return { id, method, args: given, functions, ...more }
}
