import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

export type PathScheme = 'cwd' | 'home' | 'tmp';

/**
 * A path as a guest names it, confined to one root. `segments` never holds an empty name, `.`, `..`, a slash or NUL;
 * the root itself has none. `display` is what messages and prompts show: every control, format and separator character
 * is escaped, and so is the backslash, so that two different paths never look the same.
 */
export interface GuestPath {
  readonly scheme: PathScheme;
  readonly segments: readonly string[];
  readonly display: string;
}

/** Where the tmp root lies inside the home tree: a grant on `home://` covers it there (ABI reference 2.1). */
const TMP_IN_HOME: readonly string[] = ['.local', 'tmp'];

/** Order matters only in that each prefix is tried as written; schemes are case-sensitive, as in the reference. */
const PREFIXES: readonly (readonly [prefix: string, scheme: PathScheme])[] = [
  ['cwd://', 'cwd'],
  ['home://', 'home'],
  ['tmp://', 'tmp'],
  ['/tmp/', 'tmp'],
];

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\\]/gu;

/** Text that can be shown to a person: nothing in it moves a cursor, reorders or hides what stands beside it. */
export function escapeUnprintable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    if (char === '\\') return '\\\\';
    return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

export function guestPathOf(scheme: PathScheme, segments: readonly string[]): GuestPath {
  return { scheme, segments, display: `${scheme}://${segments.map(escapeUnprintable).join('/')}` };
}

/**
 * Reads a path argument (ABI reference 2.1). Throws `invalid_argument`, `too_large` or `escapes_root`.
 *
 * `..` is resolved here, by name. That is safe although `link/..` then means the directory that holds the link and not
 * the parent of where it leads: whatever the result is, it is walked from the root through held directories, and a walk
 * has no way up. It is also what makes grants checkable before the file system is touched.
 */
export function parseGuestPath(text: string): GuestPath {
  if (Buffer.byteLength(text) > LIMITS.pathBytesMax) {
    throw new Fault('too_large', `path: longer than ${LIMITS.pathBytesMax} bytes`, { field: 'path' });
  }
  if (text.includes('\0')) throw new Fault('invalid_argument', 'path: holds a NUL character', { field: 'path' });
  // A lone surrogate would reach the disk as U+FFFD: two texts for one file, so that a grant on one opens the other.
  if (/\p{Surrogate}/u.test(text)) {
    throw new Fault('invalid_argument', 'path: is not well-formed Unicode', { field: 'path' });
  }
  const { scheme, rest } = splitScheme(text);
  const segments = normalise([], rest.split('/'));
  if (segments === null) {
    throw new Fault('escapes_root', `path: leaves the root of ${scheme}://`, { field: 'path' });
  }
  for (const name of segments) {
    if (Buffer.byteLength(name) > LIMITS.fileNameBytesMax) {
      throw new Fault('invalid_argument', `path: a name in it is longer than ${LIMITS.fileNameBytesMax} bytes`, {
        field: 'path',
      });
    }
  }
  return guestPathOf(scheme, segments);
}

function splitScheme(text: string): { scheme: PathScheme; rest: string } {
  for (const [prefix, scheme] of PREFIXES) {
    if (text.startsWith(prefix)) return { scheme, rest: text.slice(prefix.length) };
  }
  return text === '/tmp' ? { scheme: 'tmp', rest: '' } : { scheme: 'cwd', rest: text };
}

/**
 * `base` followed by `names`, with empty names and `.` dropped and `..` taken back; null when that would leave the
 * root. Throws `invalid_argument` when the result is deeper than LIMITS.pathSegmentsMax.
 */
export function normalise(base: readonly string[], names: readonly string[]): string[] | null {
  const segments = [...base];
  for (const name of names) {
    if (name === '' || name === '.') continue;
    if (name !== '..') segments.push(name);
    else if (segments.pop() === undefined) return null;
  }
  if (segments.length > LIMITS.pathSegmentsMax) {
    throw new Fault('invalid_argument', `path: deeper than ${LIMITS.pathSegmentsMax} directories`, { field: 'path' });
  }
  return segments;
}

/**
 * Whether a manifest's `fs_read` or `fs_write` list covers a path. Entries: `*` = everything below cwd and nothing
 * else; `cwd://x`, `home://x`, `tmp://x` = that file or directory and what lies below it, by whole components.
 *
 * The reference also takes literal physical prefixes. We grant no physical paths, so any other entry, `/tmp` and an
 * entry with a `..` too far included, matches nothing.
 */
export function grantCovers(grants: readonly string[], path: GuestPath): boolean {
  return grants.some((grant) => {
    if (grant === '*') return path.scheme === 'cwd';
    const entry = parseGrant(grant);
    if (entry === null) return false;
    if (entry.scheme === path.scheme) return startsWithSegments(path.segments, entry.segments);
    // tmp is a directory of the home tree, so a grant that holds that directory holds what is in it.
    return (
      entry.scheme === 'home' &&
      path.scheme === 'tmp' &&
      startsWithSegments([...TMP_IN_HOME, ...path.segments], entry.segments)
    );
  });
}

function parseGrant(grant: string): GuestPath | null {
  if (!/^(cwd|home|tmp):\/\//.test(grant)) return null;
  try {
    return parseGuestPath(grant);
  } catch (error) {
    // Fail closed: a grant that is no path grants nothing.
    if (error instanceof Fault) return null;
    throw error;
  }
}

export function startsWithSegments(segments: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= segments.length && prefix.every((name, index) => segments[index] === name);
}
