import { parseEnv } from 'node:util'
import type { Invocation, OptionSpec } from './command.js'
import { usageError } from './errors.js'
import { readText } from './read.js'

/** The options of commands that talk to a remote. */
export const remoteOptions: Readonly<Record<string, OptionSpec>> = {
  url: { value: 'URL', about: 'the Supabase project or PostgREST root; else SUPABASE_URL' },
  'key-file': { value: 'FILE', about: 'a file with the API key; else SUPABASE_SECRET_KEY, _PUBLISHABLE_KEY, ...' },
  env: { value: 'FILE', about: 'a file with SUPABASE_URL and the key, such as .env' },
  'remote-schema': { value: 'NAME', about: "the remote's schema; 'public' by default" },
}

const prefixes = ['', 'VITE_', 'NEXT_PUBLIC_', 'PUBLIC_']
/** The key with the most rights comes first: this is a developer's machine, not a page. */
const keyNames = ['SECRET_KEY', 'SERVICE_ROLE_KEY', 'PUBLISHABLE_KEY', 'ANON_KEY']

/** The URL and the credentials of the remote. The key is used in requests only. */
export interface Endpoint {
  readonly url: string
  readonly key: string
  readonly schema: string
  readonly accessToken?: (() => Promise<string>) | undefined
  readonly fetch: typeof fetch
}

/** Returns the option with which a call reports warnings as the other output: without control characters, and with masked keys. */
export function warning(given: Invocation): { onWarning: (warning: { message: string }) => void } {
  return { onWarning: ({ message }) => given.output.warn(message) }
}

/** Returns the remote of the options or the environment. Throws `invalid_argument` with the name of a missing setting. */
export function endpoint(given: Invocation): Endpoint {
  const file = given.value('env')
  const env = file === undefined ? given.env : { ...given.env, ...parseEnv(readText(file, true)) }
  const read = (name: string) => prefixes.map((prefix) => env[prefix + name]?.trim()).find((value) => value)
  const url = given.value('url') ?? read('SUPABASE_URL')
  if (url === undefined)
    throw usageError(
      'The URL of the remote is missing',
      'Pass --url, or set SUPABASE_URL in the environment or an --env FILE',
    )
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : ''))
    throw usageError('The URL of the remote is not an http or https URL', 'Write it as https://<project>.supabase.co')
  const keyFile = given.value('key-file')
  const key =
    keyFile === undefined
      ? keyNames.map((name) => read(`SUPABASE_${name}`)).find((value) => value)
      : readText(keyFile, true).trim()
  if (!key) {
    throw usageError(
      'The key of the remote is missing',
      `Set SUPABASE_SECRET_KEY or SUPABASE_PUBLISHABLE_KEY in the environment or an --env FILE, or pass --key-file`,
    )
  }
  const token = read('TIDELOCK_ACCESS_TOKEN')
  given.output.keepSecret(key)
  given.output.keepSecret(token)
  return {
    url,
    key,
    schema: given.value('remote-schema') ?? 'public',
    fetch: given.remote.fetch,
    accessToken: token === undefined ? undefined : async () => token,
  }
}

/** Parses the `table=column,column` values of a repeatable option. Returns the columns by table, which must be one of `known` if that is given. */
export function byTable(
  given: Invocation,
  option: string,
  known?: readonly string[] | undefined,
): Map<string, readonly string[]> {
  const tables = new Map<string, readonly string[]>()
  for (const pair of given.values(option)) {
    const at = pair.indexOf('=')
    const columns = pair
      .slice(at + 1)
      .split(',')
      .map((column) => column.trim())
    if (at < 1 || columns.includes(''))
      throw usageError(`--${option} ${pair} is malformed`, `Write --${option} table=column`)
    const table = pair.slice(0, at).trim()
    if (known?.includes(table) === false)
      throw usageError(`--${option} names ${table}, which is none of the tables`, `They are ${known.join(', ')}`)
    tables.set(table, columns)
  }
  return tables
}

/** Splits a list of names such as `a,b`. */
export function names(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
