import { unavailable } from './errors.js'
import type { Migration } from './migrations.js'

// Parts of the public contract that this build doesn't have yet. They exist so that a program learns it from a typed error.

/** Gives SQL for the remote project. Not available in this build: throws `unsupported_environment`. */
export function sqlHelpers(_options: { readonly tables: readonly string[] }): never {
  throw unavailable('sqlHelpers')
}

/** Gives the local migration for remote tables. Not available in this build: rejects with `unsupported_environment`. */
export async function schemaFromRemote(_options: { readonly url: string; readonly key: string }): Promise<Migration> {
  throw unavailable('schemaFromRemote')
}
