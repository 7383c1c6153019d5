import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { diffOverlay } from '../../supervisor/vfs/diff.js';
import { countHeldHandles } from '../../supervisor/vfs/held-dir.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { openSessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';
import { fc } from '../kit/property.js';
import { codeOf, diskTree, Guest, plant, type Tree } from './session-fixture.js';

/** The workspace in memory: a directory is null. Parents always exist. */
class Model {
  entries = new Map<string, string | null>();

  #problemAbove(path: string): string | null {
    const parts = path.split('/');
    for (let at = 1; at < parts.length; at++) {
      if (typeof this.entries.get(parts.slice(0, at).join('/')) === 'string') return 'not_a_directory';
    }
    return null;
  }

  #makeParents(path: string): void {
    const parts = path.split('/');
    for (let at = 1; at < parts.length; at++) this.entries.set(parts.slice(0, at).join('/'), null);
  }

  write(path: string, content: string): string {
    const problem = this.#problemAbove(path);
    if (problem !== null) return problem;
    if (this.entries.get(path) === null) return 'is_a_directory';
    this.#makeParents(path);
    this.entries.set(path, content);
    return 'ok';
  }

  mkdir(path: string): string {
    const problem = this.#problemAbove(path);
    if (problem !== null) return problem;
    if (typeof this.entries.get(path) === 'string') return 'already_exists';
    this.#makeParents(path);
    this.entries.set(path, null);
    return 'ok';
  }

  unlink(path: string): string {
    const problem = this.#problemAbove(path);
    if (problem !== null) return problem;
    if (!this.entries.has(path)) return 'not_found';
    if ([...this.entries.keys()].some((other) => other.startsWith(`${path}/`))) return 'not_empty';
    this.entries.delete(path);
    return 'ok';
  }

  tree(): Record<string, string> {
    const rows = [...this.entries].map(([path, content]) => [content === null ? `${path}/` : path, content ?? '']);
    return Object.fromEntries(rows);
  }
}

const path = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const content = fc.constantFrom('', '1', '22', 'line\n');
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('write' as const), path, content }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constantFrom('unlink' as const, 'mkdir' as const), path }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('clear' as const, 'remake' as const), path }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom('commit' as const, 'rollback' as const, 'reopen' as const) }),
  },
);
const files = fc.dictionary(path, content, { maxKeys: 5 });

/** `clear` removes what a path holds, and the path, one entry after the other; `remake` then makes a directory of it. */
function callsOf(
  one: Extract<Step, { path: string }>,
  model: Model,
): readonly (readonly ['unlink' | 'mkdir', string])[] {
  if (one.op === 'unlink' || one.op === 'mkdir') return [[one.op, one.path]];
  const below = [...model.entries.keys()].filter((path) => path.startsWith(`${one.path}/`)).sort();
  const unlinks = [...below.reverse(), one.path].map((path) => ['unlink', path] as const);
  return one.op === 'remake' ? [...unlinks, ['mkdir', one.path]] : unlinks;
}

function plantable(tree: Tree): Tree {
  const model = new Model();
  for (const [name, text] of Object.entries(tree)) model.write(name, text);
  return model.tree();
}

function sorted(tree: Record<string, string>): string {
  return JSON.stringify(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function expectSame(what: string, got: Record<string, string>, wanted: Record<string, string>): void {
  if (sorted(got) !== sorted(wanted)) throw new Error(`${what}: got ${sorted(got)}, wanted ${sorted(wanted)}`);
}

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function runSteps(options: SessionFilesOptions, initial: Tree, steps: readonly Step[]): Promise<void> {
  const model = new Model();
  for (const [name, text] of Object.entries(initial)) {
    model.entries.set(name.replace(/\/$/, ''), name.endsWith('/') ? null : text);
  }
  let lower = new Map(model.entries);
  let session = await openSessionFiles(options);
  try {
    for (const one of steps) {
      const guest = new Guest(session);
      if ('path' in one) {
        const outcomes =
          one.op === 'write'
            ? [[await codeOf(guest.write(one.path, one.content)), model.write(one.path, one.content)]]
            : [];
        if (one.op !== 'write') {
          for (const [op, at] of callsOf(one, model)) outcomes.push([await codeOf(guest[op](at)), model[op](at)]);
        }
        for (const [got, wanted] of outcomes) {
          if (got !== wanted) throw new Error(`${JSON.stringify(one)}: got ${got}, wanted ${wanted}`);
        }
      } else if (one.op === 'reopen') {
        await session.close();
        session = await openSessionFiles(options);
      } else if (one.op === 'commit') {
        const rows = await diffOverlay(session.overlay);
        const result = await commitOverlay(session.overlay);
        if (result.conflicts.length > 0) throw new Error(`conflicts: ${result.conflicts}`);
        for (const row of rows) if (!result.committed.includes(row.path)) throw new Error(`not committed: ${row.path}`);
        lower = new Map(model.entries);
        expectSame('upper after commit', diskTree(join(options.stateDir, 'upper')), {});
      } else {
        await rollbackOverlay(session.overlay);
        model.entries = new Map(lower);
        expectSame('upper after rollback', diskTree(join(options.stateDir, 'upper')), {});
      }
      expectSame(`view after ${JSON.stringify(one)}`, await new Guest(session).tree(), model.tree());
      const shadow = new Model();
      shadow.entries = lower;
      expectSame(`workspace after ${JSON.stringify(one)}`, diskTree(options.workspace), shadow.tree());
    }
  } finally {
    await session.close();
  }
}

test('any sequence of calls, commits, rollbacks and restarts gives what a plain tree in memory gives', async (t) => {
  const base = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(files, fc.array(step, { minLength: 5, maxLength: 20 }), async (tree, steps) => {
      run += 1;
      const dir = join(base, `${run}`);
      const options = {
        workspace: join(dir, 'workspace'),
        stateDir: join(dir, 'state'),
        homeDir: join(dir, 'home'),
        tmpDir: join(dir, 'tmp'),
        quota: new StorageQuota(1e9),
      };
      const initial = plantable(tree);
      plant(dir, { 'workspace/': '' });
      plant(options.workspace, initial);
      await runSteps(options, initial, steps);
      if (countHeldHandles() !== 0) throw new Error(`${countHeldHandles()} handles are left open`);
    }),
    { numRuns: 25, endOnFailure: false },
  );
  t.pass('25 sequences');
});
