import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeFrame } from '../../bus/frame.js';
import type { ExitStatus, WorkerProcess } from '../../supervisor/proc/spawn.js';

export type FakeWorker = ReturnType<typeof fakeWorker>;

/** A worker whose exit and whose channel end when the test says so: their order is not fixed in the real world. */
export function fakeWorker() {
  const out = new PassThrough();
  const into = new PassThrough();
  into.resume();
  let exit: (status: ExitStatus) => void = () => undefined;
  const exited = new Promise<ExitStatus>((resolve) => {
    exit = resolve;
  });
  const signals: string[] = [];
  const worker: WorkerProcess = {
    pid: 2 ** 30,
    tier: 'jail',
    channel: { input: out, output: into },
    stderr: new PassThrough(),
    exited,
    kill: (signal) => void signals.push(signal),
  };
  return {
    worker,
    exit,
    signals,
    send: (value: unknown) => void out.write(encodeFrame(value)),
    endChannel: () => void out.end(),
  };
}

/** Everything that can follow without the outside world has followed. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn();
}
