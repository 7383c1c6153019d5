import { Fault, type FaultCode } from '../../abi/errno.js';

/** What the operating system answers, as a code of ours and the words that follow the guest's path. */
const BY_ERRNO: Readonly<Record<string, readonly [code: FaultCode, words: string]>> = {
  ENOENT: ['not_found', 'does not exist'],
  ENOTDIR: ['not_a_directory', 'goes through something that is not a directory'],
  EISDIR: ['is_a_directory', 'is a directory'],
  EEXIST: ['already_exists', 'exists already'],
  ENOTEMPTY: ['not_empty', 'is a directory that is not empty'],
  ELOOP: ['invalid_argument', 'goes through too many symbolic links'],
  ENAMETOOLONG: ['invalid_argument', 'holds a name that is too long'],
  ENOSPC: ['no_space', 'cannot be written: the disk is full'],
  EDQUOT: ['no_space', 'cannot be written: the disk quota of this user is used up'],
  EFBIG: ['too_large', 'is larger than the file system allows'],
  EACCES: ['io_error', 'is refused by the permissions of the file system'],
  EPERM: ['io_error', 'is refused by the operating system'],
  EROFS: ['io_error', 'is on a read-only file system'],
  EMFILE: ['io_error', 'cannot be opened: too many files are open'],
  ENFILE: ['io_error', 'cannot be opened: too many files are open on this machine'],
};

/** A refusal by a layer that holds handles and does not know what the guest calls them; `faultOf` adds the path. */
export class EntryError extends Error {
  readonly faultCode: FaultCode;

  constructor(faultCode: FaultCode, words: string) {
    super(words);
    this.faultCode = faultCode;
  }
}

/** What an errno means, before anybody knows the guest's path. */
export function entryErrorOf(errno: string): EntryError {
  const [code, words] = BY_ERRNO[errno] ?? ['io_error', `failed with ${errno}`];
  return new EntryError(code, words);
}

/** The errno of a Node system error (`ENOENT`), or null for anything else. */
export function errnoOf(thrown: unknown): string | null {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('syscall' in thrown)) return null;
  return typeof thrown.code === 'string' ? thrown.code : null;
}

/**
 * A failed file operation as a Fault that names the guest's path. The system's own text is kept as the cause only: it
 * holds host paths and descriptor numbers.
 */
export function faultOf(thrown: unknown, display: string): Fault {
  if (thrown instanceof Fault) return thrown;
  if (thrown instanceof EntryError)
    return new Fault(thrown.faultCode, `${display}: ${thrown.message}`, { field: 'path' });
  const errno = errnoOf(thrown);
  if (errno === null) return new Fault('internal', `${display}: the operation failed`, { cause: thrown });
  const { faultCode, message } = entryErrorOf(errno);
  return new Fault(faultCode, `${display}: ${message}`, { cause: thrown });
}
