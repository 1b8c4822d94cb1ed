// Encrypted columns in programs other than tidelock, by WebCrypto alone: docs/encryption.md shows the same for Node.

const utf8 = new TextEncoder()
const imported = (key, use) => crypto.subtle.importKey('raw', key, 'AES-GCM', false, [use])

/** Decrypts the bytes of a column. Rejects when they were not written under this key. */
export async function decrypted(bytes, key) {
  const algorithm = { name: 'AES-GCM', iv: bytes.slice(5, 17), additionalData: bytes.slice(0, 5) }
  return new TextDecoder().decode(
    await crypto.subtle.decrypt(algorithm, await imported(key, 'decrypt'), bytes.slice(17)),
  )
}

/** Encrypts a text into the bytes of a column. */
export async function encrypted(text, key) {
  const id = await crypto.subtle.digest('SHA-256', new Uint8Array([...utf8.encode('tidelock column key'), ...key]))
  const head = new Uint8Array([1, ...new Uint8Array(id, 0, 4)])
  const nonce = crypto.getRandomValues(new Uint8Array(12))
  const algorithm = { name: 'AES-GCM', iv: nonce, additionalData: head }
  const sealed = await crypto.subtle.encrypt(algorithm, await imported(key, 'encrypt'), utf8.encode(text))
  return new Uint8Array([...head, ...nonce, ...new Uint8Array(sealed)])
}

export const randomKey = () => crypto.getRandomValues(new Uint8Array(32))
