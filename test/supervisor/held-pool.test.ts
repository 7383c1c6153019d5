import { type Test, test } from 'tap';
import { asFault, Fault } from '../../abi/errno.js';
import { HeldPool } from '../../supervisor/held-pool.js';

interface Thing {
  readonly key: string;
  close(): Promise<void>;
}

/** A pool of two whose things say when they are opened and closed; `hold` makes closing wait. */
function makePool(t: Test) {
  const said: string[] = [];
  let gate = Promise.resolve();
  let onClosing = (): void => undefined;
  const open = new Set<string>();
  const pool = new HeldPool<Thing>(2, async (key) => {
    if (key === 'broken') throw new Fault('io_error', 'broken');
    t.notOk(open.has(key), `${key} is open once`);
    open.add(key);
    said.push(`+${key}`);
    return {
      key,
      close: async () => {
        onClosing();
        await gate;
        open.delete(key);
        said.push(`-${key}`);
      },
    };
  });
  const closing = () =>
    new Promise<void>((resolve) => {
      onClosing = resolve;
    });
  const hold = (): (() => void) => {
    let letGo = (): void => undefined;
    gate = new Promise((resolve) => {
      letGo = resolve;
    });
    return letGo;
  };
  const use = (key: string) => pool.use(key, async (thing) => thing.key);
  return { pool, said, use, hold, closing };
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => asFault(error).code,
  );

test('of what is not in use, the one not used for longest is closed for the next', async (t) => {
  const { pool, said, use } = makePool(t);
  for (const key of ['a', 'b', 'a', 'c', 'b', 'b']) t.equal(await use(key), key);
  t.same(said, ['+a', '+b', '-b', '+c', '-a', '+b']);
  await pool.close();
  t.same(said.slice(6).sort(), ['-b', '-c']);
});

test('what is in use is never closed, and is when there are too many and it no longer is', async (t) => {
  const { pool, said, use } = makePool(t);
  const leases = await Promise.all(['a', 'b', 'c'].map((key) => pool.lease(key)));
  t.same(said, ['+a', '+b', '+c']);
  leases[1]?.release();
  leases[1]?.release();
  t.equal(await use('c'), 'c');
  await use('d');
  t.same(said.slice(3, 5), ['-b', '+d'], 'two others are in use');
  t.equal(await use('b'), 'b');
  await pool.close();
});

test('a use that crosses a closing waits for its end and opens anew', async (t) => {
  const { pool, said, use, hold, closing } = makePool(t);
  await use('a');
  await use('b');
  const letGo = hold();
  const begun = closing();
  const third = use('c');
  await begun;
  const again = Promise.all([use('a'), use('a')]);
  letGo();
  t.same(await again, ['a', 'a']);
  await third;
  t.equal(said.indexOf('-a') < said.lastIndexOf('+a'), true);
  t.equal(said.filter((word) => word === '+a').length, 2, 'two uses share the second opening');
  await pool.close();
});

test('what cannot be opened is tried again, and nothing is opened after the end', async (t) => {
  const { pool, use } = makePool(t);
  t.equal(await codeOf(use('broken')), 'io_error');
  t.equal(await codeOf(use('broken')), 'io_error');
  t.equal(await codeOf(use('a')), 'ok');
  await pool.close();
  t.equal(await codeOf(use('a')), 'cancelled');
});
