/** Randomness of the sandbox itself: no host call. Not usable while a module is still being evaluated. */
declare const __astrid_env: { random(size: number): Uint8Array };

export function randomBytes(size: number): Uint8Array {
  return __astrid_env.random(size);
}

/** A version 4 UUID (RFC 9562) in lower case. */
export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
