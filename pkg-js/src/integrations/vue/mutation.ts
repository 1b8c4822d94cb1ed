import { type ComputedRef, computed } from 'vue'
import {
  idleMutation,
  type MutationCalls,
  type MutationState,
  type MutationWork,
  mutationOf,
} from '../shared/mutation.js'
import { useDatabases } from './database.js'
import { useStore } from './use-store.js'

/** The calls of a mutation, and its state in refs. */
export interface MutationRefs<Input, Result> extends MutationCalls<Input, Result> {
  /** Whether any call is running. */
  readonly pending: ComputedRef<boolean>
  /** What the latest call has thrown; undefined once another one begins. */
  readonly error: ComputedRef<Error | undefined>
  /** What the latest call has returned; undefined until then. */
  readonly data: ComputedRef<Result | undefined>
}

/**
 * Returns calls that write to the database, and their state: `{ mutate, mutateAsync, reset, pending, error, data }`.
 *
 * `work` gets the database and the input of the call. A call before the database is open waits for it, and a call that has begun ends
 * although the component unmounts. Throws `invalid_argument` outside of a provider.
 *
 * @example
 * ```ts
 * const add = useMutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
 * add.mutate('tea')
 * ```
 */
export function useMutation<Input = void, Result = unknown>(
  work: MutationWork<Input, Result>,
): MutationRefs<Input, Result> {
  const mutation = mutationOf<Input, Result>({ databases: useDatabases('useMutation'), work })
  const state = useStore<MutationState<Result>>(() => mutation, idleMutation)
  return {
    ...mutation.calls,
    pending: computed(() => state.value.pending),
    error: computed(() => state.value.error),
    data: computed(() => state.value.data),
  }
}
