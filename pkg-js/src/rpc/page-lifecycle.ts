/** Lifecycle and network events that a page forwards to its worker, where browsers don't fire them, or not all. */
export type LifecycleEvent = 'visibilitychange' | 'pagehide' | 'pageshow' | 'online' | 'offline'

/**
 * Calls `report` when the page is hidden, shown or unloaded, and when the network comes or goes. These are hints: a message of an unloading
 * page may not arrive. Returns the function that stops watching.
 */
export function watchPage(report: (event: LifecycleEvent) => void): () => void {
  if (typeof document === 'undefined') return () => {}
  const listen = (event: Event) => {
    if (event.type === 'online' || event.type === 'offline') report(event.type)
    else if (event.type === 'pagehide' || event.type === 'freeze') report('pagehide')
    else report(document.visibilityState === 'hidden' ? 'visibilitychange' : 'pageshow')
  }
  const watched: [EventTarget, string][] = [
    ...['pagehide', 'pageshow', 'online', 'offline'].map((type): [EventTarget, string] => [
      globalThis as unknown as EventTarget,
      type,
    ]),
    ...['visibilitychange', 'freeze', 'resume'].map((type): [EventTarget, string] => [document, type]),
  ]
  for (const [target, type] of watched) target.addEventListener(type, listen)
  return () => {
    for (const [target, type] of watched) target.removeEventListener(type, listen)
  }
}
