import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LIMITS } from '../../abi/limits.js';

/** A control group that bounds how many processes and threads a command has. */
export interface TasksGroup {
  add(pid: number): void;
  /** When all in it are gone. */
  remove(): void;
}

/**
 * Makes one below our own group, of version 1 or 2, or null where none can be made (a container that does not allow it, an
 * ordinary user). An ordinary user is held by RLIMIT_NPROC as well; root is not (kernel/fork.c), which is what this is for.
 */
export function makeTasksGroup(): TasksGroup | null {
  for (const parent of parentGroups()) {
    const path = join(parent, `astrid-command-${randomBytes(8).toString('hex')}`);
    try {
      mkdirSync(path);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      continue;
    }
    const group = { add: (pid: number) => put(path, 'cgroup.procs', pid), remove: () => removeQuietly(path) };
    try {
      // The script, bubblewrap's two processes, and what the command may have.
      put(path, 'pids.max', LIMITS.processTasksMax);
      return group;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      group.remove();
    }
  }
  return null;
}

/** Lines of /proc/self/cgroup: `8:pids:/path` (version 1) and `0::/path` (version 2). */
function parentGroups(): string[] {
  let text: string;
  try {
    text = readFileSync('/proc/self/cgroup', 'utf8');
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers.split(',').includes('pids')) return [join('/sys/fs/cgroup/pids', path)];
    return controllers === '' && path !== '' ? [join('/sys/fs/cgroup', path)] : [];
  });
}

function put(path: string, name: string, value: number): void {
  writeFileSync(join(path, name), String(value), { flag: 'r+' });
}

/** Busy while the last process is still on its way out: then it is left for the system's own cleaning. */
function removeQuietly(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
