import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import fc from 'fast-check';
import { Fault } from '../../../abi/errno.js';
import { DirectMount } from '../../../supervisor/vfs/direct-mount.js';
import { countHeldHandles, openRoot } from '../../../supervisor/vfs/held-dir.js';
import type { Mount } from '../../../supervisor/vfs/mount.js';
import { Overlay } from '../../../supervisor/vfs/overlay.js';
import { parseGuestPath } from '../../../supervisor/vfs/path.js';
import { StorageQuota } from '../../../supervisor/vfs/quota.js';
import { answerOf, asyncProperty, type FuzzTarget, property } from '../target.js';

const SECRET = 'SECRET';
const QUOTA_BYTES = 64 * 1024 * 1024;
const NAMES = [
  'a',
  'b',
  'c',
  'l',
  'm',
  '...',
  '..a',
  ' ',
  '-',
  'é',
  'e\u0301',
  'a\\b',
  'A',
  '\n',
  '*',
  '%2e',
  '\u202e',
  'x'.repeat(255),
];
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...NAMES.slice(0, 5)) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES) },
);
const step = fc.oneof({ weight: 4, arbitrary: name }, { weight: 2, arbitrary: fc.constantFrom('..', '.', '') });
const targetText = fc.oneof(
  { weight: 6, arbitrary: fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join('/')) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '..',
      '../..',
      '../outside',
      '../outside/secret',
      '../../outside/secret',
      '../lower/a',
      '.',
      '../../../../../../etc/passwd',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('OUTSIDE/secret', 'ROOT/a', 'OUTSIDE', '/', '/proc/self/root', '/proc/self/cwd'),
  },
);
const place = fc.array(name, { minLength: 1, maxLength: 3 });
const entry = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('file' as const), at: place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('directory' as const), at: place }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('link' as const), at: place, target: targetText }) },
);
const guestText = fc
  .tuple(fc.constantFrom('cwd://', '', '', '/'), fc.array(step, { maxLength: 7 }))
  .map(([prefix, steps]) => prefix + steps.join('/'));

const action = fc.constantFrom('read', 'read', 'read', 'write', 'mkdir', 'unlink');
const anyEntries = fc.array(entry, { minLength: 1, maxLength: 12 });
/** Half of the paths begin at something that is there: among random names links are seldom met. */
const scene = anyEntries.chain((entries) => {
  const known = fc
    .tuple(fc.constantFrom(...entries), fc.array(step, { maxLength: 3 }))
    .map(([{ at }, more]) => [...at, ...more].join('/'));
  return fc.record({
    entries: fc.constant(entries),
    steps: fc.array(fc.record({ action, path: fc.oneof(known, guestText) }), { minLength: 4, maxLength: 12 }),
    layered: fc.boolean(),
  });
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

/** A directory with entries, some of them links that lead out of it, beside one that nothing may touch. */
function build(dir: string, { entries }: Scene): { root: string; outside: string } {
  const [root, outside] = [join(dir, 'lower'), join(dir, 'outside')];
  for (const path of [root, outside, join(outside, 'a'), join(dir, 'work'), join(dir, 'upper'), join(dir, 'meta')])
    mkdirSync(path);
  writeFileSync(join(outside, 'secret'), SECRET);
  writeFileSync(join(outside, 'b'), SECRET);
  // Links come last, when every directory is there: nothing is ever planted through one.
  for (const one of entries) {
    const path = join(root, ...one.at);
    plantOne(() => mkdirSync(one.kind === 'directory' ? path : dirname(path), { recursive: true }));
    if (one.kind === 'file') plantOne(() => writeFileSync(path, `file ${one.at.join('/')}`, { flag: 'wx' }));
  }
  for (const one of entries) {
    if (one.kind !== 'link') continue;
    const target = one.target.replace('OUTSIDE', outside).replace('ROOT', root);
    plantOne(() => symlinkSync(target, join(root, ...one.at)));
  }
  return { root, outside };
}

/** A name that is taken, or below a file, is left out: the tree is made of what fits. */
function plantOne(make: () => void): void {
  try {
    make();
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown)) throw thrown;
  }
}

type Resolved = { readonly path: string } | 'escapes' | 'missing' | 'loop';

