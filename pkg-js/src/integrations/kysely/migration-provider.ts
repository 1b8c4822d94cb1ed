import type { Kysely } from 'kysely'
import { TidelockError } from '../../index.js'

/** A migration of Kysely. */
export interface KyselyMigration {
  // Kysely's own type: a migration runs before and after the tables change.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  up(db: Kysely<any>): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: see above
  down?(db: Kysely<any>): Promise<void>
}

/** What Kysely's `Migrator` takes as `provider`. */
export interface KyselyMigrationProvider {
  getMigrations(): Promise<Record<string, KyselyMigration>>
}

const eager =
  "With Vite, pass import.meta.glob('./migrations/*.ts'); each file exports up() and, if it can be undone, down()"

/**
 * Makes the `provider` of Kysely's `Migrator` from modules by path, such as the result of a bundler's glob: loaded ones or functions that
 * load them. The name of a migration is that of its file, without folders and extension.
 *
 * `getMigrations` rejects with `migration_invalid` (`details.file`) for a module without `up`, and for two files of the same name. Throws
 * `invalid_argument` for an argument that isn't an object of modules by path.
 *
 * @example
 * ```ts
 * const migrator = new Migrator({ db: kysely, provider: migrationProvider(import.meta.glob('./migrations/*.ts')) })
 * const { error } = await migrator.migrateToLatest()
 * ```
 */
export function migrationProvider(modules: Readonly<Record<string, unknown>>): KyselyMigrationProvider {
  if (typeof modules !== 'object' || modules === null || Symbol.iterator in modules)
    throw new TidelockError('invalid_argument', 'migrationProvider needs an object of modules by path', { hint: eager })
  return {
    async getMigrations() {
      const migrations: Record<string, KyselyMigration> = {}
      for (const [file, given] of Object.entries(modules)) {
        const name = file.replace(/^.*[\\/]/, '').replace(/\.[cm]?[jt]s$/, '')
        if (Object.hasOwn(migrations, name)) throw refused(file, 'another file has the same name', 'Rename one of them')
        migrations[name] = migrationOf(file, typeof given === 'function' ? await given() : given)
      }
      return migrations
    },
  }
}

function migrationOf(file: string, module: { default?: unknown } | undefined): KyselyMigration {
  for (const candidate of [module, module?.default] as (Partial<KyselyMigration> | undefined)[])
    if (typeof candidate?.up === 'function') return candidate as KyselyMigration
  throw refused(file, 'it has no function up', eager)
}

function refused(file: string, why: string, hint: string): TidelockError {
  return new TidelockError('migration_invalid', `The migration file ${file} can't be used: ${why}`, {
    details: { file },
    hint,
  })
}
