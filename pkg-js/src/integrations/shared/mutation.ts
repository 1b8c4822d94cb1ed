import type { Database } from '../../index.js'
import { type DatabaseState, withDatabase } from './database-store.js'
import type { ExternalStore } from './external-store.js'

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

/** What a mutation does, and where. A component may exchange both. */
export interface MutationSource<Input, Result> {
  databases: ExternalStore<DatabaseState>
  work: MutationWork<Input, Result>
}

/** Makes the calls of a mutation, with the store of its state. Calls may overlap: each runs, and the state is that of the latest. */
export function mutationOf<Input, Result>(
  source: MutationSource<Input, Result>,
): ExternalStore<MutationState<Result>> & { readonly calls: MutationCalls<Input, Result> } {
  const listeners = new Set<() => void>()
  let state: MutationState<Result> = idleMutation
  let running = 0
  let latest = 0
  const set = ({ error, data }: Partial<MutationState<Result>>) => {
    state = { pending: running > 0, error, data }
    for (const listener of [...listeners]) listener()
  }
  const end = (call: number, outcome: Partial<MutationState<Result>>) => {
    running--
    set(call === latest ? outcome : state)
  }
  const mutateAsync = async (...[input]: InputOf<Input>): Promise<Result> => {
    running++
    const call = ++latest
    set({})
    try {
      const data = await withDatabase(source.databases, (database) => source.work(database, input as Input))
      end(call, { data })
      return data
    } catch (thrown) {
      end(call, { error: thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown }) })
      throw thrown
    }
  }
  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    calls: {
      mutate: (...input) => void mutateAsync(...input).catch(() => {}),
      mutateAsync,
      reset() {
        latest++
        set({})
      },
    },
  }
}

/** The state before any call. */
export const idleMutation: MutationState<never> = { pending: false, error: undefined, data: undefined }
