import { isA } from './brand.js'
import { checkObject, checkString } from './check.js'
import { invalid } from './errors.js'

/** What an encrypted file begins with. What comes after it: `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** What a file is encrypted with: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }

/** Checks the option of that name. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  const given = checkObject(option, value, ['passphrase', 'key'])
  if ((given.passphrase === undefined) === (given.key === undefined))
    throw invalid(`${option} needs either a passphrase or a key`, { details: { option } })
  if (given.key === undefined) return { passphrase: checkString(`${option}.passphrase`, given.passphrase) }
  if (!isA(given.key, 'CryptoKey') || given.key.algorithm.name !== 'AES-GCM')
    throw invalid(`${option}.key must be a CryptoKey for AES-GCM`, { details: { option: `${option}.key` } })
  return { key: given.key }
}

/** Whether these are the first bytes of an encrypted file. */
export function isEncrypted(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic
}
