import type { Database } from '../api/database.js'
import { errorWith, invalid, type TidelockError } from '../base/errors.js'
import type { DatabaseClient } from '../instance/database-client.js'
import type { OpenOptions } from '../options/options.js'

// The option `dev`, and the hints for those who develop: in a module that few openings load.

declare const process: { readonly env: { readonly NODE_ENV?: string } }

/** Throws `invalid_argument` for the option `dev` in a program for users. */
export function checkDevelopment(): void {
  if (isDevelopment()) return
  throw invalid('dev: true is for development, and this is a production build or a public page', {
    details: { option: 'dev' },
    hint: 'Leave it out of what you deploy, as with dev: import.meta.env.DEV; elsewhere it works on localhost',
  })
}

/** Whether this is no production build; without a bundler, whether the page comes from this machine. */
function isDevelopment(): boolean {
  const mode = modeOfBuild()
  if (mode !== undefined) return mode !== 'production'
  const { location } = globalThis as { location?: { readonly hostname: string } }
  return location === undefined || /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname)
}

function modeOfBuild(): string | undefined {
  try {
    // Bundlers put the mode in place of this expression, also where there is no `process`. It must stay as it is.
    return process.env.NODE_ENV
  } catch {
    return undefined
  }
}

/**
 * Runs the opening of a database that tabs share, in one tab at a time: tabs that an edited migration reloads open it at once. The first of
 * them resets it, in several openings; the others find the database that fits.
 */
export function oneTabAtATime({ name, signal }: OpenOptions, opening: () => Promise<void>): Promise<void> {
  return navigator.locks.request(`tidelock/${name}/dev`, signal === undefined ? {} : { signal }, opening)
}

/**
 * Goes on after an opening that found a database which doesn't fit the migrations: with the option `dev`, starts the database over and
 * opens it again; else throws the error, with a hint for those who develop. `openAlone` opens another database object.
 */
export async function afterMisfit(
  misfit: TidelockError,
  options: OpenOptions,
  client: DatabaseClient,
  openAlone: (options: OpenOptions) => Promise<Database>,
  openAgain: () => Promise<void>,
): Promise<void> {
  if (options.dev !== true) throw isDevelopment() ? withHint(misfit) : misfit
  await startOver(options, openAlone)
  const message = `${misfit.message}: dev: true has reset the database; the data before is a safety snapshot`
  client.handle({ type: 'warning', detail: { code: misfit.code, message } })
  await openAgain()
}

function withHint(misfit: TidelockError): TidelockError {
  const advice = 'While you develop, open with dev: true, which resets the database, or call deleteDatabase(name)'
  return errorWith(misfit, { hint: misfit.hint === undefined ? advice : `${misfit.hint}. ${advice}` })
}

/** Replaces the data by what the seed and all migrations give. When that fails, the data is as before. */
async function startOver(options: OpenOptions, openAlone: (options: OpenOptions) => Promise<Database>): Promise<void> {
  const { name, functions, columnKey, integers, maxBytes, migrationsTable, thread, worker, wasm, signal } = options
  const same = { name, functions, columnKey, integers, maxBytes, migrationsTable, thread, worker, wasm, signal }
  const { migrations, migrate, outOfOrder, baseline, seed, storage, path, encryption, onWarning } = options
  // A tab that isn't reloaded yet has the database.
  const lock = options.tabs === 'shared' ? ({ onBusy: 'wait', ...options.lock } as const) : options.lock
  const history = { migrations, migrate, outOfOrder, baseline, seed }
  const fresh = await openAlone({ ...same, ...history, storage: 'memory', snapshots: false, onWarning })
  const file = await fresh.export().finally(() => fresh.close())
  const stored = await openAlone({ ...same, storage, path, encryption, lock, snapshots: false, onWarning })
  await stored.import(file, { force: true }).finally(() => stored.close())
}
