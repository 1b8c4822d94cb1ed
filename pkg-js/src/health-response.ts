import type { Health } from './health.js'

/**
 * The health of a database, or of a group, as an HTTP response, for a service worker or a Node route at `/health`: 200, or 503 when it has failed.
 *
 * @example
 * ```ts
 * self.addEventListener('fetch', (event) => {
 *   if (new URL(event.request.url).pathname === '/health') event.respondWith(healthResponse(db))
 * })
 * ```
 */
export async function healthResponse(db: { health(): Promise<Pick<Health, 'status'>> }): Promise<Response> {
  const health = await db.health()
  return new Response(JSON.stringify(health), {
    status: health.status === 'failed' ? 503 : 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  })
}
