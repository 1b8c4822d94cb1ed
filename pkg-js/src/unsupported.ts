import { unavailable } from './errors.js'

// Parts of the public contract that this build doesn't have yet. They exist so that a program learns it from a typed error.

/** Probes browser and remote. Not available in this build: rejects with `unsupported_environment`. */
export async function doctor(_options?: object): Promise<never> {
  throw unavailable('doctor')
}
