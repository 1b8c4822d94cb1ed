/**
 * What a database is encrypted with: a passphrase, or a key. The key may be non-extractable, as a page keeps it in IndexedDB: AES-GCM
 * with the usages `encrypt` and `decrypt` (or `wrapKey` and `unwrapKey`), or AES-KW with `wrapKey` and `unwrapKey`. It encrypts the
 * database's own random key only.
 */
export type Encryption =
  | { readonly passphrase: string; readonly key?: undefined }
  | { readonly key: CryptoKey; readonly passphrase?: undefined }
