import { EXIT, Fault } from '../../abi/errno.js';
import { ControlClient } from '../client.js';
import { type CommandRun, connectOrStart } from '../context.js';
import { type Home, openHome } from '../home.js';

const STOP_WAIT_MS = 30_000;
const STOP_LOOK_MS = 50;

/** `astrid start`: starts the supervisor, or says that it runs already. */
export const runStart: CommandRun = async (context) => {
  const client = await connectOrStart(context);
  try {
    const row = { pid: client.supervisorPid, version: client.version, home: context.homePath };
    if (context.json) context.io.out.json(row);
    else context.io.out.line(`supervisor running, pid ${row.pid}, home ${row.home}`);
    return EXIT.ok;
  } finally {
    client.close();
  }
};

/** `astrid stop`: returns once nobody listens and the process is gone, so that a start right after finds no rest of it. */
export const runStop: CommandRun = async (context) => {
  const home = await openHome(context.homePath);
  try {
    const client = await ControlClient.connect(home);
    const { supervisorPid } = client;
    try {
      await requestStop(client);
      await waitGone(home, supervisorPid);
    } finally {
      client.close();
    }
    if (context.json) context.io.out.json({ pid: supervisorPid, stopped: true });
    else context.io.out.line(`supervisor stopped, pid ${supervisorPid}`);
    return EXIT.ok;
  } finally {
    await home.close();
  }
};

async function requestStop(client: ControlClient): Promise<void> {
  try {
    await client.request('stop', {}, { waitMs: STOP_WAIT_MS });
  } catch (error) {
    // Stopping closes this connection, with or without an answer first.
    if (!(error instanceof Fault) || error.code !== 'connection_closed') throw error;
  }
}

/** Whether the supervisor with this pid still answers; another one that was started meanwhile does not count. */
async function isListening(home: Home, pid: number): Promise<boolean> {
  try {
    const client = await ControlClient.connect(home);
    client.close();
    return client.supervisorPid === pid;
  } catch (error) {
    return !(error instanceof Fault && error.code === 'not_running');
  }
}

/** Signal 0 asks only whether the process is there. A pid of 0 (not told) counts as gone. */
function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function waitGone(home: Home, pid: number): Promise<void> {
  const deadline = performance.now() + STOP_WAIT_MS;
  while (performance.now() < deadline) {
    if (!isAlive(pid) && !(await isListening(home, pid))) return;
    await new Promise((resolve) => setTimeout(resolve, STOP_LOOK_MS));
  }
  throw new Fault('timed_out', `the supervisor is still there ${STOP_WAIT_MS / 1000} s after it was asked to stop`);
}
