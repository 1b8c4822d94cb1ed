import type { Encryption } from '../base/encryption.js'
import { bytesOfPassphrase } from '../base/passphrase.js'

/** Proves to another tab that this tab knows the same secret, and verifies the other tab's proof. */
export interface Prover {
  /** Creates a proof that is valid for this context only, so that it can't be replayed. */
  prove(context: BufferSource): Promise<Uint8Array<ArrayBuffer>>
  verify(context: BufferSource, proof: Uint8Array<ArrayBuffer>): Promise<boolean>
}

const nonceBytes = 12

/**
 * Creates a prover for the secret of a database.
 *
 * From a passphrase or an AES-KW key, an HMAC-SHA-256 key is derived that never leaves this tab. Deriving from an AES-GCM key would need a
 * fixed nonce, which reveals the authentication key as soon as two texts are proved. Its proof is therefore the tag of an empty text (or of
 * a random wrapped key) under a random nonce, with the context as associated data. Random nonces of 96 bits are safe for 2^32 proofs.
 * Contexts have a prefix of their own, so that neither a proof passes for a wrapped data key, nor a wrapped data key for a proof.
 */
export async function proverOf(name: string, encryption: Encryption | undefined): Promise<Prover> {
  const { subtle } = crypto
  const salt = new TextEncoder().encode(`tidelock/${name}/tabs`)
  if (encryption === undefined)
    return { prove: async () => new Uint8Array(0), verify: async (_, { length }) => length === 0 }
  if (encryption.passphrase !== undefined) return hmac(await bytesOfPassphrase(encryption.passphrase, salt))
  const { key } = encryption
  const { name: algorithm } = key.algorithm
  const may = (...usages: KeyUsage[]) => usages.every((usage) => key.usages.includes(usage))
  if (algorithm === 'AES-GCM' && may('encrypt', 'decrypt'))
    return nonced({
      seal: (how) => subtle.encrypt(how, key, new Uint8Array(0)),
      open: (how, tag) => subtle.decrypt(how, key, tag),
    })
  if (algorithm === 'AES-GCM' && may('wrapKey', 'unwrapKey'))
    return nonced({
      seal: async (how) =>
        subtle.wrapKey('raw', await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']), key, how),
      open: (how, wrapped) => subtle.unwrapKey('raw', wrapped, key, how, 'AES-GCM', false, ['encrypt']),
    })
  if (algorithm === 'AES-KW' && may('wrapKey', 'unwrapKey')) {
    // AES-KW has no nonce: wrapping a fixed text gives a secret that depends only on this key.
    const known = await subtle.importKey('raw', await subtle.digest('SHA-256', salt), 'AES-GCM', true, ['encrypt'])
    return hmac(await subtle.wrapKey('raw', known, key, 'AES-KW'))
  }
  // The engine refuses such a key. A follower with it gets the leader's refusal.
  return { prove: async () => new Uint8Array(1), verify: async () => false }
}

async function hmac(secret: ArrayBuffer): Promise<Prover> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
  return {
    prove: async (context) => new Uint8Array(await crypto.subtle.sign('HMAC', key, context)),
    verify: (context, proof) => crypto.subtle.verify('HMAC', key, proof, context),
  }
}

/** Creates a prover for an AES-GCM key: a proof is a random nonce, and what the key seals under it with the context. */
function nonced(key: {
  seal(how: AesGcmParams): Promise<ArrayBuffer>
  open(how: AesGcmParams, sealed: Uint8Array<ArrayBuffer>): Promise<unknown>
}): Prover {
  const how = (iv: Uint8Array<ArrayBuffer>, additionalData: BufferSource) => ({ name: 'AES-GCM', iv, additionalData })
  return {
    async prove(context) {
      const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes))
      const sealed = new Uint8Array(await key.seal(how(nonce, context)))
      const proof = new Uint8Array(nonceBytes + sealed.length)
      proof.set(nonce)
      proof.set(sealed, nonceBytes)
      return proof
    },
    verify: (context, proof) =>
      key.open(how(proof.slice(0, nonceBytes), context), proof.slice(nonceBytes)).then(
        () => true,
        () => false,
      ),
  }
}

/** Encodes the context that one side of a handshake proves: the side, the database, the follower's id, the term, and both nonces. */
export function contextOf(side: 'leader' | 'follower', handshake: readonly string[]): BufferSource {
  return new TextEncoder().encode(JSON.stringify(['tidelock 2 tabs', side, ...handshake]))
}
