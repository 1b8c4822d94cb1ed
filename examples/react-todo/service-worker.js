// The build puts the paths of all its files here, the wasm and the worker among them, and '/' for the page.
const files = []

addEventListener('install', (event) => event.waitUntil(caches.open('app').then((cache) => cache.addAll(files))))
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (new URL(event.request.url).origin === location.origin) event.respondWith(respond(event.request))
})

async function respond(request) {
  // Vite's scripts are requested with an Origin, and kept without: servers that send `Vary: Origin` would set them apart.
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request)
}
