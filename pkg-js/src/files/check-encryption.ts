import { isA } from '../base/brand.js'
import { checkObject, checkString } from '../base/check.js'
import type { Encryption } from '../base/encryption.js'
import { invalid } from '../base/errors.js'
import { webCrypto } from '../base/web-crypto.js'

/** Checks an option that is a passphrase or a key. Throws `invalid_argument`. */
export function checkSecret(
  option: string,
  secret: unknown,
): { readonly passphrase: string } | { readonly key: CryptoKey } {
  const { passphrase, key } = checkObject(option, secret, ['passphrase', 'key'])
  if ((passphrase === undefined) === (key === undefined))
    throw invalid(`${option} must be { passphrase } or { key }`, { details: { option } })
  if (passphrase !== undefined) return { passphrase: checkString(`${option}.passphrase`, passphrase) }
  if (!isA(key, 'CryptoKey'))
    throw invalid(`${option}.key must be a CryptoKey`, { details: { option: `${option}.key` } })
  return { key }
}

/** Checks the option `encryption`. Throws `invalid_argument`, or `unsupported_environment` without WebCrypto. */
export function checkEncryption(encryption: unknown): Encryption {
  const checked = checkSecret('encryption', encryption)
  webCrypto()
  return checked
}
