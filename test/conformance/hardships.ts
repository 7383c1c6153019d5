import { createServer } from 'node:net';
import { join } from 'node:path';
import type { FaultCode } from '../../abi/errno.js';
import { useUpDescriptors } from '../kit/short-of.js';
import { type Arg, type ConformanceCase, casesOf, fault, json, text } from './case.js';

/** Whether what must be in the log before it happens, may happen. */
export interface LogState {
  until(state: 'open' | 'refusing'): Promise<void>;
}

/** Something that is wrong with the machine while the kernel runs, and what calls answer then. */
export interface Hardship {
  readonly name: string;
  /** Makes it so; what it returns makes it good again. */
  readonly befall: (home: string, log: LogState) => Promise<() => Promise<void>>;
  readonly cases: readonly ConformanceCase[];
}

const INNER = text('cwd://dir/inner.txt');
const COMMAND = json({ cmd: 'echo', args: ['hi'] });
const SECRET = json({ type: 'secret', key: 'token', description: 'Your token' });

const refused = (call: string, code: FaultCode, ...args: Arg[]) =>
  casesOf(call, [{ name: code, args, want: fault(code) }]);

export const HARDSHIPS: readonly Hardship[] = [
  {
    name: 'another program serves at the uplink socket',
    befall: async (home) => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(join(home, 'run/uplink.sock'), resolve));
      return () => new Promise((resolve) => other.close(() => resolve()));
    },
    cases: [
      ...refused('astrid_net_bind_unix', 'already_running', text('/any')),
      ...refused('astrid_net_accept', 'already_running', text('')),
      ...refused('astrid_net_poll_accept', 'already_running', text('')),
    ],
  },
  {
    // It cannot store the log's checkpoint either: what must be in the log before it happens, does not happen.
    name: 'the kernel has no descriptor left',
    befall: async (_home, log) => {
      const free = await useUpDescriptors();
      await log.until('refusing');
      return async () => {
        await free();
        await log.until('open');
      };
    },
    cases: [
      ...refused('astrid_fs_exists', 'io_error', INNER),
      ...refused('astrid_fs_readdir', 'io_error', text('cwd://dir')),
      ...refused('astrid_fs_stat', 'io_error', INNER),
      ...refused('astrid_read_file', 'io_error', INNER),
      ...refused('astrid_net_bind_unix', 'io_error', text('/any')),
      ...refused('astrid_net_accept', 'io_error', text('')),
      ...refused('astrid_net_poll_accept', 'io_error', text('')),
      ...refused('astrid_has_secret', 'io_error', json({ key: 'token' })),
      ...refused('astrid_fs_mkdir', 'audit_unavailable', text('cwd://dir/new')),
      ...refused('astrid_fs_unlink', 'audit_unavailable', INNER),
      ...refused('astrid_write_file', 'audit_unavailable', INNER, text('new')),
      ...refused('astrid_spawn_host', 'audit_unavailable', COMMAND),
      ...refused('astrid_spawn_background_host', 'audit_unavailable', COMMAND),
      ...refused('astrid_elicit', 'audit_unavailable', SECRET).map(
        (one) => ({ ...one, entry: 'astrid_install' }) as const,
      ),
    ],
  },
];
