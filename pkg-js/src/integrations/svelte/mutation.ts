import { type MutationCalls, type MutationState, type MutationWork, mutationOf } from '../shared/mutation.js'
import { contextDatabases } from './database.js'
import { type Readable, readable } from './readable.js'

/** The calls of a mutation, and the store of its state. */
export type MutationStore<Input, Result> = MutationCalls<Input, Result> & Readable<MutationState<Result>>

/**
 * Returns calls that write to the database, and a store of their state: `{ pending, error, data }`.
 *
 * `work` gets the database and the input of the call. A call before the database is open waits for it, and a call that has begun ends
 * although the component is destroyed. Throws `invalid_argument` outside of a component with a provider.
 *
 * @example
 * ```ts
 * const add = mutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
 * // <button on:click={() => add.mutate('tea')} disabled={$add.pending}>Add tea</button>
 * ```
 */
export function mutation<Input = void, Result = unknown>(
  work: MutationWork<Input, Result>,
): MutationStore<Input, Result> {
  const own = mutationOf<Input, Result>({ databases: contextDatabases('mutation'), work })
  return { ...readable<MutationState<Result>>(own), ...own.calls }
}
