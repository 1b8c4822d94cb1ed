import { invalid } from '../base/errors.js'
import type { RemoteOptions } from '../remote/remote-options.js'

/**
 * Calls the user's filter function of a table. Returns columns and their filters in turn, as JSON text. Rejects with the error that the
 * function throws, and with `invalid_argument` when it returns no filters.
 */
export async function remoteFilter(remote: RemoteOptions | undefined, name: string): Promise<string> {
  const table = remote?.tables.find((one) => typeof one !== 'string' && one.table === name)
  const filter = typeof table === 'object' ? table.filter : undefined
  if (typeof filter !== 'function')
    throw invalid(`Table ${name} has no filter function`, { hint: 'Please report this error' })
  const given: unknown = await filter()
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
  if (!isObject || Object.values(given).some((one) => typeof one !== 'string'))
    throw invalid(`The filter function of table ${name} must return an object of texts`)
  return JSON.stringify(Object.entries(given).flat())
}
