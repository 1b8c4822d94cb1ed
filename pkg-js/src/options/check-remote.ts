import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkString,
  checkStrings,
  lacking,
  optional,
} from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CoreRemoteOptions } from '../engine/core.js'
import { checkUrl, maxResponseBytes } from '../remote/rest.js'

const remoteTypes = ['text', 'int8', 'numeric', 'float8', 'bool', 'json', 'bytea', 'array', 'timestamptz'] as const

const remoteKeys = [
  'url',
  'key',
  'accessToken',
  'userId',
  'schema',
  'tables',
  'pageSize',
  'fetch',
  'headers',
  'retries',
  'timeoutMs',
  'maxResponseBytes',
  'maxDeleteRatio',
  'realtime',
]

const tableKeys = [
  'table',
  'remoteTable',
  'primaryKey',
  'columns',
  'types',
  'filter',
  'cursor',
  'overlapMs',
  'deleted',
  'conflict',
  'direction',
]

/**
 * Checks the option `remote`; what the key and the tables mean is checked by the wasm module. `secretsAllowed`: a secret key may be
 * here. Fails with `invalid_argument`.
 */
export function checkRemote(remote: unknown, secretsAllowed: boolean): CoreRemoteOptions {
  const given = checkObject('remote', remote, remoteKeys, ['client'])
  if (given.accessToken !== undefined) checkFunction('remote.accessToken', given.accessToken)
  if (given.fetch !== undefined) checkFunction('remote.fetch', given.fetch)
  if (!Array.isArray(given.tables)) {
    throw invalid("remote.tables must be an array of table names or { table: '...' }", {
      details: { option: 'remote.tables' },
    })
  }
  return {
    url: checkUrl(given.url),
    key: checkString('remote.key', given.key),
    schema: checkString('remote.schema', given.schema ?? 'public'),
    tables: given.tables.map((table: unknown, index) => checkTable(table, index)),
    pageSize: checkInteger('remote.pageSize', given.pageSize ?? 1000, 1),
    headers: checkTexts('remote.headers', given.headers ?? {}),
    retries: checkInteger('remote.retries', given.retries ?? 5, 0),
    timeoutMs: checkInteger('remote.timeoutMs', given.timeoutMs ?? 30_000, 1),
    maxResponseBytes: checkInteger('remote.maxResponseBytes', given.maxResponseBytes ?? maxResponseBytes, 1),
    maxDeleteRatio: checkRatio('remote.maxDeleteRatio', given.maxDeleteRatio ?? 0.5),
    realtime: checkBoolean('remote.realtime', given.realtime ?? false),
    hasAccessToken: given.accessToken !== undefined,
    secretsAllowed,
    userId: optional('remote.userId', given.userId, checkString),
  }
}

function checkTable(table: unknown, index: number): object {
  const at = `remote.tables[${index}]`
  if (typeof table === 'string') return { table: checkString(at, table) }
  const given = checkObject(at, table, tableKeys)
  const checked: Record<string, unknown> = { table: checkString(`${at}.table`, given.table) }
  for (const key of ['remoteTable', 'cursor', 'deleted'] as const) {
    if (given[key] !== undefined) checked[key] = checkString(`${at}.${key}`, given[key])
  }
  if (given.primaryKey !== undefined) {
    const key = given.primaryKey
    checked.primaryKey =
      typeof key === 'string' ? [checkString(`${at}.primaryKey`, key)] : checkStrings(`${at}.primaryKey`, key)
  }
  if (given.columns !== undefined) checked.columns = checkStrings(`${at}.columns`, given.columns)
  if (given.types !== undefined) {
    const types = checkTexts(`${at}.types`, given.types)
    for (const [column, type] of Object.entries(types)) checkOneOf(`${at}.types.${column}`, type, remoteTypes)
    checked.types = types
  }
  if (typeof given.filter === 'function') throw lacking(`${at}.filter as a function`, `${at}.filter`)
  if (given.filter !== undefined) checked.filter = checkTexts(`${at}.filter`, given.filter)
  if (given.overlapMs !== undefined) checked.overlapMs = checkInteger(`${at}.overlapMs`, given.overlapMs, 0)
  if (typeof given.conflict === 'function') {
    // It stays here and is called back by the table's name.
    checked.conflict = 'function'
  } else if (given.conflict !== undefined) {
    checked.conflict = checkOneOf(`${at}.conflict`, given.conflict, ['keep-local', 'remote-wins', 'last-write-wins'])
  }
  if (given.direction !== undefined)
    checked.direction = checkOneOf(`${at}.direction`, given.direction, ['both', 'pull', 'push'])
  return checked
}

function checkTexts(what: string, value: unknown): Readonly<Record<string, string>> {
  if (
    typeof value !== 'object' ||
    value === null ||
    Array.isArray(value) ||
    Object.values(value).some((one) => typeof one !== 'string')
  ) {
    throw invalid(`${what} must be an object of strings`, { details: { option: what } })
  }
  return { ...(value as Record<string, string>) }
}

function checkRatio(what: string, value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw invalid(`${what} must be a number from 0 to 1`, { details: { option: what } })
  }
  return value
}
