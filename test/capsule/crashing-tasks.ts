/** Tasks that end their thread in every way a thread can end; `test/capsule/pool.test.ts` runs them by first byte. */
const WAYS: Readonly<Record<number, () => unknown>> = {
  1: () => {
    throw new Error('thrown by the task');
  },
  2: () => process.exit(3),
  3: () => {
    const kept: unknown[] = [];
    for (;;) kept.push(new Array(1000).fill(kept.length));
  },
  4: () => {
    for (;;) Math.random();
  },
  5: () => Promise.reject(new TypeError('rejected by the task')),
};

export function hashBlake3(bytes: ArrayBuffer): unknown {
  const way = WAYS[new Uint8Array(bytes)[0] ?? 0];
  return way === undefined ? { ok: true, value: { value: 'fine', bytes } } : way();
}
