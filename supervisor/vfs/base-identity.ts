import { z } from 'zod';
import { LIMITS } from '../../abi/limits.js';
import { hashContent } from './content.js';
import type { HeldEntry } from './held-dir.js';

const decimal = z.string().regex(/^-?\d{1,20}$/, 'a decimal number');

/** What an entry of the lower layer was. 64-bit numbers are decimal text, times are nanoseconds since 1970. */
export const lowerIdentity = z.strictObject({
  kind: z.enum(['file', 'directory', 'symlink', 'whiteout', 'special']),
  size: decimal,
  mtimeNs: decimal,
  ctimeNs: decimal,
  ino: decimal,
  dev: decimal,
  mode: z.number().int().nonnegative(),
  /** SHA-256 in hex of a file up to LIMITS.overlayHashedBytesMax. */
  sha256: z.string().length(64).nullable(),
  /** Where a symbolic link pointed. */
  target: z.string().nullable(),
});
export type LowerIdentity = z.infer<typeof lowerIdentity>;

/** What a path was in the lower layer when the session first changed it; null: nothing was there. */
export type Base = LowerIdentity | null;

/** Takes the identity of `name` in a directory of the lower layer. Reads the content of files up to the bound. */
export async function identify(directory: HeldEntry, name: string, entry: HeldEntry): Promise<LowerIdentity> {
  const { stat, kind } = entry;
  const hashed = kind === 'file' && stat.size <= BigInt(LIMITS.overlayHashedBytesMax);
  return {
    kind,
    size: stat.size.toString(),
    mtimeNs: stat.mtimeNs.toString(),
    ctimeNs: stat.ctimeNs.toString(),
    ino: stat.ino.toString(),
    dev: stat.dev.toString(),
    mode: Number(stat.mode) & 0o7777,
    sha256: hashed ? await hashContent(entry) : null,
    target: kind === 'symlink' ? await directory.readLink(name) : null,
  };
}

/**
 * Whether the lower entry is still what it was. A hashed file is compared by content alone: a change of equal size
 * within one tick of the file system's clock leaves every time stamp as it was, and a `touch` or `chmod` changes
 * nothing that a commit would lose. A directory is compared by kind, its entries have records of their own.
 */
export function isUnchanged(base: Base, now: Base): boolean {
  if (base === null || now === null) return base === now;
  if (base.kind !== now.kind) return false;
  if (base.kind === 'directory') return true;
  if (base.kind === 'symlink') return base.target === now.target;
  if (base.sha256 !== null) return base.size === now.size && base.sha256 === now.sha256;
  return (
    base.size === now.size &&
    base.mtimeNs === now.mtimeNs &&
    base.ctimeNs === now.ctimeNs &&
    base.ino === now.ino &&
    base.dev === now.dev
  );
}
