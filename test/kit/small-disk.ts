import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

const MIB = 1024 * 1024;

/** Why no small disk is to be had here, or false. */
export const NO_SMALL_DISK = process.getuid?.() === 0 ? false : 'mounting a small file system needs root';

/** A disk of its own, with options of tmpfs(5), gone with the test. */
export function mountSmallDisk(t: Test, options: string): string {
  const disk = mkdtempSync(join(tmpdir(), 'astrid-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `${options},mode=0700`, 'tmpfs', disk]);
  t.teardown(() => {
    execFileSync('umount', ['-l', disk]);
    rmdirSync(disk);
  });
  return disk;
}

/** Writes a file until nothing more fits on its disk, in ever smaller pieces. */
export function fillDisk(path: string): void {
  const file = openSync(path, 'a');
  for (let bytes = MIB; bytes >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(bytes));
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error;
      bytes = Math.floor(bytes / 4);
    }
  }
  closeSync(file);
}
