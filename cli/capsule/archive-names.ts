import { LIMITS } from '../../abi/limits.js';
import { archiveFault } from './archive-fault.js';

type EntryKind = 'file' | 'directory';

interface Taken {
  readonly spelling: string;
  readonly kind: EntryKind;
  /** Only named as a parent so far: a header for it may still come, once. */
  implied: boolean;
}

/**
 * The paths of one archive: each is checked alone and against all before it, parents included, so that no file system
 * and no other reader could take two entries for one.
 */
export class ArchiveNames {
  readonly #taken = new Map<string, Taken>();

  /** The path as everyone writes it: no leading `./`, no trailing slash. Empty for the root itself. */
  add(name: string, kind: EntryKind): string {
    const path = normaliseName(name, kind);
    if (path === '') return path;
    const segments = path.split('/');
    for (let depth = 1; depth < segments.length; depth++) {
      this.#take(segments.slice(0, depth).join('/'), 'directory', true);
    }
    this.#take(path, kind, false);
    return path;
  }

  #take(path: string, kind: EntryKind, implied: boolean): void {
    const key = foldName(path);
    const there = this.#taken.get(key);
    if (there === undefined) {
      this.#taken.set(key, { spelling: path, kind, implied });
      return;
    }
    if (there.spelling !== path) {
      const sameLetters = there.spelling.normalize('NFKC') === path.normalize('NFKC');
      throw archiveFault(sameLetters ? 'unicode_clash' : 'case_clash', path);
    }
    if (there.kind !== kind || !(implied || there.implied)) throw archiveFault('duplicate', path);
    if (!implied) there.implied = false;
  }
}

/** One form for all spellings that some file system or reader treats as the same. */
function foldName(path: string): string {
  return path.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

function normaliseName(name: string, kind: EntryKind): string {
  if (Buffer.byteLength(name) > LIMITS.archiveNameBytesMax) throw archiveFault('name', name);
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) throw archiveFault('control_character', name);
  if (name.includes('\\')) throw archiveFault('backslash', name);
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw archiveFault('absolute_path', name);
  const bare = kind === 'directory' ? name.replace(/\/$/, '') : name;
  const segments = bare.split('/');
  if (segments.includes('..')) throw archiveFault('parent_path', name);
  if (segments[0] === '.') segments.shift();
  if (segments.length === 0 && kind === 'directory') return '';
  if (segments.length === 0 || segments.some((segment) => segment === '' || segment === '.')) {
    throw archiveFault('name', name);
  }
  return segments.join('/');
}
