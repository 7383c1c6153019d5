import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/**
 * Takes from this process the right to open one more file descriptor, as a leak or a small `ulimit -n` does; what it returns gives
 * it back. By the limit itself, and not by opening files until it is reached: whatever is closed meanwhile would make room. What
 * gives it back was started before, since starting it takes descriptors.
 */
export async function useUpDescriptors(): Promise<() => Promise<void>> {
  const own = ['--pid', String(process.pid)];
  const shown = spawnSync('prlimit', [...own, '--nofile', '--raw', '--noheadings', '--output=SOFT'], {
    encoding: 'utf8',
  });
  const before = /^\d+/.exec(shown.stdout)?.[0];
  if (before === undefined) throw new Error(`prlimit: ${shown.stderr}`);
  const script = 'read line; exec prlimit "$@"';
  const mender: ChildProcess = spawn('sh', ['-c', script, 'mend', ...own, `--nofile=${before}:`], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const mended = once(mender, 'exit');
  spawnSync('prlimit', [...own, '--nofile=0:']);
  return async () => {
    mender.stdin?.end('\n');
    await mended;
  };
}
