// What is masked in texts from outside, and which headers are refused; the same as in src/sync/credentials.rs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHeaders, Secrets } from '../src/secrets.js'

// {"role":"service_role"} and {"role":"anon"}, unsigned; the last one's header begins with a blank.
const service = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x'
const anon = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x'
const disguised = 'IHsiYWxnIjoiSFMyNTYifQ.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x'

test('texts from outside are masked', () => {
  const headers = { apikey: 'tiny', 'x-key': 'Basic s3cr3t-(s3cr3t)+$&', prefer: 'permission' }
  const secrets = new Secrets(headers, 'https://user:pa55word@x.co/a?X-Signature=s1gn%2Fature&n=1#tok3n-here')
  for (const [text, masked] of [
    ['permission denied', 'permission denied'],
    ['x-key: Basic s3cr3t-(s3cr3t)+$&', 'x-key: ***'],
    ['got s3cr3t-(s3cr3t)+$&.', 'got ***.'],
    ['apikey tiny, a tinycolumn', 'apikey ***, a tinycolumn'],
    [`Bearer ${anon}.`, 'Bearer ***.'],
    ['(sb_secret_other)', '(***)'],
    ['pa55word or s1gn/ature or s1gn%2Fature or tok3n-here', '*** or *** or *** or ***'],
    ['no https://user:pw@other.co/b?sig=1 "there"', 'no https://other.co/b?*** "there"'],
    ['at https://other.co/b', 'at https://other.co/b'],
    ['', ''],
  ])
    assert.equal(secrets.mask(text), masked)
  assert.equal(secrets.mask('ä'.repeat(2000)).length, 1001)
  const { name, message } = secrets.maskError(new TypeError('tiny'))
  assert.deepEqual([name, message], ['TypeError', '***'])
})

test('headers that none can be, and secret keys in a page, are refused without the value', () => {
  for (const headers of [
    { 'x-key': 'secret\n' },
    { 'x-key': 'secret\0' },
    { 'x-key': 'secret€' },
    { 'x\nkey': 'secret' },
  ])
    assert.throws(
      () => checkHeaders('headers', headers),
      ({ code, message }) => code === 'invalid_argument' && !message.includes('secret'),
    )
  checkHeaders('headers', { 'x-client': 'müller\t1.0' })
  for (const secret of [service, disguised, 'sb_secret_abc', `Bearer ${service}`]) {
    assert.throws(() => checkHeaders('headers', { 'x-key': secret }, false), /is a secret key/)
    checkHeaders('headers', { 'x-key': secret }, true)
  }
  for (const fine of [anon, 'sb_publishable_abc', `Bearer ${anon}`]) checkHeaders('headers', { 'x-key': fine }, false)
})
