/** The first bytes of an encrypted file. The whole format is in `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** The secret of an encrypted file: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }
