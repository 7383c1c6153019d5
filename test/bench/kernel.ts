import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEvent } from '../../abi/audit-event.js';
import type { ProcessRow } from '../../abi/control.js';
import { Router } from '../../bus/router.js';
import { AuditClient } from '../../supervisor/audit-client.js';
import { spawnAuditor } from '../../supervisor/auditor/spawn.js';
import { readPssBytes } from '../../supervisor/proc/process-stats.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { startWorker, WORKER_BUNDLE } from '../kit/worker-bench.js';
import { type Figure, figureOf, single } from './figures.js';

const ACTOR = { principal: 'default', attribution: 'system', session: null } as const;

/** Publish to deliver, in one process: what the router alone costs. */
export function measureRouter(): Figure {
  const router = new Router();
  router.addEndpoint({ id: 'a', sourceId: 'a', publish: ['bench.v1.*'], subscribe: ['bench.v1.*'] });
  const handle = router.subscribe('a', 'bench.v1.*', { checkAcl: true });
  const samples: number[] = [];
  for (let round = 0; round < 60; round++) {
    const start = performance.now();
    let delivered = 0;
    for (let batch = 0; batch < 100; batch++) {
      for (let index = 0; index < 64; index++) router.publish(null, 'bench.v1.topic', { text: 'hello' }, 32, ACTOR);
      delivered += router.poll('a', handle).messages.length;
    }
    if (round >= 10) samples.push(delivered / ((performance.now() - start) / 1000));
  }
  return figureOf('router, publish to deliver', '/s', samples, 'in process; p99 is the fast end');
}

export async function measureStart(tier: 'process' | 'jail'): Promise<Figure> {
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: '(i32.const 0)' } }));
  const samples: number[] = [];
  for (let round = 0; round < 22; round++) {
    const start = performance.now();
    const worker = await startWorker({ wasm, tier, bundle: WORKER_BUNDLE });
    await worker.invoke('astrid_hook_trigger');
    if (round >= 2) samples.push(performance.now() - start);
    await worker.end();
  }
  return figureOf(`capsule start to first answer, cold, tier ${tier}`, 'ms', samples);
}

function auditEvent(index: number): AuditEvent {
  return {
    time: 1_700_000_000_000 + index,
    session: 'bench',
    principal: 'default',
    capsule: 'fs',
    action: 'write_file',
    resource: `cwd://notes/${index}.txt`,
    argsHash: 'a'.repeat(64),
    authorization: { layer: 'approval', verdict: 'allow', reason: 'allowed once by bench', ref: null },
    outcome: 'accepted',
    count: null,
    digest: null,
  };
}

/** Appends with fdatasync and a signed checkpoint before each acknowledgement, then the offline verification of the same log. */
export async function measureAudit(): Promise<Figure[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'astrid-bench-'));
  try {
    const paths = { logDir: join(scratch, 'log'), keyPath: join(scratch, 'key'), pubPath: join(scratch, 'pub') };
    const spawn = () => spawnAuditor({ ...paths, origin: 'astrid.local/0000000000000000' });
    const client = new AuditClient({
      spawn,
      checkpointPath: join(scratch, 'checkpoint'),
      publicKeyPath: paths.pubPath,
      now: Date.now,
    });
    await client.start();
    const rates = async (inFlight: number, total: number): Promise<Figure> => {
      const samples: number[] = [];
      let next = 0;
      const lane = async () => {
        while (next < total) {
          const start = performance.now();
          await client.append(auditEvent(next++));
          samples.push(performance.now() - start);
        }
      };
      const start = performance.now();
      await Promise.all(Array.from({ length: inFlight }, lane));
      const perSecond = total / ((performance.now() - start) / 1000);
      return single(`audit append with fsync, ${inFlight} in flight`, '/s', perSecond, 'aim ≥ 10,000 at 64');
    };
    const figures = [await rates(1, 500), await rates(64, 40_000)];
    await client.close();
    const { verifyDirectory } = await import('./verify-rate.js');
    figures.push(await verifyDirectory(paths.logDir, paths.pubPath));
    if (readdirSync(paths.logDir).length === 0) throw new Error('nothing was written');
    return figures;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** From the start of the program to the ready marker with the five capsules, warm files; and their memory. */
export async function measureBoot(): Promise<Figure[]> {
  const samples: number[] = [];
  const first = await startSupervisor({ realBuiltins: true });
  await first.kill('SIGTERM');
  let last = first;
  for (let round = 0; round < 7; round++) {
    const start = performance.now();
    last = await first.again();
    samples.push(performance.now() - start);
    if (round < 6) await last.kill('SIGTERM');
  }
  const client = await last.connect();
  const rows = (await client.request('ps', {})) as ProcessRow[];
  const memory = rows.map(({ pid }) => (readPssBytes(pid ?? 0) ?? 0) / 1024 / 1024);
  const supervisor = (readPssBytes(last.child.pid ?? 0) ?? 0) / 1024 / 1024;
  client.close();
  await last.end();
  return [
    figureOf('boot to ready, five capsules', 'ms', samples, 'aim ≤ 2,000'),
    figureOf('memory of a capsule process, PSS', 'MiB', memory, `${rows.length} capsules`),
    single('memory of the supervisor, PSS', 'MiB', supervisor),
  ];
}
