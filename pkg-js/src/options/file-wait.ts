import type { CoreOptions } from '../engine/core-options.js'

/** How long another worker, which ended, may keep the handles of its files. */
const blockedMs = 10_000

/** Returns how long an opening waits for files that another worker has open: no longer than for the lock. */
export function fileWaitMs({ onBusy, lockTimeoutMs }: Pick<CoreOptions, 'onBusy' | 'lockTimeoutMs'>): number {
  return onBusy === 'fail' ? blockedMs : Math.min(blockedMs, lockTimeoutMs)
}
