import { checkObject, checkString } from '../base/check.js'
import { keyTraits } from '../base/crypto-key.js'
import type { Encryption } from '../base/encryption.js'
import { invalid } from '../base/errors.js'
import { webCrypto } from '../base/web-crypto.js'
import type { FileEncryption } from './file-encryption.js'

// Loaded only for what is encrypted, see load-encryption-checks.ts.

/** The keys of one use: the usages that a key needs, by its algorithm; several lists are alternatives. */
interface KeyUse {
  readonly usages: Readonly<Record<string, readonly (readonly string[])[]>>
  /** Which key to pass instead. */
  readonly hint: string
}

const databaseKeys: KeyUse = {
  usages: {
    'AES-GCM': [
      ['encrypt', 'decrypt'],
      ['wrapKey', 'unwrapKey'],
    ],
    'AES-KW': [['wrapKey', 'unwrapKey']],
  },
  hint: 'An AES-GCM key with the usages encrypt and decrypt, or an AES-KW key with wrapKey and unwrapKey',
}

const fileKeys: KeyUse = {
  usages: { 'AES-GCM': [['encrypt', 'decrypt']] },
  hint: 'An AES-GCM key with the usages encrypt and decrypt',
}

/** Checks an option that is a passphrase or a key for that use. Throws `invalid_argument`. */
function checkSecret(
  option: string,
  secret: unknown,
  use: KeyUse,
): { readonly passphrase: string } | { readonly key: CryptoKey } {
  const { passphrase, key } = checkObject(option, secret, ['passphrase', 'key'])
  if ((passphrase === undefined) === (key === undefined))
    throw invalid(`${option} must be { passphrase } or { key }`, { details: { option } })
  if (passphrase !== undefined) return { passphrase: checkString(`${option}.passphrase`, passphrase) }
  return { key: checkKey(`${option}.key`, key, use) }
}

function checkKey(option: string, key: unknown, { usages, hint }: KeyUse): CryptoKey {
  const details = { option }
  const traits = keyTraits(key)
  if (traits === undefined) throw invalid(`${option} must be a CryptoKey`, { details, hint })
  const alternatives = usages[traits.algorithm]
  if (alternatives === undefined) {
    const known = Object.keys(usages).join(' or ')
    throw invalid(`${option} must be a CryptoKey for ${known}, not for ${traits.algorithm}`, { details, hint })
  }
  const missing = alternatives.map((needed) => needed.filter((usage) => !traits.usages.includes(usage)))
  const [fewest] = missing.sort((one, other) => one.length - other.length)
  if (fewest !== undefined && fewest.length > 0)
    throw invalid(`${option} must be a CryptoKey with the usage ${fewest.join(' and ')}`, { details, hint })
  return key as CryptoKey
}

/** Checks the option `encryption`. Throws `invalid_argument`, or `unsupported_environment` without WebCrypto. */
export function checkEncryption(encryption: unknown): Encryption {
  const checked = checkSecret('encryption', encryption, databaseKeys)
  webCrypto()
  return checked
}

/** Checks an option that is the secret of a file. Throws `invalid_argument`. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  return checkSecret(option, value, fileKeys)
}
