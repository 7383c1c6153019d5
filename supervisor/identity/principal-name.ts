import { randomBytes } from 'node:crypto';

const CHARS_MAX = 64;
/**
 * Numbers tried for a name that others have. Each is a look into the table inside a transaction: whoever makes people of one
 * name by the thousand would keep everybody else waiting for longer each time.
 */
const NUMBERS_MAX = 100;
const RANDOM_BYTES = 6;
/** Names that mean somebody already, or would look like it. */
const RESERVED: ReadonlySet<string> = new Set(['default', 'system', 'kernel', 'astrid', 'admin', 'root', 'operator']);

/**
 * The principal of a new person: 1 to 64 of a-z 0-9 _ -, made from the display name, with a number, or random digits, where that
 * is taken. Lower case only, since a principal is a directory, and some disks do not tell cases apart. `isTaken` is asked about
 * each candidate: a person must never be given what somebody else's principal already holds.
 */
export function derivePrincipal(displayName: string | null, isTaken: (name: string) => boolean): string {
  const base = slugOf(displayName ?? '');
  if (!RESERVED.has(base) && !isTaken(base)) return base;
  for (let number = 2; ; number++) {
    const suffix = `-${number <= NUMBERS_MAX ? number : randomBytes(RANDOM_BYTES).toString('hex')}`;
    const candidate = base.slice(0, CHARS_MAX - suffix.length) + suffix;
    if (!isTaken(candidate)) return candidate;
  }
}

function slugOf(text: string): string {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '-')
    .slice(0, CHARS_MAX)
    .replace(/^-+|-+$/g, '');
  return plain === '' ? 'user' : plain;
}
