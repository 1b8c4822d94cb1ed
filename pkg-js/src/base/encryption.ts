/**
 * The secret that a database is encrypted with: a passphrase or a key. The key may be non-extractable, so that a page can keep it in
 * IndexedDB. It is AES-GCM with the usages `encrypt` and `decrypt` (or `wrapKey` and `unwrapKey`), or AES-KW with `wrapKey` and
 * `unwrapKey`. It encrypts only the random key of the database.
 */
export type Encryption =
  | { readonly passphrase: string; readonly key?: undefined }
  | { readonly key: CryptoKey; readonly passphrase?: undefined }
