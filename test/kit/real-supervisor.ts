import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../../cli/client.js';
import { openHome } from '../../cli/home.js';
import { CapsuleStore } from '../../supervisor/capsule/store.js';
import { openHome as openSupervisorHome } from '../../supervisor/home.js';
import { openPool } from '../../supervisor/pool/pool.js';
import { PACKAGE_ROOT } from './package-root.js';

export interface InstalledGuest {
  readonly manifest: string;
  readonly wasm: Uint8Array;
}

export interface RealSupervisor {
  readonly home: string;
  readonly workspace: string;
  readonly child: ChildProcess;
  connect(): Promise<ControlClient>;
  /** Lines of the supervisor's own log so far. */
  readonly log: string[];
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts another supervisor over the same home. */
  again(): Promise<RealSupervisor>;
  /** Stops it and removes everything. */
  end(): Promise<void>;
}

export interface SupervisorOptions {
  /** Guests that ship with the system, instead of the real ones. */
  readonly builtins?: Readonly<Record<string, InstalledGuest>>;
  /** Guests a person installed: tier `jail`. */
  readonly installed?: Readonly<Record<string, InstalledGuest>>;
  /** True: the five capsules of the system, too. */
  readonly realBuiltins?: boolean;
  readonly config?: string;
  /** PATH of the supervisor: what it finds there decides what it can isolate with. */
  readonly searchPath?: string;
  /** An existing empty directory for everything; otherwise a temporary one. */
  readonly root?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** A real supervisor in a process of its own, over a home of its own. */
export async function startSupervisor(options: SupervisorOptions = {}): Promise<RealSupervisor> {
  const root = options.root ?? mkdtempSync(join(tmpdir(), 'astrid-'));
  const home = join(root, 'home');
  const workspace = join(root, 'work');
  for (const path of [home, join(home, 'etc'), workspace]) {
    mkdirSync(path, { mode: 0o700 });
    chmodSync(path, 0o700);
  }
  if (options.config !== undefined) writeFileSync(join(home, 'etc/config.toml'), options.config, { mode: 0o600 });
  for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(workspace, name), text);
  const builtins = options.realBuiltins === true ? join(PACKAGE_ROOT, 'dist/capsules') : join(root, 'builtins');
  if (options.realBuiltins !== true) mkdirSync(builtins, { mode: 0o700 });
  writeBuiltins(builtins, options.builtins ?? {});
  await installGuests(home, options.installed ?? {});
  try {
    return await launch({
      root,
      home,
      workspace,
      builtins,
      keepRoot: options.root !== undefined,
      searchPath: options.searchPath,
    });
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

export function writeBuiltins(directory: string, guests: Readonly<Record<string, InstalledGuest>>): void {
  for (const [name, guest] of Object.entries(guests)) {
    mkdirSync(join(directory, name), { mode: 0o700 });
    writeFileSync(join(directory, name, 'Capsule.toml'), guest.manifest);
    writeFileSync(join(directory, name, `${name}.wasm`), guest.wasm);
  }
}

export async function installGuests(home: string, guests: Readonly<Record<string, InstalledGuest>>): Promise<void> {
  if (Object.keys(guests).length === 0) return;
  await openSupervisorHome(home);
  const pool = openPool();
  try {
    const store = new CapsuleStore({ home, worker: pool });
    for (const { manifest, wasm } of Object.values(guests)) {
      await store.installCapsule({
        principal: 'default',
        manifestText: manifest,
        wasm: Buffer.from(wasm),
        source: 'test',
      });
    }
  } finally {
    await pool.close();
  }
}

interface Places {
  readonly root: string;
  readonly home: string;
  readonly workspace: string;
  readonly builtins: string;
  readonly keepRoot: boolean;
  readonly searchPath: string | undefined;
}

async function launch(places: Places): Promise<RealSupervisor> {
  const { root, home, workspace, builtins } = places;
  const main = join(PACKAGE_ROOT, 'dist/supervisor/main.bundle.mjs');
  const child = spawn(process.execPath, [main, '--home', home, '--builtins', builtins], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: places.searchPath === undefined ? process.env : { ...process.env, PATH: places.searchPath },
  });
  const log: string[] = [];
  const exited = once(child, 'exit');
  const ready = new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      for (const line of chunk.toString('utf8').split('\n').filter(Boolean)) {
        log.push(line);
        if (line.includes('"step":"ready"')) resolve();
        if (line.includes('boot failed')) reject(new Error(line));
      }
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    child.once('exit', (code, signal) =>
      reject(new Error(`the supervisor ended (${code ?? signal}):\n${log.join('\n')}`)),
    );
  });
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  try {
    await ready;
  } catch (error) {
    await kill('SIGKILL');
    throw error;
  }
  return {
    home,
    workspace,
    child,
    log,
    kill,
    connect: async () => {
      const opened = await openHome(home);
      try {
        return await ControlClient.connect(opened);
      } finally {
        await opened.close();
      }
    },
    again: () => launch(places),
    end: async () => {
      await kill('SIGTERM');
      if (!places.keepRoot) rmSync(root, { recursive: true, force: true });
    },
  };
}

/** What a pid runs now, or nothing: a pid alone may be another process by now. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Host pids below a process, from /proc: what must be gone when a supervisor is. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}
