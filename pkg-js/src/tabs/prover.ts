import type { Encryption } from '../base/encryption.js'
import { bytesOfPassphrase } from '../base/web-crypto.js'

/** Proves to another tab that this one has the same secret, and checks the other's proof. */
export interface Prover {
  /** A proof for this context alone: it can be used nowhere else, nor again. */
  prove(context: BufferSource): Promise<Uint8Array<ArrayBuffer>>
  verify(context: BufferSource, proof: Uint8Array<ArrayBuffer>): Promise<boolean>
}

const nonceBytes = 12

/**
 * A prover for the secret of a database.
 *
 * A passphrase, and an AES-KW key, give a key for HMAC-SHA-256 that never leaves this tab. An AES-GCM key can't be derived from without a
 * fixed nonce, which would reveal the key of its authentication as soon as two texts were proved: its proof is what it adds as the tag of
 * an empty text (or of a random key), under a random nonce, with the context as associated data. Random nonces of 96 bits are safe for 2^32
 * proofs, and contexts begin with words of their own, so that no proof passes for a data key that was wrapped, or the other way round.
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
    // AES-KW has no nonce: what it makes of a fixed text is a secret that only this key gives.
    const known = await subtle.importKey('raw', await subtle.digest('SHA-256', salt), 'AES-GCM', true, ['encrypt'])
    return hmac(await subtle.wrapKey('raw', known, key, 'AES-KW'))
  }
  // The engine refuses such a key; a leader's answer says so to a follower.
  return { prove: async () => new Uint8Array(1), verify: async () => false }
}

async function hmac(secret: ArrayBuffer): Promise<Prover> {
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
  return {
    prove: async (context) => new Uint8Array(await crypto.subtle.sign('HMAC', key, context)),
    verify: (context, proof) => crypto.subtle.verify('HMAC', key, proof, context),
  }
}

/** Proofs by an AES-GCM key: a random nonce, and what the key makes of the context under it. */
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

/** What one side of a handshake proves: which side it is, then the database, the follower's id, the term, and both nonces. */
export function contextOf(side: 'leader' | 'follower', handshake: readonly string[]): BufferSource {
  return new TextEncoder().encode(JSON.stringify(['tidelock 2 tabs', side, ...handshake]))
}
