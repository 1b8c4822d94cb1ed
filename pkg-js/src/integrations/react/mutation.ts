import { useEffect, useMemo, useState } from 'react'
import {
  idleMutation,
  type MutationCalls,
  type MutationState,
  type MutationWork,
  mutationOf,
} from '../shared/mutation.js'
import { useDatabases, useStore } from './database.js'

/** What {@link useMutation} returns. */
export type MutationResult<Input, Result> = MutationCalls<Input, Result> & MutationState<Result>

/**
 * Returns calls that write to the database, and their state: `{ mutate, mutateAsync, reset, pending, error, data }`.
 *
 * `work` gets the database and the input of the call; the latest render's function is used. A call before the database is open waits for it,
 * and a call that has begun ends although the component unmounts. Throws `invalid_argument` outside of a `DatabaseProvider`.
 *
 * @example
 * ```tsx
 * const add = useMutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
 * return <button onClick={() => add.mutate('tea')} disabled={add.pending}>Add tea</button>
 * ```
 */
export function useMutation<Input = void, Result = unknown>(
  work: MutationWork<Input, Result>,
): MutationResult<Input, Result> {
  const databases = useDatabases('useMutation')
  const [source] = useState({ databases, work })
  const [mutation] = useState(() => mutationOf<Input, Result>(source))
  useEffect(() => void Object.assign(source, { databases, work }))
  const state = useStore<MutationState<Result>>(mutation, idleMutation)
  return useMemo(() => ({ ...state, ...mutation.calls }), [state, mutation])
}
