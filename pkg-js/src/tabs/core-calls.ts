import type { Core } from '../engine/core.js'
import { bytes, callback, flag, list, maybe, number, object, text, type Validator, whole } from './validators.js'

/** The engine's methods that another tab may call: not those that open or close it or take a secret, nor those that need a permit. */
type CoreCall =
  | Extract<keyof Core, `${'migrations' | 'snapshots' | 'sync'}${string}`>
  | 'cancel'
  | 'databaseId'
  | 'dropCancel'
  | 'exportBytes'
  | 'exportSql'
  | 'flush'
  | 'health'
  | 'importBytes'
  | 'maintain'
  | 'persist'
  | 'rotateKey'

/** The validators of a call's arguments: a string in the place of bytes, or bytes in the place of a string, could end an instance. */
type ArgumentValidators = readonly Validator[] & { readonly isRepeatable?: true }

const once = (...validators: readonly Validator[]): ArgumentValidators => validators
/** For an idempotent method, which may be called again when it is unknown whether the first call ran. */
const repeatable = (...validators: readonly Validator[]): ArgumentValidators =>
  Object.assign(validators, { isRepeatable: true } as const)

const options = maybe(object({}))
const cancel = maybe(whole)

/** The methods that other tabs may call; a new one needs an entry here. */
export const coreCalls: Readonly<Record<CoreCall, ArgumentValidators>> = {
  cancel: once(whole),
  databaseId: repeatable(),
  dropCancel: once(whole),
  exportBytes: repeatable(),
  exportSql: repeatable(),
  flush: repeatable(),
  health: repeatable(options),
  importBytes: once(bytes, options, cancel),
  maintain: repeatable(list(object({})), cancel),
  migrationsBaseline: once(text, options),
  migrationsDrift: repeatable(maybe(bytes), options),
  migrationsDrop: once(options),
  migrationsForget: once(text, options),
  migrationsGenerate: repeatable(text, list(text), options),
  migrationsLint: repeatable(),
  migrationsRedo: once(options),
  migrationsReset: once(options),
  migrationsRevert: once(options),
  migrationsRun: once(options),
  migrationsStatus: repeatable(),
  migrationsSync: once(text, options),
  persist: repeatable(),
  rotateKey: repeatable(cancel),
  snapshotsCreate: once(options),
  snapshotsDelete: once(text),
  snapshotsExport: repeatable(text, flag),
  snapshotsExportAt: repeatable(number, options),
  snapshotsHistory: repeatable(whole),
  snapshotsImport: once(bytes, maybe(text), cancel),
  snapshotsList: repeatable(),
  snapshotsPrune: repeatable(),
  snapshotsRestore: once(text, options),
  snapshotsRestoreAt: once(number, options),
  snapshotsStatus: repeatable(),
  snapshotsVerify: repeatable(text),
  syncConflicts: repeatable(number),
  syncDiscard: once(text, options),
  syncEnqueue: once(text, options),
  syncPending: repeatable(),
  syncPull: repeatable(options, callback, cancel),
  syncPush: repeatable(callback, cancel),
  syncReady: repeatable(),
  syncRejected: repeatable(),
  syncRetry: once(text, options),
  syncStart: repeatable(number, maybe(number), maybe(flag)),
  syncStatus: repeatable(),
  syncStop: repeatable(maybe(number), maybe(flag)),
  syncUser: repeatable(flag),
}

/** Whether a method of the engine may be called again when it is unknown whether the first call ran. */
export function isRepeatable(method: string): boolean {
  return Object.hasOwn(coreCalls, method) && coreCalls[method as CoreCall].isRepeatable === true
}
