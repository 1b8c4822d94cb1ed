// Masking of texts from outside, and the headers that are refused; the same as in src/sync/config/credentials.rs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import table from '../../tests/fixtures/credentials.json'
import { checkHeaders, Secrets } from '../src/remote/secrets.ts'

test('texts from outside are masked', () => {
  const secrets = new Secrets(table.headers)
  for (const [text, masked] of table.masked) assert.equal(secrets.mask(text), masked)
  assert.equal(secrets.mask('ä'.repeat(2000)).length, 1001)
  const { name, message } = secrets.maskError(new TypeError('tiny'))
  assert.deepEqual([name, message], ['TypeError', '***'])
})

test('secrets in URLs are masked', () => {
  const secrets = new Secrets({}, 'https://user:pa55word@x.co/a?X-Signature=s1gn%2Fature&n=1#tok3n-here')
  for (const [text, masked] of [
    ['pa55word or s1gn/ature or s1gn%2Fature or tok3n-here', '*** or *** or *** or ***'],
    ['no https://user:pw@other.co/b?sig=1 "there"', 'no https://other.co/b?*** "there"'],
    ['at https://other.co/b', 'at https://other.co/b'],
  ])
    assert.equal(secrets.mask(text), masked)
})

test('invalid headers, and secret keys in a page, are refused without their value in the error', () => {
  const refused = (headers, secretsAllowed) =>
    assert.throws(
      () => checkHeaders('headers', headers, secretsAllowed),
      ({ code, message }) =>
        code === 'invalid_argument' && !Object.values(headers).some((one) => message.includes(one)),
    )
  for (const value of table.unfit) refused({ 'x-key': value }, true)
  for (const name of table.unfitNames) refused({ [name]: 'the value' }, true)
  for (const value of table.fit) checkHeaders('headers', { 'x-client': value })
  for (const secret of table.secret) {
    refused({ 'x-key': secret }, false)
    checkHeaders('headers', { 'x-key': secret }, true)
  }
  for (const fine of table.public) checkHeaders('headers', { 'x-key': fine }, false)
})
