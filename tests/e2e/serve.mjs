// A static server for pages under test: a few folders and a few made-up files, on a free loopback port.
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'

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
 * `files` maps a path to its text; `calls` a path to a function from a request's body to a result, given as JSON. `headersOf(path)` gives
 * headers for a file of a folder, in addition; `delay`: how many milliseconds later each answer comes. No COOP or COEP headers: users have none either.
 */
export async function serve({ folders = {}, files = {}, calls = {}, port = 0, delay = 0, headersOf = () => ({}) }) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length)
  const server = http.createServer(async (request, response) => {
    if (delay > 0) await setTimeout(delay)
    const pathname = pathOf(request.url)
    if (pathname === undefined)
      return void response.writeHead(400, { 'content-type': 'text/plain' }).end('Malformed URL')
    const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname
    const headers = {
      'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream',
      'cache-control': 'no-store',
    }
    if (calls[name]) return answer(request, response, calls[name])
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

/** Returns the decoded path of a URL; undefined where it is malformed. */
function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url, 'http://server').pathname)
  } catch {
    return undefined
  }
}

async function answer(request, response, call) {
  try {
    const parts = []
    for await (const part of request) parts.push(part)
    const result = await call(Buffer.concat(parts).toString())
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? null))
  } catch (error) {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error?.stack ?? error))
  }
}
