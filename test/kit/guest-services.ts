import { Fault } from '../../abi/errno.js';

/** Files and values of the fake kernel, in memory, with the error codes of the real one. */

const ROOTS = new Set(['cwd://', 'home://']);

export class GuestFiles {
  /** By full path, `cwd://a/b`; null is a directory. */
  readonly entries = new Map<string, Buffer | null>();

  write(path: string, content: string | Buffer): void {
    const place = normalise(path);
    if (ROOTS.has(place) || this.entries.get(place) === null)
      throw new Fault('is_a_directory', `${path} is a directory`);
    const parent = parentOf(place);
    if (!ROOTS.has(parent)) this.mkdir(parent);
    this.entries.set(place, Buffer.from(content));
  }

  read(path: string): Buffer {
    const found = this.#find(path);
    if (found === null) throw new Fault('is_a_directory', `${path} is a directory`);
    return found;
  }

  stat(path: string): string {
    const found = this.#find(path);
    return JSON.stringify({ size: found?.length ?? 0, isDir: found === null, mtime: 0 });
  }

  exists(path: string): boolean {
    return ROOTS.has(normalise(path)) || this.entries.has(normalise(path));
  }

  readdir(path: string): string {
    if (this.#find(path) !== null) throw new Fault('not_a_directory', `${path} is not a directory`);
    const place = normalise(path);
    const names = [...this.entries.keys()].filter((key) => key !== place && parentOf(key) === place);
    return JSON.stringify(names.map((key) => key.slice(key.lastIndexOf('/') + 1)).reverse());
  }

  mkdir(path: string): void {
    const place = normalise(path);
    if (ROOTS.has(place)) return;
    if (this.entries.has(place) && this.entries.get(place) !== null)
      throw new Fault('already_exists', `${path} is a file`);
    this.mkdir(parentOf(place));
    this.entries.set(place, null);
  }

  unlink(path: string): void {
    const place = normalise(path);
    if (this.#find(path) === null && [...this.entries.keys()].some((key) => parentOf(key) === place)) {
      throw new Fault('not_empty', `${path} is not empty`);
    }
    this.entries.delete(place);
  }

  #find(path: string): Buffer | null {
    const place = normalise(path);
    if (ROOTS.has(place)) return null;
    const found = this.entries.get(place);
    if (found === undefined) throw new Fault('not_found', `there is no ${path}`);
    return found;
  }
}

export class GuestValues {
  readonly entries = new Map<string, Buffer>();

  set(key: string, value: Buffer): void {
    if (key === '') throw new Fault('invalid_argument', 'the key is empty');
    if (value.length > 1024 * 1024) throw new Fault('too_large', `the value has ${value.length} bytes`);
    this.entries.set(key, value);
  }

  list(prefix: string): string[] {
    return [...this.entries.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  clear(prefix: string): number {
    const keys = this.list(prefix);
    for (const key of keys) this.entries.delete(key);
    return keys.length;
  }
}

function normalise(path: string): string {
  const match = /^(cwd|home):\/\/(.*)$/s.exec(path);
  const parts = (match?.[2] ?? path).split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Fault('escapes_root', `${path} leads out of its root`);
  return `${match?.[1] ?? 'cwd'}://${parts.join('/')}`;
}

function parentOf(place: string): string {
  const end = place.lastIndexOf('/');
  const root = place.slice(0, place.indexOf('://') + 3);
  return end < root.length ? root : place.slice(0, end);
}
