import { test } from 'tap';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { orderCapsules } from '../../supervisor/capsule/order.js';
import { fc } from '../kit/property.js';

interface Spec {
  readonly imports?: readonly string[];
  readonly optional?: readonly string[];
  readonly exports?: readonly string[];
  readonly uplink?: boolean;
}

/** `a:b@^1.0` for an import, `a:b@1.0.0` for an export. */
function capsule(name: string, { imports = [], optional = [], exports = [], uplink = false }: Spec): CapsuleManifest {
  const row = (text: string, rest = '') => {
    const [link, version] = text.split('@');
    return `"${link}" = { version = "${version ?? '1.0.0'}"${rest} }`;
  };
  return parseManifest(
    [
      `[package]\nname = "${name}"\nversion = "1.0.0"\n[capabilities]\nuplink = ${uplink}`,
      imports.length + optional.length > 0 ? '[imports]' : '',
      ...imports.map((text) => row(text)),
      ...optional.map((text) => row(text, ', optional = true')),
      '[exports]',
      ...exports.map((text) => row(text)),
    ].join('\n'),
  );
}

const capsules = (specs: Readonly<Record<string, Spec>>) =>
  Object.entries(specs).map(([name, spec]) => capsule(name, spec));

test('order, providers, start before those who import them, whatever order they are found in', (t) => {
  const specs = {
    agent: { imports: ['a:llm@^1.0', 'a:session@^1.0'] },
    provider: { exports: ['a:llm@1.4.0'], imports: ['a:config@1'] },
    settings: { exports: ['a:config@1.0.0'] },
    session: { exports: ['a:session@1.0.0'] },
  };
  const expected = ['session', 'settings', 'provider', 'agent'];
  t.same(orderCapsules(capsules(specs)), { order: expected, problems: [] });
  t.same(orderCapsules(capsules(specs).reverse()).order, expected);
  t.end();
});

test('order, uplinks, come first', (t) => {
  const { order } = orderCapsules(capsules({ a: {}, zeta: { uplink: true }, eta: { uplink: true }, b: {} }));
  t.same(order, ['eta', 'zeta', 'a', 'b']);
  t.end();
});

test('order, an import nobody exports, is reported by name and the rest starts', (t) => {
  const { order, problems } = orderCapsules(
    capsules({ lonely: { imports: ['a:llm@^2.0'] }, llm: { exports: ['a:llm@1.4.0'] }, other: {} }),
  );
  t.same(order, ['llm', 'other']);
  t.match(problems, [
    {
      code: 'unmet_import',
      field: 'lonely',
      message: 'lonely imports a:llm ^2.0, which no capsule exports; llm exports 1.4.0',
    },
  ]);
  t.end();
});

test('order, a capsule whose provider cannot start, does not start either and says why', (t) => {
  const { order, problems } = orderCapsules(
    capsules({ top: { imports: ['a:mid'] }, mid: { exports: ['a:mid'], imports: ['a:gone'] } }),
  );
  t.same(order, []);
  t.match(problems, [
    { code: 'unmet_import', field: 'mid', message: /a:gone \^1.0.0, which no capsule exports/ },
    { code: 'unmet_import', field: 'top', message: /which mid exports but cannot start/ },
  ]);
  t.end();
});

test('order, a cycle, is reported for each member by name; who depends on it is told so', (t) => {
  const { order, problems } = orderCapsules(
    capsules({
      a: { imports: ['x:b'], exports: ['x:a'] },
      b: { imports: ['x:c'], exports: ['x:b'] },
      c: { imports: ['x:a'], exports: ['x:c'] },
      after: { imports: ['x:a'] },
      free: {},
    }),
  );
  t.same(order, ['free']);
  t.match(problems, [
    { code: 'import_cycle', field: 'a', message: 'a waits for itself: a -> b -> c -> a' },
    { code: 'unmet_import', field: 'after', message: /which a exports but cannot start/ },
    { code: 'import_cycle', field: 'b', message: 'b waits for itself: b -> c -> a -> b' },
    { code: 'import_cycle', field: 'c', message: 'c waits for itself: c -> a -> b -> c' },
  ]);
  t.end();
});

test('order, several providers, one that starts is enough and all that start are waited for', (t) => {
  const { order, problems } = orderCapsules(
    capsules({
      agent: { imports: ['a:llm'], exports: ['a:agent'] },
      good: { exports: ['a:llm@1.1.0'] },
      looped: { exports: ['a:llm@1.0.0'], imports: ['a:agent'] },
      zlast: { exports: ['a:llm@1.0.0'] },
    }),
  );
  t.same(order, ['good', 'zlast', 'agent', 'looped']);
  t.same(problems, []);
  t.end();
});

test('order, optional imports, order who is there and keep nobody from starting', (t) => {
  t.same(orderCapsules(capsules({ a: { optional: ['x:z'] }, z: { exports: ['x:z'] } })).order, ['z', 'a']);
  t.same(orderCapsules(capsules({ a: { optional: ['x:none'] } })).order, ['a']);
  const both = capsules({ a: { optional: ['x:z'], exports: ['x:a'] }, z: { optional: ['x:a'], exports: ['x:z'] } });
  t.same(orderCapsules(both), { order: ['a', 'z'], problems: [] });
  t.end();
});

test('order, a capsule that imports what it exports, meets its own need', (t) => {
  t.same(orderCapsules(capsules({ self: { imports: ['x:a'], exports: ['x:a'] } })), { order: ['self'], problems: [] });
  t.end();
});

test('order, two capsules of one name, the first counts and the second is reported', (t) => {
  const { order, problems } = orderCapsules([capsule('a', {}), capsule('a', { imports: ['x:none'] })]);
  t.same(order, ['a']);
  t.match(problems, [{ code: 'already_exists', field: 'a' }]);
  t.end();
});

test('order, any set of capsules, starts each one once, after a provider of each import, or says why not', (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const links = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 });
  const spec = fc.record({ imports: links, exports: links, optional: links });
  fc.assert(
    fc.property(fc.array(spec, { minLength: names.length, maxLength: names.length }), (specs) => {
      const manifests = specs.map(({ imports, exports, optional }, index) =>
        capsule(names[index]!, {
          imports: imports.map((name) => `x:${name}`),
          optional: optional.filter((name) => !imports.includes(name)).map((name) => `x:${name}`),
          exports: exports.map((name) => `x:${name}`),
        }),
      );
      const { order, problems } = orderCapsules(manifests);
      const told = problems.map((fault) => fault.field);
      if ([...order, ...told].sort().join() !== names.join()) throw new Error(`${order} / ${told}`);
      for (const [index, name] of order.entries()) {
        const up = [...order.slice(0, index), name];
        const self = manifests.find((one) => one.name === name)!;
        for (const row of self.imports.filter((one) => !one.optional)) {
          const met = manifests.some(
            (one) => up.includes(one.name) && one.exports.some((two) => two.name === row.name),
          );
          if (!met) throw new Error(`${name} starts before ${row.name}`);
        }
      }
    }),
    { numRuns: 200 },
  );
  t.end();
});
