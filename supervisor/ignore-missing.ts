import { asFault } from '../abi/errno.js';

/** For `catch`: that a file is not there is an answer, all else is a fault. */
export function ignoreMissing(error: unknown): void {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
  throw asFault(error);
}