/** What the kernel's rules (path_resolution(7)) say about a path, one name at a time, with a wall around the root. */
function resolve(root: string, names: readonly string[]): Resolved {
  let at: string[] = [];
  let rest = [...names];
  for (let links = 0; rest.length > 0; ) {
    const [next, ...after] = rest as [string, ...string[]];
    rest = after;
    if (next === '' || next === '.') {
      if (!isDirectory(join(root, ...at))) return 'missing';
      continue;
    }
    if (!isDirectory(join(root, ...at))) return 'missing';
    if (next === '..') {
      if (at.length === 0) return 'escapes';
      at = at.slice(0, -1);
      continue;
    }
    const path = join(root, ...at, next);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return 'missing';
    if (!stat.isSymbolicLink()) {
      at = [...at, next];
      continue;
    }
    links += 1;
    if (links > 40) return 'loop';
    const target = readlinkSync(path);
    if (target.startsWith('/')) return 'escapes';
    rest = [...target.split('/'), ...rest];
  }
  return { path: join(root, ...at) };
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** All names and contents below a directory, links as their text. */
function snapshot(dir: string): string {
  const rows = readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return rows
    .map((row) => {
      const path = join(dir, row.name);
      if (row.isDirectory()) return `${row.name}/{${snapshot(path)}}`;
      return `${row.name}=${row.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'utf8')}`;
    })
    .join('\n');
}

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'ok';
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.code === 'internal' || thrown.code === 'io_error') throw thrown;
    if (thrown.message.includes(tmpdir())) throw new Error(`a host path leaks: ${thrown.message}`);
    return thrown.code;
  }
}

/** Compares one read with what realpath and the walk say. `root` is what the view shows: no writes so far. */
async function readsAlike(mount: Mount, root: string, segments: readonly string[]): Promise<string | null> {
  let content: Buffer | null = null;
  const code = await codeOf(async () => {
    content = await mount.readFile(segments);
  });
  if (content !== null && String(content) === SECRET) return 'a file outside of the root was read';
  const wanted = resolve(root, segments);
  if (typeof wanted === 'string') return code === 'ok' ? `read what ${wanted}` : null;
  if (realpathSync(join(root, ...segments)) !== wanted.path) return 'the oracle and realpath disagree';
  if (isDirectory(wanted.path)) return code === 'is_a_directory' ? null : `a directory is ${code}`;
  if (content === null) return `a file is ${code}`;
  if (!readFileSync(wanted.path).equals(content)) return 'another file was read';
  const shown = (await mount.realPath(segments)).segments.join('/');
  return shown === relative(root, wanted.path) ? null : `leads to ${shown}`;
}

async function open(dir: string, root: string, layered: boolean): Promise<Mount & { close(): Promise<void> }> {
  const quota = new StorageQuota(QUOTA_BYTES);
  if (!layered) return new DirectMount('home', await openRoot(root, 'home'), quota, new Set());
  const dirs = { lower: root, upper: join(dir, 'upper'), work: join(dir, 'work'), meta: join(dir, 'meta') };
  return Overlay.open(dirs, { quota });
}

async function play(mount: Mount, root: string, { steps, layered }: Scene): Promise<void> {
  let isChanged = false;
  for (const { action: what, path } of steps) {
    const segments = answerOf(['invalid_argument', 'too_large', 'escapes_root'], () => parseGuestPath(path))?.segments;
    if (segments === undefined) continue;
    if (what === 'read' && !(layered && isChanged)) {
      const wrong = await readsAlike(mount, root, segments);
      if (wrong !== null) throw new Error(`${JSON.stringify(path)}: ${wrong}`);
      continue;
    }
    isChanged = true;
    if (what === 'write') await codeOf(() => mount.writeFile(segments, Buffer.from('written')));
    else if (what === 'mkdir') await codeOf(() => mount.mkdir(segments));
    else if (what === 'unlink') await codeOf(() => mount.unlink(segments));
    else await codeOf(() => mount.readFile(segments));
  }
}

async function staysInside(one: Scene): Promise<boolean> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'astrid-fuzz-')));
  try {
    const { root, outside } = build(dir, one);
    const [outsideBefore, rootBefore] = [snapshot(outside), snapshot(root)];
    const handles = countHeldHandles();
    const mount = await open(dir, root, one.layered);
    try {
      await play(mount, root, one);
    } finally {
      await mount.close();
    }
    if (countHeldHandles() !== handles) throw new Error(`${countHeldHandles() - handles} handles are left open`);
    if (snapshot(outside) !== outsideBefore) throw new Error('something outside of the root was changed');
    return !one.layered || snapshot(root) === rootBefore;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const anyText = fc.oneof(
  guestText,
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.tuple(guestText, fc.nat(5000)).map(([text, times]) => text.repeat(times).slice(0, 6000)),
);

export const PATHS: FuzzTarget = [
  asyncProperty(
    'any path through any links, reads what realpath says and touches nothing outside',
    400,
    scene,
    staysInside,
  ),
  property('any text, is names below one root or a Fault, and shows what it is', 4000, anyText, (text) => {
    const path = answerOf(['invalid_argument', 'too_large', 'escapes_root'], () => parseGuestPath(text));
    if (path === null) return true;
    const isPlain = path.segments.every((one) => !['', '.', '..'].includes(one) && !/[/\0]/.test(one));
    return isPlain && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(path.display);
  }),
];
