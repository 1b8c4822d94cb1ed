import type { Database } from '../../index.js'
import { type DatabaseState, withDatabase } from './database-store.js'
import type { Store } from './external-store.js'

/** The state of a mutation: of its latest call. */
export interface MutationState<Result> {
  /** Whether any call is running. */
  readonly pending: boolean
  /** What the latest call has thrown; undefined once another one begins. */
  readonly error: Error | undefined
  /** What the latest call has returned; undefined until then. */
  readonly data: Result | undefined
}

/** Writes to the database; what it returns is the result of the mutation. */
export type MutationWork<Input, Result> = (database: Database, input: Input) => Result | PromiseLike<Result>

/** The calls of a mutation. They are the same functions for as long as the component lives. */
export interface MutationCalls<Input, Result> {
  /** Runs the work. Only the state reports a failure. Without an input, call it without an argument. */
  readonly mutate: (...input: InputOf<Input>) => void
  /** Runs the work and resolves with its result. Rejects with what the work throws, and with the error of the opening. */
  readonly mutateAsync: (...input: InputOf<Input>) => Promise<Result>
  /** Forgets the latest result and error. */
  readonly reset: () => void
}

type InputOf<Input> = undefined extends Input ? [input?: Input] : [input: Input]

/** Work with its calls and the store of its state. Calls may overlap: each runs, and the state is that of the latest. */
export class Mutation<Input, Result> implements MutationCalls<Input, Result>, Store<MutationState<Result>> {
  databases: Store<DatabaseState>
  work: MutationWork<Input, Result>
  readonly #listeners = new Set<() => void>()
  #state: MutationState<Result> = idleMutation
  #running = 0
  #latest = 0

  constructor(databases: Store<DatabaseState>, work: MutationWork<Input, Result>) {
    this.databases = databases
    this.work = work
  }

  readonly get = (): MutationState<Result> => this.#state

  readonly subscribe = (listener: () => void): (() => void) => {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  readonly mutate = (...input: InputOf<Input>): void => {
    this.mutateAsync(...input).catch(() => {})
  }

  readonly mutateAsync = async (...[input]: InputOf<Input>): Promise<Result> => {
    this.#running++
    const call = ++this.#latest
    this.#set({})
    try {
      const data = await withDatabase(this.databases, (database) => this.work(database, input as Input))
      this.#end(call, { data })
      return data
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
      this.#end(call, { error })
      throw thrown
    }
  }

  readonly reset = (): void => {
    this.#latest++
    this.#set({})
  }

  #end(call: number, outcome: Partial<MutationState<Result>>): void {
    this.#running--
    this.#set(call === this.#latest ? outcome : this.#state)
  }

  #set({ error, data }: Partial<MutationState<Result>>): void {
    this.#state = { pending: this.#running > 0, error, data }
    for (const listener of [...this.#listeners]) listener()
  }
}

/** The state before any call. */
export const idleMutation: MutationState<never> = { pending: false, error: undefined, data: undefined }
