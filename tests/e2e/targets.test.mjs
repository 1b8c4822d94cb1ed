// Copies of snapshots in a real folder and on a real server; tests/scenarios/targets.mjs has all else.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before } from 'node:test'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** A bucket: what is put is there under its path, if it came whole. */
const bucket = createServer(async (request, response) => {
  const allowed = ['origin', 'methods', 'headers'].map((what) => [`access-control-allow-${what}`, '*'])
  const answer = (status, body) => response.writeHead(status, Object.fromEntries(allowed)).end(body)
  if (request.method === 'OPTIONS') return answer(204)
  if (request.method === 'GET') return answer(objects.has(request.url) ? 200 : 404, objects.get(request.url))
  const body = Buffer.concat(await request.toArray())
  if (Number(request.headers['content-length']) !== body.length) return answer(400)
  objects.set(request.url, body)
  answer(200)
})
const objects = new Map()
before(() => once(bucket.listen(0, '127.0.0.1'), 'listening'))
after(() => bucket.close())

test('a snapshot is copied to the private file system and uploaded, and comes back from both', async () => {
  const page = await context.page()
  const rows = await page.evaluate(
    async ([name, server]) => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(name, { create: true })
      let url
      const targets = [
        tidelock.directoryTarget(folder, { keep: 1 }),
        tidelock.uploadTarget({
          url: (file) => {
            url = `${server}/${name}/${file.name}`
            return url
          },
        }),
      ]
      const db = await window.open({ name, snapshots: { targets } })
      await db.exec('CREATE TABLE t (n)')
      for (const n of [1, 2]) {
        await db.run('INSERT INTO t VALUES (?)', [n])
        await db.snapshots.create()
      }
      await db.run('DELETE FROM t')
      const files = []
      for await (const handle of folder.values()) files.push(await handle.getFile())
      files.push(await (await fetch(url)).blob())
      const rows = []
      for (const file of files) {
        const { id } = await db.snapshots.import(file)
        await db.snapshots.restore(id)
        rows.push((await db.query('SELECT n FROM t')).map(({ n }) => n))
      }
      await db.close()
      return rows
    },
    [freshName(), `http://127.0.0.1:${bucket.address().port}`],
  )
  assert.deepEqual(rows, [
    [1, 2],
    [1, 2],
  ])
})
