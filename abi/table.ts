import { CRON_CALLS } from './syscalls/cron.js';
import { FS_CALLS } from './syscalls/fs.js';
import { IPC_CALLS } from './syscalls/ipc.js';
import { KV_CALLS } from './syscalls/kv.js';
import { NET_CALLS } from './syscalls/net.js';
import { PEOPLE_CALLS } from './syscalls/people.js';
import { PROCESS_CALLS } from './syscalls/process.js';
import type { SyscallRow } from './syscalls/row.js';
import { SYS_CALLS } from './syscalls/sys.js';

/** The 49 calls of the original's registry and the two timers it removed. Source: ABI reference section 2. */
export const SYSCALL_COUNT = 51;

/** All host calls, by number. Gaps, repeats and any other total are refused when this module loads. */
export const SYSCALLS: readonly SyscallRow[] = joinFamilies();

const BY_NAME: ReadonlyMap<string, SyscallRow> = new Map(SYSCALLS.map((call) => [call.name, call]));

export function syscallByName(name: string): SyscallRow | undefined {
  return BY_NAME.get(name);
}

/** A call's name in the log and in the operator's rules: without the prefix that all of them have. */
export function actionOf(call: SyscallRow): string {
  return call.name.slice('astrid_'.length);
}

export function syscallByNumber(number: number): SyscallRow | undefined {
  return SYSCALLS[number];
}

function joinFamilies(): SyscallRow[] {
  const rows: SyscallRow[] = [];
  const families = [FS_CALLS, IPC_CALLS, KV_CALLS, NET_CALLS, PEOPLE_CALLS, PROCESS_CALLS, SYS_CALLS, CRON_CALLS];
  for (const call of families.flat()) {
    if (rows[call.number] !== undefined) throw new Error(`syscall number ${call.number} is defined twice`);
    rows[call.number] = call;
  }
  for (let number = 0; number < SYSCALL_COUNT; number++) {
    if (rows[number] === undefined) throw new Error(`syscall number ${number} is not defined`);
  }
  if (rows.length !== SYSCALL_COUNT) throw new Error(`the syscall table has ${rows.length} rows, not ${SYSCALL_COUNT}`);
  return rows;
}
