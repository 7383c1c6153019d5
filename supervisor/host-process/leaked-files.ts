import { readdirSync, readFileSync } from 'node:fs';

/** O_CLOEXEC, as fdinfo prints it: octal (asm-generic/fcntl.h). */
const CLOSE_ON_EXEC = 0o2000000;

/**
 * Descriptors of this process that a child would inherit. The state database's library opens its files that way; a command
 * that holds one could read and write everything that the kernel knows. Node offers no call to mark them, so whoever
 * starts a child puts something harmless in their place.
 */
export function listLeakedFiles(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && isInherited(fd));
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & CLOSE_ON_EXEC) === 0;
  } catch (error) {
    // The descriptor that listed the directory is gone by now.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
