/**
 * Who may ask the HTTP server. Programs send `Authorization: Bearer TOKEN`; browsers know Basic alone,
 * and there the token is the password, with any user name.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export const CHALLENGE = 'Bearer realm="hyperfeed", Basic realm="hyperfeed"';

/** Without a token everybody may. */
export function createTokenCheck(
  token: string | undefined,
): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const expected = digest(token);
  return (authorization = '') => {
    const [, scheme = '', value = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization) ?? [];
    const given = scheme.toLowerCase() === 'basic' ? passwordOf(value) : value;
    // Digests are of one length, and comparing them takes one time.
    return timingSafeEqual(digest(given), expected);
  };
}

function passwordOf(credentials: string): string {
  const text = Buffer.from(credentials, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
