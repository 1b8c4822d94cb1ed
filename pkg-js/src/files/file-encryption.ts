import { invalid } from '../base/errors.js'
import { checkSecret } from './check-encryption.js'

/** What an encrypted file begins with. What comes after it: `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** What a file is encrypted with: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }

/** Checks the option of that name. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  const checked = checkSecret(option, value)
  if ('key' in checked && checked.key.algorithm.name !== 'AES-GCM')
    throw invalid(`${option}.key must be a CryptoKey for AES-GCM`, { details: { option: `${option}.key` } })
  return checked
}

/** Whether these are the first bytes of an encrypted file. */
export function isEncrypted(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic
}
