// The tokens that Supabase's auth would make: HS256, signed with the project's secret.
import { createHmac } from 'node:crypto'

/** A signed token with these claims. */
export function signJwt(claims, secret) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`
}
