// Opens the database, then shows the app, or the reason why it can't be shown.
import * as tidelock from 'tidelock'
import { openDatabase } from './database.ts'
import { fill, h } from './dom.ts'
import { frame } from './frame.ts'
import { busyScreen, failedScreen } from './screens.ts'

const root = document.querySelector<HTMLElement>('#app') as HTMLElement

async function start(wait = false): Promise<void> {
  root.setAttribute('aria-busy', 'true')
  fill(
    root,
    h(
      'div',
      { class: 'opening' },
      h('div', { class: 'spinner' }),
      wait ? 'Waiting for the other tab…' : 'Opening the database…',
    ),
  )
  try {
    const started = performance.now()
    const db = await openDatabase(wait)
    const openedIn = performance.now() - started
    Object.assign(window, { db, tidelock }) // for experiments in the console
    fill(root, frame(db, openedIn))
    db.addEventListener('close', () => location.reload())
  } catch (error) {
    const busy = tidelock.isTidelockError(error, 'database_in_use') || tidelock.isTidelockError(error, 'lock_timeout')
    fill(root, busy ? busyScreen(error, start) : failedScreen(error, start))
  } finally {
    root.removeAttribute('aria-busy')
  }
}

await start()
