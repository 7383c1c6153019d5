import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KernelFiles } from '../../supervisor/files-service.js';
import { openHome } from '../../supervisor/home.js';
import { type Caller, HostProcesses } from '../../supervisor/host-process/service.js';
import { Sessions } from '../../supervisor/sessions.js';
import { hostTools } from '../kit/worker-bench.js';
import { type Figure, figureOf } from './figures.js';

const ROUNDS = 40;
const SESSION = 'bench';

/** `true`, started and waited for: in the sandbox over an overlay of its own, and by child_process alone. */
export async function measureSpawn(): Promise<Figure[]> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-bench-'));
  try {
    const plain = await sample(async () => void (await once(spawn('true', { stdio: 'ignore' }), 'exit')));
    const sandboxed = await measureSandboxed(root);
    return [
      figureOf('spawn_host of `true`, in the supervisor', 'ms', sandboxed, 'the line below'),
      figureOf('child_process.spawn of `true`', 'ms', plain, 'the floor'),
    ];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function measureSandboxed(root: string): Promise<number[]> {
  const workspace = join(root, 'work');
  mkdirSync(workspace);
  const home = await openHome(join(root, 'home'));
  const sessions = new Sessions({ put: async () => undefined, all: () => [] });
  await sessions.open({ id: SESSION, workspace, mode: undefined, defaultMode: 'guided', principal: 'default', now: 0 });
  const files = new KernelFiles(home, sessions);
  const processes = new HostProcesses({
    home: home.root,
    tools: await hostTools,
    network: [],
    openPlace: (actor) => files.openCommandPlace(actor),
    log: () => undefined,
    onFault: () => undefined,
  });
  const caller: Caller = {
    capsule: 'bench',
    sourceId: 'bench',
    actor: { principal: 'default', attribution: 'verified', session: SESSION },
    cancel: new AbortController().signal,
    toolCallId: null,
    setWaiting: () => undefined,
  };
  try {
    return await sample(async () => void (await processes.run({ argv: ['true'], line: 'true' }, caller)));
  } finally {
    await processes.close();
    await files.close();
  }
}

async function sample(work: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let round = -3; round < ROUNDS; round++) {
    const start = performance.now();
    await work();
    if (round >= 0) times.push(performance.now() - start);
  }
  return times;
}
