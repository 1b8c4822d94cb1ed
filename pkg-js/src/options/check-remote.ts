import { checkEach, checkString, checkStrings } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CoreRemoteOptions } from '../engine/core-options.js'
import type { ConflictPolicy, RemoteOptions, TableSync } from '../remote/remote-options.js'
import { checkUrl, maxResponseBytes } from '../remote/rest.js'
import { accessOf } from '../remote/supabase-client.js'
import {
  boolean,
  byDefault,
  callback,
  complete,
  integer,
  numberIn,
  oneOf,
  type Rule,
  type Rules,
  required,
  text,
  texts,
  textsByName,
} from './rule.js'

// The option `remote`: what each of its options may be, and its default. What the key and the tables mean is checked by the engine.

const remoteType = oneOf('text', 'int8', 'numeric', 'float8', 'bool', 'json', 'bytea', 'array', 'timestamptz')
const policies: readonly unknown[] = ['keep-local', 'remote-wins', 'last-write-wins']

export const tableRules = {
  table: required(text),
  remoteTable: text,
  primaryKey: {
    check: (option, value) => (typeof value === 'string' ? [checkString(option, value)] : checkStrings(option, value)),
  },
  columns: texts,
  types: {
    check: (option, value) => {
      const types = textsByName.check(option, value)
      for (const [column, type] of Object.entries(types)) remoteType.check(`${option}.${column}`, type)
      return types
    },
  },
  filter: {
    // A function stays in this thread: the engine calls it back by the name of the table.
    check: (option, value) => (typeof value === 'function' ? 'function' : textsByName.check(option, value)),
  },
  cursor: text,
  overlapMs: integer(0),
  deleted: text,
  conflict: {
    // A function stays in this thread: the engine calls it back by the name of the table.
    check: (option, value) => {
      if (typeof value === 'function') return 'function'
      if (policies.includes(value)) return value as ConflictPolicy
      throw invalid(`${option} must be 'keep-local' or 'remote-wins' or 'last-write-wins' or a function`, {
        details: { option },
      })
    },
  },
  direction: oneOf('both', 'pull', 'push'),
} satisfies Rules<TableSync>

const tables: Rule<readonly object[]> = {
  check: (option, value) =>
    checkEach(option, value, "an array of table names or { table: '...' }", (table, index) =>
      checkTable(`${option}[${index}]`, table),
    ),
}

function checkTable(option: string, table: unknown): object {
  if (typeof table === 'string') return { table: checkString(option, table) }
  const { filter, ...plain } = complete(option, table, tableRules)
  if (filter === undefined) return plain
  return filter === 'function' ? { ...plain, hasFilterFunction: true } : { ...plain, filter }
}

export const remoteRules = {
  client: {
    check: (_, value) => {
      accessOf(value)
      return value
    },
  },
  url: { check: (_, value) => checkUrl(value) },
  key: text,
  accessToken: callback,
  perUser: byDefault(false, boolean),
  userId: text,
  schema: byDefault('public', text),
  tables: required(tables),
  pageSize: byDefault(1000, integer(1)),
  fetch: callback,
  headers: byDefault({}, textsByName),
  retries: byDefault(5, integer(0)),
  timeoutMs: byDefault(30_000, integer(1)),
  maxResponseBytes: byDefault(maxResponseBytes, integer(1)),
  maxDeleteRatio: byDefault(
    0.5,
    numberIn('from 0 to 1', (value) => value >= 0 && value <= 1),
  ),
  realtime: byDefault(false, boolean),
} satisfies Rules<RemoteOptions>

/**
 * Checks the option `remote`, whose client has been resolved, and completes it. `secretsAllowed`: a secret key may be here. Throws
 * `invalid_argument`.
 */
export function checkRemote(remote: unknown, secretsAllowed: boolean): CoreRemoteOptions {
  const {
    url,
    key,
    accessToken,
    fetch: _,
    perUser: __,
    client: ___,
    ...plain
  } = complete('remote', remote, remoteRules)
  return {
    ...plain,
    url: checkUrl(url),
    key: checkString('remote.key', key),
    hasAccessToken: accessToken !== undefined,
    secretsAllowed,
  }
}
