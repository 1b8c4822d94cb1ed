import { isA } from './brand.js'
import { checkObject, checkString } from './check.js'
import { invalid, TidelockError } from './errors.js'
import type { Encryption } from './options.js'

/** Checks a passphrase or key. Fails with `invalid_argument`, and with `unsupported_environment` where there is no WebCrypto. */
export function checkEncryption(encryption: unknown): Encryption {
  const { passphrase, key } = checkObject('encryption', encryption, ['passphrase', 'key'])
  if ((passphrase === undefined) === (key === undefined)) {
    throw invalid('encryption must be { passphrase } or { key }', { details: { option: 'encryption' } })
  }
  if (globalThis.crypto?.subtle === undefined) {
    throw new TidelockError('unsupported_environment', 'WebCrypto (crypto.subtle) is missing here', {
      hint: 'Browsers have it on secure pages only: serve the page by https, or from localhost',
      details: { missing: 'crypto.subtle' },
    })
  }
  if (passphrase !== undefined) return { passphrase: checkString('encryption.passphrase', passphrase) }
  if (!isA(key, 'CryptoKey')) {
    throw invalid('encryption.key must be a CryptoKey', { details: { option: 'encryption.key' } })
  }
  return { key }
}
