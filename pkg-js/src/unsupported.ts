import { unavailable } from './errors.js'

// Parts of the public contract that this build doesn't have yet. They exist so that a program learns it from a typed error.

/** Probes browser and remote. Not available in this build: rejects with `unsupported_environment`. */
export async function doctor(_options?: object): Promise<never> {
  throw unavailable('doctor')
}

/** Gives SQL for the remote project. Not available in this build: throws `unsupported_environment`. */
export function sqlHelpers(_options: { readonly tables: readonly string[] }): never {
  throw unavailable('sqlHelpers')
}

/** Gives the local migration for remote tables. Not available in this build: rejects with `unsupported_environment`. */
export async function schemaFromRemote(_options: { readonly url: string; readonly key: string }): Promise<never> {
  throw unavailable('schemaFromRemote')
}
