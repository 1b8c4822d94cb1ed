// Restores with a second question, where that drops unsent changes.
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import { isTidelockError } from '../tidelock.js'

/** Restores, and asks again where changes that were never sent would be dropped. */
export async function restoring(context: Context, restore: (force: boolean) => Promise<void>): Promise<void> {
  try {
    await restore(false)
  } catch (error) {
    if (!isTidelockError(error, 'unpushed_changes')) throw error
    const text = `${error.message}. Those made before that state are in the list of rejected changes then, later ones only in the safety snapshot.`
    if (await confirmed(context.host, 'Restore in spite of unsent changes?', text, 'Restore')) return restore(true)
    throw error
  }
}
