// Answers of a hostile remote, one by one: each call takes them, or fails with a typed error after few requests.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { isTidelockError, open, schemaFromRemote } from '../../pkg-js/dist/index.js'

const one = '[{"id":1,"text":"a"}]'
const range = (total) => ({ 'content-range': total.includes('-') ? total : `0-0/${total}` })
const body = (text, headers = range('1'), status = 206) => ({ status, headers, text })
const column = (json) => body(`[{"id":1,"text":${json}}]`)
const key = (json) => body(`[{"id":${json},"text":"a"}]`)
const list = (count, item) => body(`[${Array.from({ length: count }, (_, at) => item(at)).join()}]`)
const gzipped = (bytes) => body(bytes, { ...range('1'), 'content-encoding': 'gzip' })

const answers = {
  ...Object.fromEntries(
    ['9'.repeat(40), '18446744073709551615', '9007199254740993', '4294967296', '1e9', '1'.repeat(10_000)].map(
      (total) => [`a count of ${total.slice(0, 20)}`, body(one, range(total))],
    ),
  ),
  'a negative count': body(one, { 'content-range': '0-0/-1' }),
  'negative places': body(one, { 'content-range': '-5--1/3' }),
  'a range of stars': body(one, { 'content-range': '*/*' }),
  'a range of words': body(one, { 'content-range': 'x' }),
  'places in falling order': body(one, { 'content-range': '999999999999-0/5' }),
  'the same page again and again': body(one, { 'content-range': '0-0/*' }),
  'open arrays': column('['.repeat(2e6)),
  'deep arrays': column(`${'['.repeat(500_000)}${']'.repeat(500_000)}`),
  'open objects': body('{"a":'.repeat(1e6)),
  'a key of a million digits': key('9'.repeat(1e6)),
  'a key of 1e999999999': key('1e999999999'),
  'a key of -0.0': key('-0.0'),
  'a key with 100,000 zeros': key(`1.${'0'.repeat(100_000)}1`),
  'a key twice': body('[{"id":1,"id":2,"text":"a","text":"b"}]'),
  'an object as key': key('{"a":1}'),
  'null as key': key('null'),
  'text as key': key('"x"'),
  'no key': body('[{"text":"a"}]'),
  __proto: body('[{"__proto__":{"x":1},"id":1,"text":"a","constructor":7}]'),
  'a mark of byte order': body(`\ufeff${one}`),
  'UTF-16': body(Buffer.from(one, 'utf16le')),
  'bytes that are no text': body(Buffer.from([0x5b, 0xff, 0xfe, 0x5d])),
  'an escaped NUL': column('"a\\u0000b"'),
  'a NUL': column('"a\0b"'),
  'half a surrogate': column('"\\ud800"'),
  'surrogates in the wrong order': column('"\\udc00\\ud800"'),
  'an escape of two digits': column('"\\u00"'),
  nothing: body(''),
  null: body('null'),
  'a number': body('5'),
  'arrays for rows': body('[[1],[2]]'),
  'nulls for rows': body('[null,null]'),
  'a comma at the end': body('[{"id":1,"text":"a"},]'),
  'two documents': body(one + one),
  NaN: key('NaN'),
  'a comment': body('[/*x*/]'),
  'many empty rows': list(300_000, () => '{}'),
  'many columns': body(`[{"id":1,${Array.from({ length: 100_000 }, (_, at) => `"c${at}":1`).join()}}]`),
  'many rows of one key': list(20_000, () => '{"id":1,"text":"a"}'),
  'more rows than were asked for': list(10_000, (at) => `{"id":${at},"text":"a"}`),
  'rows in falling order': body('[{"id":9,"text":"a"},{"id":3,"text":"a"}]'),
  'a date in year 275760': body(one, { ...range('1'), date: 'Sat, 13 Sep 275760 00:00:00 GMT' }),
  'a date of words': body(one, { ...range('1'), date: 'yesterday' }),
  '300 headers': body(one, {
    ...range('1'),
    ...Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`x-${at}`, 'y'])),
  }),
  ...Object.fromEntries(
    ['1e308', '-5', 'later', 'Fri, 31 Dec 9999 23:59:59 GMT'].map((after) => [
      `to retry after ${after}`,
      body('', { 'retry-after': after }, 503),
    ]),
  ),
  ...Object.fromEntries([204, 205, 304, 999].map((status) => [`status ${status}`, body('', {}, status)])),
  'an error of 5 MB with control characters': body(
    JSON.stringify({ message: `\x1b[2J\u202e${'x'.repeat(5e6)}`, code: '\x07', hint: 7, details: { a: 1 } }),
    {},
    418,
  ),
  'an error of arrays': body('[[[]]]', {}, 400),
  'an error of other types': body('{"__proto__":{"code":"x"},"code":{"a":1},"message":["x"]}', {}, 400),
  'half a gzip file': gzipped(gzipSync(one).subarray(0, 20)),
  'a gzip file with more behind it': gzipped(Buffer.concat([gzipSync(one), Buffer.alloc(99, 7)])),
  'no gzip file': gzipped(one),
  'a body shorter than its length': body(one, { ...range('1'), 'content-length': '9999' }),
}

test('each hostile answer is taken, or refused with a typed error', { timeout: 600_000 }, async () => {
  let answer
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    request.resume().on('end', () => {
      const { status, headers, text } = request.url.includes('tidelock_state') ? body('{}', {}, 404) : answer
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      if ('content-length' in headers) response.write(text, () => response.destroy())
      else response.end(text)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const remote = { url: `http://127.0.0.1:${server.address().port}`, key: 'anon', retries: 0, timeoutMs: 20_000 }
  for (const [name, given] of Object.entries(answers)) {
    answer = given
    const db = await open({
      name: 'answers',
      storage: 'memory',
      snapshots: false,
      onWarning() {},
      migrations: [{ version: '1', name: 'schema', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)' }],
      remote: { ...remote, tables: ['notes'] },
    })
    await db.run("INSERT INTO notes VALUES (-7, 'mine')")
    for (const call of [
      () => db.sync.pull(),
      () => db.sync.push(),
      () => db.sync.pull({ mode: 'replace', discardUnpushed: true }),
      () => schemaFromRemote(remote),
    ]) {
      requests = 0
      const error = await call().then(
        () => undefined,
        (error) => error,
      )
      if (error !== undefined) {
        assert.ok(isTidelockError(error) && error.code !== 'internal', `${name}: ${error}`)
        assert.ok(JSON.stringify(error).length < 20_000, name)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are looked for.
        assert.doesNotMatch(error.message, /[\x00-\x1f\u202e]/, name)
      }
      assert.ok(requests < 100, `${name}: ${requests} requests`)
    }
    const odd = await db.query(
      "SELECT * FROM notes WHERE typeof(id) <> 'integer' OR typeof(text) NOT IN ('text', 'null')",
    )
    assert.deepEqual(odd, [], name)
    assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }], name)
    await db.close()
  }
  server.closeAllConnections()
  server.close()
})
