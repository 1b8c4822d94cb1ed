import { checkSecret, type KeyUse } from './check-encryption.js'

/** The first bytes of an encrypted file. The whole format is in `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** The secret of an encrypted file: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }

const fileKeys: KeyUse = {
  usages: { 'AES-GCM': [['encrypt', 'decrypt']] },
  hint: 'An AES-GCM key with the usages encrypt and decrypt',
}

/** Checks an option that is the secret of a file. Throws `invalid_argument`. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  return checkSecret(option, value, fileKeys)
}
