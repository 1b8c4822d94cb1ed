/**
 * tidelock/drizzle: a driver for Drizzle ORM.
 *
 * @packageDocumentation
 */

export { drizzle, TidelockDatabase, type TidelockDrizzleConfig } from './database.js'
export { type DrizzleJournal, type DrizzleMigrations, migrate } from './migrate.js'
