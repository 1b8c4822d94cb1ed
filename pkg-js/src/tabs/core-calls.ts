import type { Core } from '../engine/core.js'
import { bytes, callback, flag, list, maybe, number, object, type Shape, text, whole } from './shape.js'

/** The engine's own methods that another tab may call: not those that open, close or secure it, nor those that need the mutex. */
type CoreCall =
  | Extract<keyof Core, `${'migrations' | 'snapshots' | 'sync'}${string}`>
  | 'cancel'
  | 'dropCancel'
  | 'exportBytes'
  | 'exportSql'
  | 'flush'
  | 'health'
  | 'importBytes'
  | 'maintain'
  | 'persist'

/** The forms of a call's arguments: a string where bytes are expected, or the other way round, could end an instance. */
type CoreForm = readonly Shape[] & { readonly isRepeatable?: true }

const once = (...forms: readonly Shape[]): CoreForm => forms
/** It may be called again after nobody knows whether it was, because it only reads, or because twice is as good as once. */
const repeatable = (...forms: readonly Shape[]): CoreForm => Object.assign(forms, { isRepeatable: true } as const)

const options = maybe(object({}))
const cancel = maybe(whole)

/** A new method of the engine that tabs may call is one here. */
export const coreCalls: Readonly<Record<CoreCall, CoreForm>> = {
  cancel: once(whole),
  dropCancel: once(whole),
  exportBytes: repeatable(),
  exportSql: repeatable(),
  flush: repeatable(),
  health: repeatable(options),
  importBytes: once(bytes, options, cancel),
  maintain: repeatable(list(object({})), cancel),
  migrationsBaseline: once(text),
  migrationsDrift: repeatable(maybe(bytes)),
  migrationsDrop: once(),
  migrationsForget: once(text),
  migrationsGenerate: repeatable(text, list(text)),
  migrationsLint: repeatable(),
  migrationsRedo: once(),
  migrationsReset: once(),
  migrationsRevert: once(options),
  migrationsRun: once(options),
  migrationsStatus: repeatable(),
  migrationsSync: once(text),
  persist: repeatable(),
  snapshotsCreate: once(options),
  snapshotsDelete: once(text),
  snapshotsExport: repeatable(text, flag),
  snapshotsImport: once(bytes, maybe(text), cancel),
  snapshotsList: repeatable(),
  snapshotsPrune: repeatable(),
  snapshotsRestore: once(text, options),
  snapshotsRestoreAt: once(number, options),
  snapshotsStatus: repeatable(),
  snapshotsVerify: repeatable(text),
  syncConflicts: repeatable(number),
  syncDiscard: once(text),
  syncEnqueue: once(text),
  syncPending: repeatable(),
  syncPull: repeatable(options, callback, cancel),
  syncPush: repeatable(callback, cancel),
  syncReady: repeatable(),
  syncRejected: repeatable(),
  syncRetry: once(text),
  syncStart: repeatable(number),
  syncStatus: repeatable(),
  syncStop: repeatable(),
}

/** Whether a method of the engine may be called again after nobody knows whether it was. */
export function isRepeatable(method: string): boolean {
  return Object.hasOwn(coreCalls, method) && coreCalls[method as CoreCall].isRepeatable === true
}
