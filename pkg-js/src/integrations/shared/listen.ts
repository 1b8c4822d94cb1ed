import type { DatabaseEventMap } from '../../index.js'

/** What a component listens to: events of a database, and of the page. */
type ComponentListeners = { readonly [Type in keyof DatabaseEventMap]?: (event: DatabaseEventMap[Type]) => void } & {
  readonly online?: () => void
  readonly offline?: () => void
}

/** Adds listeners to a database, or to the page: on a server there is none. Returns a function that removes them. */
export function listen(target: EventTarget | typeof globalThis, listeners: ComponentListeners): () => void {
  const all = Object.entries(listeners) as [string, EventListener][]
  for (const entry of all) target.addEventListener?.(...entry)
  return () => {
    for (const entry of all) target.removeEventListener?.(...entry)
  }
}
