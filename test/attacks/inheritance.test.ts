import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'tap';
import type { ProcessRow, StatusResult } from '../../abi/control.js';
import { makeGuest } from '../kit/guests.js';
import { startSupervisor } from '../kit/real-supervisor.js';

/** What a process holds open below the home, with the flags it was opened with. */
function heldBelow(home: string, pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`)
    .flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
        const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1];
        return [`${path} (flags ${flags})`];
      } catch (error) {
        // It was closed since it was listed; what is inherited stays open.
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
        throw error;
      }
    })
    .filter((text) => text.startsWith(home));
}

test('a worker, jailed or not, inherits no open file of the home, and neither does the auditor a database', async (t) => {
  const supervisor = await startSupervisor({
    builtins: { plain: await makeGuest({ name: 'plain' }) },
    installed: { jailed: await makeGuest({ name: 'jailed' }) },
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (const { pid, capsule } of (await client.request('ps', {})) as ProcessRow[]) {
    t.same(heldBelow(supervisor.home, pid ?? 0), [], capsule);
  }
  const { auditor } = (await client.request('status', {})) as StatusResult;
  t.same(
    heldBelow(supervisor.home, auditor.pid ?? 0).filter((text) => text.includes('/var/state/')),
    [],
    'auditor',
  );
});
