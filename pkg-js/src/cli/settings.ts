import { parseEnv } from 'node:util'
import { type Invocation, misuse, type OptionSpec } from './command.js'
import { readText } from './read.js'

/** The options of commands that talk to a remote. */
export const remoteOptions: Readonly<Record<string, OptionSpec>> = {
  url: { value: 'URL', about: 'the Supabase project or PostgREST root; else SUPABASE_URL' },
  'key-file': { value: 'FILE', about: 'a file with the API key; else SUPABASE_SECRET_KEY, _PUBLISHABLE_KEY, ...' },
  env: { value: 'FILE', about: 'a file with SUPABASE_URL and the key, as .env' },
  'remote-schema': { value: 'NAME', about: "the remote's schema; 'public' by default" },
}

const prefixes = ['', 'VITE_', 'NEXT_PUBLIC_', 'PUBLIC_']
/** The one that may do most comes first: this is a developer's machine, not a page. */
const keyNames = ['SECRET_KEY', 'SERVICE_ROLE_KEY', 'PUBLISHABLE_KEY', 'ANON_KEY']

/** Where the remote is and how to get in. The key goes nowhere but into requests. */
export interface Endpoint {
  readonly url: string
  readonly key: string
  readonly schema: string
  readonly accessToken?: () => Promise<string>
}

/** The remote that the options or the environment name. Fails with `invalid_argument` naming what is missing. */
export function endpoint(given: Invocation): Endpoint {
  const file = given.value('env')
  const env = file === undefined ? given.env : { ...given.env, ...parseEnv(readText(file, true)) }
  const read = (name: string) => prefixes.map((prefix) => env[prefix + name]?.trim()).find((value) => value)
  const url = given.value('url') ?? read('SUPABASE_URL')
  if (url === undefined)
    throw misuse('There is no remote', 'Give --url, or set SUPABASE_URL in the environment or an --env FILE')
  const keyFile = given.value('key-file')
  const key =
    keyFile === undefined
      ? keyNames.map((name) => read(`SUPABASE_${name}`)).find((value) => value)
      : readText(keyFile, true).trim()
  if (!key) {
    throw misuse(
      'There is no key for the remote',
      `Set SUPABASE_SECRET_KEY or SUPABASE_PUBLISHABLE_KEY in the environment or an --env FILE, or give --key-file`,
    )
  }
  const token = read('TIDELOCK_ACCESS_TOKEN')
  given.output.keepSecret(key)
  given.output.keepSecret(token)
  return {
    url,
    key,
    schema: given.value('remote-schema') ?? 'public',
    ...(token === undefined ? {} : { accessToken: async () => token }),
  }
}

/** `a=b,c` pairs of a repeatable option: columns by table. */
export function byTable(given: Invocation, option: string): Map<string, readonly string[]> {
  const tables = new Map<string, readonly string[]>()
  for (const pair of given.values(option)) {
    const at = pair.indexOf('=')
    const columns = pair
      .slice(at + 1)
      .split(',')
      .map((column) => column.trim())
    if (at < 1 || columns.includes(''))
      throw misuse(`--${option} ${pair} is not understood`, `It is written --${option} table=column`)
    tables.set(pair.slice(0, at).trim(), columns)
  }
  return tables
}

/** `a,b` → its names. */
export function names(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
