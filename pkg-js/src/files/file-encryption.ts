import { invalid } from '../base/errors.js'
import { checkSecret } from './check-encryption.js'

/** The first bytes of an encrypted file. The whole format is in `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** The secret of an encrypted file: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }

/** Checks an option that is the secret of a file. Throws `invalid_argument`. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  const checked = checkSecret(option, value)
  if ('key' in checked && checked.key.algorithm.name !== 'AES-GCM')
    throw invalid(`${option}.key must be a CryptoKey for AES-GCM`, { details: { option: `${option}.key` } })
  return checked
}

/** Returns whether bytes begin as an encrypted file does. */
export function isEncrypted(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic
}
