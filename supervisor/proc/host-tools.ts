import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../../abi/errno.js';
import { type JailPaths, jailArguments } from './sandbox-profile.js';

const run = promisify(execFile);
const PROBE_MS = 10_000;

/** The programs that workers are started with; null where the machine has none. */
export interface HostTools {
  readonly bwrap: string | null;
  readonly prlimit: string | null;
  readonly setpriv: string | null;
  readonly env: string | null;
  /** The keyring's own program, for `[secrets] store = "keyring"`. */
  readonly secretTool: string | null;
  /** Shared libraries of the running Node; empty for a static one. */
  readonly libraries: readonly string[];
}

export async function findHostTools(searchPath: string): Promise<HostTools> {
  const [bwrap, prlimit, setpriv, env, ldd, secretTool] = await Promise.all(
    ['bwrap', 'prlimit', 'setpriv', 'env', 'ldd', 'secret-tool'].map((name) => findProgram(name, searchPath)),
  );
  const libraries = ldd ? await listLibraries(ldd) : [];
  return {
    bwrap: bwrap ?? null,
    prlimit: prlimit ?? null,
    setpriv: setpriv ?? null,
    env: env ?? null,
    secretTool: secretTool ?? null,
    libraries,
  };
}

/** Why the jail cannot be had on this machine, or null when a real start inside it succeeded. */
export async function probeJail(tools: HostTools, workerBundle: string): Promise<Fault | null> {
  if (process.platform !== 'linux') return noJail('the jail needs Linux');
  if (tools.bwrap === null)
    return noJail('bubblewrap is not installed (Debian and Ubuntu: apt-get install bubblewrap)');
  try {
    const paths: JailPaths = { node: process.execPath, libraries: tools.libraries, workerBundle };
    await run(tools.bwrap, [...jailArguments(paths), process.execPath, '--version'], { timeout: PROBE_MS, env: {} });
    return null;
  } catch (error) {
    const stderr =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(0, 300) : String(error);
    return noJail(`bubblewrap cannot make its namespaces here: ${stderr}`);
  }
}

function noJail(why: string): Fault {
  const wayOut = 'or accept the weaker tier for a capsule in etc/config.toml: [tiers] accept_weaker = ["NAME"]';
  return new Fault('tier_unavailable', `${why}; ${wayOut}`);
}

async function findProgram(name: string, searchPath: string): Promise<string | null> {
  for (const directory of searchPath.split(delimiter)) {
    if (directory === '' || !directory.startsWith('/')) continue;
    const candidate = join(directory, name);
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }
  return null;
}

/** Paths that `ldd` resolves for the Node binary: `name => /path (address)` and the loader's own line. */
async function listLibraries(ldd: string): Promise<string[]> {
  try {
    const { stdout } = await run(ldd, [process.execPath], { timeout: PROBE_MS });
    return parseLdd(stdout);
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}

export function parseLdd(output: string): string[] {
  const paths = output.split('\n').map((line) => /(?:=>\s+)?(\/\S+)\s+\(0x[0-9a-f]+\)/.exec(line.trim())?.[1]);
  return [...new Set(paths.filter((path): path is string => path !== undefined))];
}
