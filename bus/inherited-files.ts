import { closeSync, fstatSync } from 'node:fs';
import { Fault } from '../abi/errno.js';

const DESCRIPTORS_MAX = 1024;

/**
 * Closes every file and directory that a child process got from its parent by accident, above the descriptors it is meant to
 * have. The state database is opened without close-on-exec by its library; in a worker it would be a way to everything.
 * To be called before anything untrusted is read. Node's own descriptors are neither files nor directories.
 */
export function closeInheritedFiles(lastKept: number): void {
  // Most numbers are closed, and each of those is an exception: without stacks they cost a fifth.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let descriptor = lastKept + 1; descriptor < DESCRIPTORS_MAX; descriptor++) {
    const kind = kindOf(descriptor);
    if (kind === 'file') closeSync(descriptor);
  }
  Error.stackTraceLimit = stackTraceLimit;
}

function kindOf(descriptor: number): 'file' | 'other' | 'closed' {
  try {
    const stat = fstatSync(descriptor);
    return stat.isFile() || stat.isDirectory() ? 'file' : 'other';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBADF') return 'closed';
    throw new Fault('io_error', `descriptor ${descriptor} cannot be examined`, { cause: error });
  }
}
