import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { countHeldHandles } from '../../supervisor/vfs/held-dir.js';
import type { Mount } from '../../supervisor/vfs/mount.js';
import { parseGuestPath } from '../../supervisor/vfs/path.js';
import { type ByteQuota, StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles, type SessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';

/** A tree as text: a name that ends in `/` is an empty directory, a content that starts with `-> ` a link. */
export type Tree = Readonly<Record<string, string>>;

export function plant(root: string, tree: Tree): void {
  for (const [name, content] of Object.entries(tree)) {
    const path = join(root, name);
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), path);
    else if (!name.endsWith('/')) writeFileSync(path, content);
  }
}

export interface Place {
  readonly dir: string;
  readonly workspace: string;
  readonly outside: string;
  readonly options: SessionFilesOptions;
}

/** Directories of one session, removed with the test, which fails if a handle or descriptor is left open. */
export function makePlace(t: Test, tree: Tree = {}, quota: ByteQuota = new StorageQuota(64 * 1024 * 1024)): Place {
  const dir = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  const workspace = join(dir, 'workspace');
  const outside = join(dir, 'outside');
  mkdirSync(workspace, { mode: 0o755 });
  mkdirSync(outside);
  plant(workspace, tree);
  writeFileSync(join(outside, 'secret'), 'SECRET');
  t.teardown(() => {
    const open = listOpenFiles(dir);
    rmSync(dir, { recursive: true, force: true });
    // No assertions in a teardown: they would come after the test's end.
    if (countHeldHandles() !== 0) throw new Error(`${countHeldHandles()} handles are left open`);
    if (open.length > 0) throw new Error(`left open: ${open.join(', ')}`);
  });
  const options = {
    workspace,
    stateDir: join(dir, 'state'),
    homeDir: join(dir, 'home'),
    tmpDir: join(dir, 'home/.local/tmp'),
    quota,
  };
  return { dir, workspace, outside, options };
}

/** Descriptors of this process that lead into a directory, also those of the thread pool's making. */
function listOpenFiles(dir: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(dir) ? [target] : [];
    } catch {
      return []; // the descriptor that listed the directory is gone again
    }
  });
}

export interface Session extends Place {
  readonly files: SessionFiles;
  readonly guest: Guest;
}

export async function openSession(t: Test, tree: Tree = {}, quota?: ByteQuota): Promise<Session> {
  const place = makePlace(t, tree, quota);
  const files = await openSessionFiles(place.options);
  t.teardown(() => files.close());
  return { ...place, files, guest: new Guest(files) };
}

/** The filesystem calls as a capsule makes them: by path text. */
export class Guest {
  readonly #files: SessionFiles;

  constructor(files: SessionFiles) {
    this.#files = files;
  }

  #at(text: string): { mount: Mount; segments: readonly string[] } {
    const path = parseGuestPath(text);
    return { mount: this.#files.mount(path), segments: path.segments };
  }

  async exists(text: string): Promise<boolean> {
    const { mount, segments } = this.#at(text);
    return mount.exists(segments);
  }

  async stat(text: string) {
    const { mount, segments } = this.#at(text);
    return mount.stat(segments);
  }

  async readdir(text: string): Promise<string[]> {
    const { mount, segments } = this.#at(text);
    return mount.readdir(segments);
  }

  async read(text: string): Promise<string> {
    const { mount, segments } = this.#at(text);
    return (await mount.readFile(segments)).toString();
  }

  async write(text: string, content: string | Uint8Array): Promise<void> {
    const { mount, segments } = this.#at(text);
    await mount.writeFile(segments, typeof content === 'string' ? Buffer.from(content) : content);
  }

  async mkdir(text: string): Promise<void> {
    const { mount, segments } = this.#at(text);
    await mount.mkdir(segments);
  }

  async unlink(text: string): Promise<void> {
    const { mount, segments } = this.#at(text);
    await mount.unlink(segments);
  }

  /** The whole view: paths with their content, directories with a slash at the end. */
  async tree(text = 'cwd://'): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    const visit = async (prefix: string): Promise<void> => {
      for (const name of await this.readdir(`${text}${prefix}`)) {
        const path = `${prefix}${name}`;
        if ((await this.stat(`${text}${path}`)).isDir) {
          found[`${path}/`] = '';
          await visit(`${path}/`);
        } else {
          found[path] = await this.read(`${text}${path}`);
        }
      }
    };
    await visit('');
    return found;
  }
}

/** The code of the Fault that an action ends with, or `ok`. A message must never name a host path. */
export async function codeOf(action: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof action === 'function' ? action() : action);
    return 'ok';
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (/astrid-vfs-|(^|[\s'])\/|E[A-Z]+: /.test(error.message)) throw new Error(`a host path leaks: ${error.message}`);
    return error.code;
  }
}

/** What is on disk, in the form of `Guest.tree`; links as `-> target`, anything else as its kind. */
export function diskTree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (prefix: string): void => {
    for (const row of readdirSync(join(root, prefix), { withFileTypes: true })) {
      const path = `${prefix}${row.name}`;
      if (row.isDirectory()) {
        found[`${path}/`] = '';
        visit(`${path}/`);
      } else {
        found[path] = row.isFile()
          ? readFileSync(join(root, path), 'utf8')
          : row.isCharacterDevice()
            ? '(device)'
            : '(other)';
      }
    }
  };
  visit('');
  return found;
}
