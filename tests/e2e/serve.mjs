// A static server for pages under test: a few folders and a few made-up files, on a free loopback port.
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/**
 * Serves → `{ url, close() }`. `folders` maps a path prefix (`'/'`, `'/tidelock/'`) to a folder, the longest prefix first;
 * `files` maps a path to its text. `headersOf(path)` gives headers for a file of a folder, in addition. No COOP or COEP headers: users
 * have none either.
 */
export async function serve({ folders = {}, files = {}, port = 0, headersOf = () => ({}) }) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length)
  const server = http.createServer(async (request, response) => {
    const pathname = decodeURIComponent(new URL(request.url, 'http://server').pathname)
    const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname
    const headers = {
      'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream',
      'cache-control': 'no-store',
    }
    if (files[name] !== undefined) return void response.writeHead(200, headers).end(files[name])
    const prefix = prefixes.find((candidate) => name.startsWith(candidate))
    const file = prefix && path.join(folders[prefix], name.slice(prefix.length))
    const inside = file && !path.relative(folders[prefix], file).startsWith('..')
    const info = inside ? await stat(file).catch(() => undefined) : undefined
    if (!info?.isFile()) return void response.writeHead(404, { 'content-type': 'text/plain' }).end(`Not found: ${name}`)
    response.writeHead(200, { ...headers, 'content-length': info.size, ...headersOf(name) })
    createReadStream(file).pipe(response)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
