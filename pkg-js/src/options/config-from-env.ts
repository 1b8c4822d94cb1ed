import { reading } from '../base/check.js'
import { invalid } from '../base/errors.js'
import { type Warning, warnOnConsole } from '../base/events.js'
import type { OpenOptions } from './options.js'

const prefixes = ['', 'VITE_', 'NEXT_PUBLIC_', 'PUBLIC_']

/** The result of {@link configFromEnv}: options for {@link open}, without migrations and the tables to sync. */
export interface EnvConfig extends OpenOptions {
  readonly mode: 'local' | 'cloud'
}

/**
 * Makes options for {@link open} from environment variables: `TIDELOCK_DATABASE` (the name of the local database), `SUPABASE_URL`,
 * `SUPABASE_PUBLISHABLE_KEY` (else `SUPABASE_ANON_KEY`) and `TIDELOCK_SNAPSHOT_INTERVAL_MS`, each also with the prefix `VITE_`,
 * `NEXT_PUBLIC_` or `PUBLIC_`. Add the tables to sync to `remote.tables`.
 *
 * When both a local database and Supabase are set, the local one wins: the mode is `local`, Supabase is used only when `db.sync` is called,
 * and `onWarning` is called once. With Supabase alone the mode is `cloud` and the database has the name of the project. Throws
 * `invalid_argument` when neither is set, or when a value is invalid.
 *
 * @example
 * ```ts
 * const config = configFromEnv(import.meta.env)
 * const db = await open({ ...config, migrations })
 * ```
 */
export function configFromEnv(
  env: Readonly<Record<string, unknown>>,
  onWarning: (warning: Warning) => void = warnOnConsole,
): EnvConfig {
  if (typeof env !== 'object' || env === null)
    throw invalid('configFromEnv needs an object of variables, such as import.meta.env or process.env')
  const read = (name: string) => reading('The variables', () => variable(env, name))
  const local = read('TIDELOCK_DATABASE')
  const url = read('SUPABASE_URL')
  const key = read('SUPABASE_PUBLISHABLE_KEY') ?? read('SUPABASE_ANON_KEY')
  const interval = read('TIDELOCK_SNAPSHOT_INTERVAL_MS')
  const snapshots = interval === undefined ? {} : { snapshots: { intervalMs: milliseconds(interval) } }
  const remote = url === undefined || key === undefined ? undefined : { url, key, tables: [] }

  if (local !== undefined) {
    if (remote === undefined) return { name: local, mode: 'local', ...snapshots }
    onWarning({
      code: 'local_database_wins',
      message:
        'TIDELOCK_DATABASE and SUPABASE_URL are both set: the local database is used, and Supabase only when db.sync is called',
    })
    return { name: local, mode: 'local', remote, ...snapshots }
  }
  if (remote !== undefined) return { name: projectName(remote.url), mode: 'cloud', remote, ...snapshots }
  if (url !== undefined)
    throw invalid('SUPABASE_URL is set, but neither SUPABASE_PUBLISHABLE_KEY nor SUPABASE_ANON_KEY is', {
      hint: 'Both are on the API page of the project',
    })
  throw invalid('The environment names no database', {
    hint: 'Set TIDELOCK_DATABASE, or SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY; each may have the prefix VITE_, NEXT_PUBLIC_ or PUBLIC_',
  })
}

function variable(env: Readonly<Record<string, unknown>>, name: string): string | undefined {
  for (const prefix of prefixes) {
    const value = env[prefix + name]
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
  }
  return undefined
}

function milliseconds(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw invalid('TIDELOCK_SNAPSHOT_INTERVAL_MS must be a whole number of milliseconds from 1 on')
  return value
}

/** Returns the reference of a Supabase project, else the host of the URL. */
function projectName(url: string): string {
  try {
    const { host } = new URL(url)
    return /^([a-z0-9-]+)\.supabase\.(co|in)$/.exec(host)?.[1] ?? host
  } catch {
    throw invalid('SUPABASE_URL is not a URL', { hint: 'It looks like https://<project>.supabase.co' })
  }
}
