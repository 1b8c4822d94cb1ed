import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import type { Row, SqlParams, TidelockError } from '../../index.js'
import { checkKnown } from '../shared/known-options.js'
import { type LiveQueryOptions, loadingResult, providedResults } from '../shared/live-results.js'
import { type MaybeLiveQuerySource, type QueryStatement, statementOf } from '../shared/statement.js'
import { useDatabases } from './database.js'
import { useStore } from './use-store.js'

/** The state of a live query in refs. */
export interface LiveQueryRefs<T = Row> {
  /** The latest rows; empty before the first result, unless the options ask for earlier ones. */
  readonly rows: ComputedRef<readonly T[]>
  /** Why the last run failed, or why there is no database; `rows` stay those of the last result. */
  readonly error: ComputedRef<TidelockError | undefined>
  /** Whether neither a result nor an error has arrived yet, for this query and these parameters: then `rows` aren't current. */
  readonly loading: ComputedRef<boolean>
}

/**
 * Runs a query, and again when a commit has changed its tables, until the component unmounts or the effect scope stops. Components with the
 * same query and parameters share one run.
 *
 * `query` and `params` are values, refs or getters; the query follows their changes. `query` is SQL, an `` sql`...` `` fragment, a query of
 * Kysely or Drizzle, or undefined, null or false to run nothing. The `error` is that of the query, that of a failed opening, or `closed`
 * when the database was closed; it disappears with the next run that succeeds. On a server, and until the database is open, `loading` is
 * true.
 *
 * Throws `invalid_argument` for a query of another kind, an unknown option, and outside of a provider.
 *
 * @example
 * ```ts
 * const list = ref('home')
 * const { rows, error, loading } = useLiveQuery<Todo>('SELECT * FROM todos WHERE list = ?', () => [list.value])
 * ```
 */
export function useLiveQuery<T = Row>(
  query: MaybeRefOrGetter<MaybeLiveQuerySource<T>>,
  params?: MaybeRefOrGetter<SqlParams | undefined>,
  options: LiveQueryOptions = {},
): LiveQueryRefs<T> {
  checkKnown('useLiveQuery', options, ['timeoutMs', 'initial', 'keepPreviousRows'])
  const { timeoutMs, initial, keepPreviousRows = false } = options
  const databases = useDatabases('useLiveQuery')
  const statement = computed<QueryStatement | undefined>((previous) => {
    const next = statementOf(toValue(query), toValue(params))
    return next?.key === previous?.key ? previous : next
  })
  const result = useStore(() => providedResults<T>(databases, statement.value, { timeoutMs, initial }), loadingResult)
  let shown: readonly T[] = []
  return {
    rows: computed(() => {
      const { rows, loading } = result.value
      if (!loading || !keepPreviousRows || rows.length > 0) shown = rows
      return shown
    }),
    error: computed(() => result.value.error),
    loading: computed(() => result.value.loading),
  }
}
