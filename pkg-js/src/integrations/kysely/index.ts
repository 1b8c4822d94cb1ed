/**
 * tidelock/kysely: a dialect for Kysely, the query builder.
 *
 * @packageDocumentation
 */

export { TidelockDialect, type TidelockDialectConfig } from './dialect.js'
export { type KyselyMigration, type KyselyMigrationProvider, migrationProvider } from './migration-provider.js'
