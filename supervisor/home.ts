import { constants } from 'node:fs';
import { chmod, mkdir, open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../abi/errno.js';
import { makeDirectories } from '../abi/make-directories.js';

/** Longest path of a Unix socket that every platform we know accepts. */
const SOCKET_PATH_BYTES_MAX = 103;
const PRIVATE_DIR = 0o700;

/** Every place below the Astrid home (ABI reference 6.7). */
export interface Home {
  readonly root: string;
  readonly socket: string;
  /** The listener that the net calls give to uplink capsules; not the kernel's own. */
  readonly uplinkSocket: string;
  readonly token: string;
  readonly ready: string;
  readonly auditKey: string;
  readonly auditPub: string;
  readonly auditLog: string;
  readonly checkpoint: string;
  readonly secretsKey: string;
  readonly state: string;
  readonly overlays: string;
  readonly blobs: string;
  readonly principals: string;
  readonly config: string;
}

const DIRECTORIES = [
  'run',
  'keys',
  'var',
  'var/audit',
  'var/state',
  'var/overlay',
  'var/secrets',
  'bin',
  'home',
  'etc',
];

/**
 * Makes the home where it is missing and refuses one that others can enter: the socket, the token and the keys inside are
 * only as private as their directory. Throws Fault bad_home.
 */
export async function openHome(path: string): Promise<Home> {
  if (!path.startsWith('/')) throw new Fault('bad_home', 'the home must be an absolute path', { field: 'home' });
  await makePrivate(path);
  const root = await realpath(path);
  for (const name of DIRECTORIES) await makePrivate(join(root, name));
  const home = describeHome(root);
  if (Buffer.byteLength(home.socket) > SOCKET_PATH_BYTES_MAX) {
    const most = SOCKET_PATH_BYTES_MAX - 'run/system.sock'.length - 1;
    throw new Fault('bad_home', `the home's path is too long for a socket inside it; at most ${most} bytes`, {
      field: 'home',
    });
  }
  return home;
}

function describeHome(root: string): Home {
  return {
    root,
    socket: join(root, 'run/system.sock'),
    uplinkSocket: join(root, 'run/uplink.sock'),
    token: join(root, 'run/system.token'),
    ready: join(root, 'run/system.ready'),
    auditKey: join(root, 'keys/audit.key'),
    auditPub: join(root, 'keys/audit.pub'),
    auditLog: join(root, 'var/audit'),
    checkpoint: join(root, 'var/checkpoint'),
    secretsKey: join(root, 'keys/secrets.key'),
    state: join(root, 'var/state'),
    overlays: join(root, 'var/overlay'),
    blobs: join(root, 'bin'),
    principals: join(root, 'home'),
    config: join(root, 'etc/config.toml'),
  };
}

async function makePrivate(path: string): Promise<void> {
  try {
    await makeDirectories(path, PRIVATE_DIR);
    await checkPrivate(path);
  } catch (error) {
    if (error instanceof Fault) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new Fault('bad_home', `${path} cannot be used as a directory (${code})`, { field: 'home', cause: error });
  }
}

/** Looks at the directory through an open handle, so that what was checked is what is there. */
async function checkPrivate(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { mode, uid } = await handle.stat();
    if (uid !== process.getuid?.()) throw new Fault('bad_home', `${path} belongs to another user`, { field: 'home' });
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new Fault('bad_home', `${path} is open to others (mode ${octal}); make it private: chmod 700`, {
        field: 'home',
      });
    }
  } finally {
    await handle.close();
  }
}

/** Directories of one principal; the name was checked to be a plain word before. */
export async function openPrincipalHome(
  home: Home,
  principal: string,
): Promise<{ root: string; log: string; tmp: string }> {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(principal))
    throw new Fault('invalid_argument', 'a principal of the wrong form', { field: 'principal' });
  const root = join(home.principals, principal);
  const log = join(root, '.local/log');
  const tmp = join(root, '.local/tmp');
  for (const path of [root, log, tmp, join(root, '.local/capsules'), join(root, '.config/env')]) {
    await mkdir(path, { recursive: true, mode: PRIVATE_DIR });
    await chmod(path, PRIVATE_DIR);
  }
  return { root, log, tmp };
}
