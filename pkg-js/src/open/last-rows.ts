import { checkWindow, type LiveWindow } from '../api/live-window.js'
import { checkOneOf, checkStatement } from '../base/check.js'
import { loaded } from '../base/lazy-module.js'
import type { Row, RowMode, SqlParams } from '../base/values.js'
import { checkOptions } from '../options/check-options.js'
import { checkName } from '../options/open-rules.js'
import { openEnvironment } from './open.js'
import { checkPlace, type StoredPlace } from './stored-place.js'

/** Options of {@link lastRows}: where the database is stored, and what belongs to the live query. */
export interface LastRowsOptions extends StoredPlace, LiveWindow {
  /** The form of the live query's rows. */
  readonly rowMode?: RowMode | undefined
}

/**
 * Returns the last known rows of a live query with `initial: 'last'`, without opening the database: show them while it opens. Text,
 * parameters and options are those of the live query. Resolves with undefined when there are none, and when the storage can't be read.
 *
 * @example
 * ```ts
 * const rows = await lastRows<Order>('shop', 'SELECT * FROM orders ORDER BY id')
 * if (rows !== undefined) render(rows)
 * ```
 */
export async function lastRows<T = Row>(
  name: string,
  sql: string,
  params?: SqlParams,
  options?: LastRowsOptions,
): Promise<T[] | undefined> {
  checkName(name)
  checkStatement(sql)
  const { path, storage } = checkPlace('lastRows', options, ['rowMode', 'limit', 'offset'])
  const mode = checkOneOf('rowMode', options?.rowMode ?? 'object', ['object', 'array'])
  const window = checkWindow(options ?? {})
  // The default folder of a name is that of `open`.
  const place = checkOptions({ name, storage, path }, openEnvironment())
  const { LastResults } = await loaded("initial: 'last'", import('../api/last-results.js'))
  const places = storage === undefined ? [place, { ...place, storage: 'opfs' as const }] : [place]
  const query = { sql, params, mode, window }
  const found = await Promise.all(places.map((place) => new LastResults(place, () => false).find(query)))
  return found.find((last) => last !== undefined)?.rows as T[] | undefined
}
