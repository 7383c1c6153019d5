import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { Fault } from '../abi/errno.js';
import { makeDirectories } from '../abi/make-directories.js';

const OTHERS = 0o077;
const TOKEN_BYTES_MAX = 4096;

/**
 * An Astrid home that was checked and is held open. What is checked is the open directory, and everything below is
 * reached through it, so that swapping the path afterwards (a symlink, a rename) changes nothing.
 */
export interface Home {
  readonly path: string;
  /** Path of something below the held directory, for calls that take a path. */
  readonly at: (relative: string) => string;
  readonly close: () => Promise<void>;
}

/**
 * The home's absolute path: `--home`, else `ASTRID_HOME`, else `~/.astrid`. An empty variable counts as none, as shells
 * treat it; an empty `--home` is most likely a variable that was not set, and must not reach the real home.
 */
export function resolveHome(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  if (flag === '') throw new Fault('invalid_argument', '--home must not be empty', { field: 'home' });
  const given = flag ?? env['ASTRID_HOME'];
  if (given === undefined || given === '') return join(homedir(), '.astrid');
  if (flag === undefined && !isAbsolute(given)) {
    throw new Fault('bad_home', `ASTRID_HOME must be an absolute path, it is ${JSON.stringify(given)}`, {
      field: 'ASTRID_HOME',
    });
  }
  return resolve(cwd, given);
}

function badHome(path: string, why: string): Fault {
  return new Fault('bad_home', `${path} ${why}`, { field: 'home' });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

async function checkHandle(handle: FileHandle, path: string, uid: number | undefined): Promise<void> {
  const found = await handle.stat();
  if (!found.isDirectory()) throw badHome(path, 'is not a directory');
  if (uid !== undefined && found.uid !== uid) {
    throw badHome(path, `belongs to user ${found.uid}, not to you (${uid})`);
  }
  if ((found.mode & OTHERS) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(3, '0');
    throw badHome(path, `is open to other users (mode ${mode}); close it with: chmod 700 ${JSON.stringify(path)}`);
  }
}

async function hasProcFd(): Promise<boolean> {
  return stat('/proc/self/fd').then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Opens and checks the home. Faults: `not_running` when there is none, `bad_home` when it is no directory, not ours,
 * or open to the group or to others.
 */
export async function openHome(path: string, uid: number | undefined = process.getuid?.()): Promise<Home> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') throw new Fault('not_running', `there is no Astrid home at ${path}; run: astrid start`);
    if (code === 'ENOTDIR') throw badHome(path, 'is not a directory');
    throw badHome(path, `cannot be opened (${code || String(error)})`);
  }
  try {
    await checkHandle(handle, path, uid);
  } catch (error) {
    await handle.close();
    throw error;
  }
  // Through /proc the path stays bound to the directory that was checked, and stays short enough for a socket name.
  const base = (await hasProcFd()) ? `/proc/self/fd/${handle.fd}` : path;
  return { path, at: (relative) => `${base}/${relative}`, close: () => handle.close() };
}

/** As `openHome`, making the directory (0700) when it is not there. */
export async function openOrMakeHome(path: string): Promise<Home> {
  try {
    await makeDirectories(path, 0o700);
  } catch (error) {
    throw badHome(path, `cannot be made (${codeOf(error) || String(error)})`);
  }
  return openHome(path);
}

/** The session token of the running supervisor, 64 hex digits. Faults: `not_running`, `bad_token`. */
export async function readToken(home: Home): Promise<string> {
  let handle: FileHandle;
  try {
    handle = await open(home.at('run/system.token'), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw notRunning();
    throw new Fault('bad_token', `run/system.token cannot be read (${codeOf(error) || String(error)})`);
  }
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(TOKEN_BYTES_MAX), 0, TOKEN_BYTES_MAX, 0);
    const token = buffer.toString('latin1', 0, bytesRead).trim();
    if (!/^[0-9a-fA-F]{64}$/.test(token)) {
      throw new Fault('bad_token', 'run/system.token is not 64 hex digits; restart with: astrid stop && astrid start');
    }
    return token;
  } finally {
    await handle.close();
  }
}

export function notRunning(): Fault {
  return new Fault('not_running', 'no supervisor is running for this home; run: astrid start');
}
