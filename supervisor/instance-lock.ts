import { createHash } from 'node:crypto';
import { stat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { Fault } from '../abi/errno.js';

const PROBE_MS = 2000;

/**
 * One supervisor per home. On Linux the lock is an abstract socket named after the home's device and inode: taking it is
 * atomic, and the kernel gives it back however the holder dies, so there is no stale lock and no pid to be reused. The
 * probe of the socket file tells a live supervisor elsewhere (another network namespace) from a leftover file.
 */
export async function takeInstanceLock(homeRoot: string, socketPath: string): Promise<() => Promise<void>> {
  const lock = process.platform === 'linux' ? await listenAbstract(homeRoot) : null;
  try {
    await clearStaleSocket(socketPath);
  } catch (error) {
    await close(lock);
    throw error;
  }
  return () => close(lock);
}

/** Removes a socket file that nobody listens on. Throws Fault already_running for one that answers. */
export async function clearStaleSocket(path: string): Promise<void> {
  if (await answers(path)) throw alreadyRunning();
  await removeIfThere(path);
}

async function listenAbstract(homeRoot: string): Promise<Server> {
  const { dev, ino } = await stat(homeRoot, { bigint: true });
  const name = createHash('sha256').update(`astrid instance ${dev} ${ino}`).digest('hex');
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? alreadyRunning() : error),
    );
    server.listen(`\0astrid-${name}`, () => resolve(server));
  });
}

/** Nobody listens there, or nothing is there. A busy listener answers EAGAIN. */
const STALE: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT']);

/** True when something accepts connections on the socket file. Rejects when that cannot be told. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PROBE_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EAGAIN') settle(true);
      else if (STALE.has(error.code)) settle(false);
      else reject(error);
    });
  });
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error;
  }
}

function alreadyRunning(): Fault {
  return new Fault('already_running', 'a supervisor is running for this home already; see: astrid status');
}

function close(server: Server | null): Promise<void> {
  return new Promise((resolve) => (server === null ? resolve() : server.close(() => resolve())));
}
