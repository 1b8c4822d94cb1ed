// Serves the page, and the package's files under /tidelock/. Any other web server can do the same.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'

const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const dist = new URL('./', import.meta.resolve('tidelock'))

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost')
  const [, file] = pathname.match(/^\/tidelock\/([\w-]+\.\w+)$/) ?? []
  const page = { '/': 'index.html', '/main.js': 'main.js' }[pathname]
  const address = file ? new URL(file, dist) : page && new URL(page, import.meta.url)
  const body = address && (await readFile(address).catch(() => undefined))
  if (!body) return response.writeHead(404).end('Not found')
  response.writeHead(200, { 'content-type': types[extname(address.pathname)] ?? 'application/octet-stream' }).end(body)
})
server.listen(Number(process.env.PORT ?? 5173), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`)
})
