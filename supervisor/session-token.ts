import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const TOKEN_BYTES = 32;

/**
 * The secret of one run of the supervisor: whoever can read `run/system.token` is its owner. Both doors for people ask for it,
 * the control socket and the socket of the uplinks.
 */
export class SessionToken {
  /** 64 hexadecimal digits, for the token file alone. */
  readonly text = randomBytes(TOKEN_BYTES).toString('hex');
  readonly #digest = digest(this.text);

  /** Digests have one length, so that the comparison takes the same time whatever was sent. Case does not matter. */
  matches(candidate: string): boolean {
    return timingSafeEqual(digest(candidate), this.#digest);
  }
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token.toLowerCase()).digest();
}
