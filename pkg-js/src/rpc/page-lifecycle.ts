/** What a page says of its life, and of its network, to its worker, which hears nothing of it by itself, or not everywhere. */
export type Moment = 'visibilitychange' | 'pagehide' | 'pageshow' | 'online' | 'offline'

/**
 * Tells when this page is hidden, shown, or goes away, and when there is a network. A hint: what leaves a page in its last moments may not arrive any more. Gives the
 * function that ends it.
 */
export function watchPage(tell: (moment: Moment) => void): () => void {
  if (typeof document === 'undefined') return () => {}
  const listen = (event: Event) => {
    if (event.type === 'online' || event.type === 'offline') tell(event.type)
    else if (event.type === 'pagehide' || event.type === 'freeze') tell('pagehide')
    else tell(document.visibilityState === 'hidden' ? 'visibilitychange' : 'pageshow')
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
