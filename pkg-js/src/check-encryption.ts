import { isA } from './brand.js'
import { checkObject, checkString } from './check.js'
import { invalid } from './errors.js'
import type { Encryption } from './options.js'
import { webCrypto } from './web-crypto.js'

/** Checks a passphrase or key. Fails with `invalid_argument`, and with `unsupported_environment` where there is no WebCrypto. */
export function checkEncryption(encryption: unknown): Encryption {
  const { passphrase, key } = checkObject('encryption', encryption, ['passphrase', 'key'])
  if ((passphrase === undefined) === (key === undefined)) {
    throw invalid('encryption must be { passphrase } or { key }', { details: { option: 'encryption' } })
  }
  webCrypto()
  if (passphrase !== undefined) return { passphrase: checkString('encryption.passphrase', passphrase) }
  if (!isA(key, 'CryptoKey')) {
    throw invalid('encryption.key must be a CryptoKey', { details: { option: 'encryption.key' } })
  }
  return { key }
}
