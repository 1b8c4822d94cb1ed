import type { Database } from '../api/database.js'
import type { Health } from '../api/health.js'
import type { MigrationStatus } from '../api/migrations.js'
import { errorWith, invalid, isTidelockError } from '../base/errors.js'
import type { OpenOptions } from '../options/options.js'
import { open } from './open.js'

/** What {@link openGroup} takes: the options of {@link open}, each under the name by which the group knows that database. */
export type GroupOptions = Readonly<Record<string, OpenOptions>>

/** Whether a database of a group can be used. `failed`: closed, lock lost, or can't be written. */
export type GroupMemberState = 'connected' | 'failed'

/** The health of all databases of a group. */
export interface GroupHealth<Name extends string = string> {
  /** The worst of them. */
  readonly status: Health['status']
  readonly databases: Readonly<Record<Name, GroupMemberState>>
  /** ISO 8601, UTC. */
  readonly timestamp: string
  /** What each says about itself. */
  readonly details: Readonly<Record<Name, Health>>
}

/** What a group does besides giving its databases. */
export interface GroupCalls<Name extends string = string> {
  /** The health of each, and the worst of them all. Never rejects. */
  health(): Promise<GroupHealth<Name>>
  readonly migrations: {
    /** The migrations of each database, a row a version. Rejects with the code of the first that can't tell, `closed` for example. */
    status(): Promise<Record<Name, readonly MigrationStatus[]>>
  }
  /**
   * Closes them all, the last opened first, also when one of them fails to; rejects then with the first failure. A second call is the first one.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Several databases that were opened together, each under its name in the group. */
export type Group<Options extends GroupOptions = GroupOptions> = {
  readonly [Name in keyof Options]: Database
} & GroupCalls<keyof Options & string>

const taken: readonly string[] = ['health', 'migrations', 'close', 'then']

/**
 * Opens several databases. Their locks are taken in the order of the databases' names, whatever the order of the options,
 * so that two tabs that open the same group never wait for each other.
 *
 * If one fails to open, those that are open are closed and their locks released, and the call rejects with that one's error, whose
 * `details.database` is the name in the group. Two of one name, or a name in the group that the group needs itself (`health`,
 * `migrations`, `close`, `then`): `invalid_argument`.
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
  for (const [member, each] of inLockOrder(options)) {
    try {
      opened.push([member, await open(each)])
    } catch (error) {
      // What went wrong at opening is what the caller must know; a failure to close wouldn't tell more.
      await closeAll(opened).catch(() => {})
      throw naming(error, member)
    }
  }
  return Object.freeze({ ...Object.fromEntries(opened), ...groupCalls(opened) }) as Group<Options>
}

/** What to open, in the order of the databases' names, compared by code units: the same in every tab, whatever its language. */
function inLockOrder(options: GroupOptions): [string, OpenOptions][] {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalid('openGroup needs an object: { name in the group: options of open }')
  const members = Object.entries(options)
  if (members.length === 0) throw invalid('openGroup needs at least one database')
  const names = new Map<unknown, string>()
  for (const [member, given] of members) {
    if (taken.includes(member)) {
      throw invalid(`A database can't be called '${member}' in a group: that is the group's own`, {
        hint: 'Give it another key; its name may stay',
        details: { database: member },
      })
    }
    const name: unknown = given?.name
    const other = names.get(name)
    if (other !== undefined && name !== undefined) {
      throw invalid(`'${other}' and '${member}' are the same database, '${name}'`, {
        details: { database: member },
        hint: 'Give each a name of its own',
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
  /** What each database answers, under its name in the group. */
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

/** Closes them, the last first, one after the other; tells the first failure when all are closed. */
async function closeAll(opened: readonly [string, Database][]): Promise<void> {
  const failures: unknown[] = []
  for (const [member, database] of [...opened].reverse()) {
    try {
      await database.close()
    } catch (error) {
      failures.push(naming(error, member))
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** The error, with the name in the group that it is about. What isn't ours (the reason of a signal) stays what it is. */
function naming(error: unknown, member: string): unknown {
  if (!isTidelockError(error)) return error
  return errorWith(error, { details: { database: member } })
}
