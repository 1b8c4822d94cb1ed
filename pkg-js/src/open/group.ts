import type { Database } from '../api/database.js'
import { reading } from '../base/check.js'
import { errorWith, invalid, isTidelockError } from '../base/errors.js'
import type { Health, MigrationStatus } from '../base/generated-types.js'
import type { OpenOptions } from '../options/options.js'
import { open } from './open.js'

/** The argument of {@link openGroup}: the options of {@link open} for each database, by its name in the group. */
export type GroupOptions = Readonly<Record<string, OpenOptions>>

/** The state of a database in a group. `failed`: it is closed, has lost its lock, or can't be written. */
export type GroupMemberState = 'connected' | 'failed'

/** The health of all databases of a group. */
export interface GroupHealth<Name extends string = string> {
  /** The worst status of the databases. */
  readonly status: Health['status']
  /** The state of each database. */
  readonly databases: Readonly<Record<Name, GroupMemberState>>
  /** The time of the report: ISO 8601, UTC. */
  readonly timestamp: string
  /** The health of each database. */
  readonly details: Readonly<Record<Name, Health>>
}

/** The calls of a group. */
export interface GroupCalls<Name extends string = string> {
  /** Returns the health of each database, and the worst status. Never rejects. */
  health(): Promise<GroupHealth<Name>>
  readonly migrations: {
    /** Returns the migrations of each database, one row for each version. Rejects with the first error, such as `closed`. */
    status(): Promise<Record<Name, readonly MigrationStatus[]>>
  }
  /**
   * Closes all databases, the last opened first. When closing one fails, the others are still closed, and the call rejects with the first
   * error. Idempotent.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Several open databases, each under its name in the group: the result of {@link openGroup}. */
export type Group<Options extends GroupOptions = GroupOptions> = {
  readonly [Name in keyof Options]: Database
} & GroupCalls<keyof Options & string>

const reserved: readonly string[] = ['health', 'migrations', 'close', 'then']

/**
 * Opens several databases. Takes their locks in the order of the databases' names, so that two tabs that open the same group can't deadlock.
 *
 * When one database fails to open, the open ones are closed, their locks are released, and the call rejects with the error of that database;
 * `details.database` is its name in the group. Rejects with `invalid_argument` for two databases of the same name, and for the reserved
 * names `health`, `migrations`, `close` and `then`.
 *
 * @example
 * ```ts
 * const group = await openGroup({ primary: { name: 'shop', migrations }, data: { name: 'catalogue', seed: '/catalogue.sqlite' } })
 * await group.primary.run('INSERT INTO orders(item) VALUES (?)', [1])
 * const { status, databases } = await group.health() // 'ok', { primary: 'connected', data: 'connected' }
 * ```
 */
export async function openGroup<const Options extends GroupOptions>(options: Options): Promise<Group<Options>> {
  const opened: [string, Database][] = []
  for (const [member, each] of reading('The argument of openGroup', () => inLockOrder(options))) {
    try {
      opened.push([member, await open(each)])
    } catch (error) {
      // Report the error of opening, which is the cause; errors of closing are dropped.
      await closeAll(opened).catch(() => {})
      throw withMember(error, member)
    }
  }
  return Object.freeze({ ...Object.fromEntries(opened), ...groupCalls(opened) }) as Group<Options>
}

/** Returns the members sorted by database name. Names are compared by code units, so that the order doesn't depend on the language. */
function inLockOrder(options: GroupOptions): [string, OpenOptions][] {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalid('openGroup needs an object: { name in the group: options of open }')
  const members = Object.entries(options)
  if (members.length === 0) throw invalid('openGroup needs at least one database')
  const names = new Map<unknown, string>()
  for (const [member, given] of members) {
    if (reserved.includes(member)) {
      throw invalid(`'${member}' is a reserved name in a group`, {
        hint: 'Use another key; the database can keep its name',
        details: { database: member },
      })
    }
    const name: unknown = given?.name
    const other = names.get(name)
    if (other !== undefined && name !== undefined) {
      throw invalid(`'${other}' and '${member}' are the same database, '${name}'`, {
        details: { database: member },
        hint: 'Give each database its own name',
      })
    }
    names.set(name, member)
  }
  return members.sort(([, a], [, b]) => (String(a?.name) < String(b?.name) ? -1 : 1))
}

function groupCalls(opened: readonly [string, Database][]): GroupCalls {
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= closeAll(opened)
    return closing
  }
  /** Calls a function for each database. Returns the results by name in the group. */
  const each = async <T>(ask: (database: Database) => Promise<T>) =>
    Object.fromEntries(
      await Promise.all(opened.map(async ([member, database]) => [member, await ask(database)] as const)),
    )
  return {
    async health() {
      const details = await each((database) => database.health())
      const all = Object.values(details).map(({ status }) => status)
      return {
        status: all.includes('failed') ? 'failed' : all.includes('degraded') ? 'degraded' : 'ok',
        databases: Object.fromEntries(
          Object.entries(details).map(([member, { status }]) => [member, status === 'failed' ? 'failed' : 'connected']),
        ),
        timestamp: new Date().toISOString(),
        details,
      }
    },
    migrations: Object.freeze({ status: () => each((database) => database.migrations.status()) }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Closes databases one at a time, the last opened first. Rejects with the first error when all are closed. */
async function closeAll(opened: readonly [string, Database][]): Promise<void> {
  const failures: unknown[] = []
  for (const [member, database] of [...opened].reverse()) {
    try {
      await database.close()
    } catch (error) {
      failures.push(withMember(error, member))
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** Adds the name in the group to the error of a database. Other values, such as the reason of a signal, stay unchanged. */
function withMember(error: unknown, member: string): unknown {
  if (!isTidelockError(error)) return error
  return errorWith(error, { details: { database: member } })
}
