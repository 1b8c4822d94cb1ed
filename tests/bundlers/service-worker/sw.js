// The build puts the paths of all its files here, the wasm and the worker among them, and '/' for the page.
const files = []

addEventListener('install', (event) => event.waitUntil(caches.open('app').then((cache) => cache.addAll(files))))
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => event.respondWith(respond(event.request)))

async function respond(request) {
  // A server may send `Vary: Origin`, and scripts are requested with an Origin, but kept without one.
  const options = { ignoreVary: true, ignoreSearch: request.mode === 'navigate' }
  return (await caches.match(request, options)) ?? fetch(request)
}
