import { test } from 'tap';
import { firstPlace, mapStack } from '../../cli/build/stack-map.js';
import { fc } from '../kit/property.js';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function encodeVlq(value: number): string {
  let rest = value < 0 ? -value * 2 + 1 : value * 2;
  let text = '';
  do {
    const digit = rest % 32;
    rest = Math.floor(rest / 32);
    text += BASE64[digit + (rest > 0 ? 32 : 0)];
  } while (rest > 0);
  return text;
}

type Mapping = readonly [column: number, source: number, line: number, sourceColumn: number];

/** A map whose script has these mappings on its lines; all numbers count from 0. */
function makeMap(
  lines: readonly (readonly Mapping[])[],
  sources = ['main.ts', 'lib/tool.ts', 'astrid-sdk:kv.ts'],
): string {
  let last: Mapping = [0, 0, 0, 0];
  const mappings = lines.map((line) => {
    last = [0, last[1], last[2], last[3]];
    const segments = line.map((next) => {
      const text = next.map((value, index) => encodeVlq(value - (last[index] ?? 0))).join('');
      last = next;
      return text;
    });
    return segments.join(',');
  });
  return JSON.stringify({ version: 3, sources, names: [], mappings: mappings.join(';') });
}

const MAP = makeMap([
  [
    [0, 0, 0, 0],
    [10, 1, 4, 2],
    [900, 2, 99, 16],
  ],
  [],
  [[5, 0, 2, 8]],
]);

test('a stack, with positions in the script, names the author’s files and leaves the rest alone', (t) => {
  const stack = [
    'TypeError: at capsule.jsx it is (capsule.js)',
    '    at run (capsule.js:1:11)',
    '    at <anonymous> (capsule.js:1:950)',
    '    at enter (astrid-guest.js:90:7)',
    '    at capsule.js:3:40',
    '    at native (native)',
  ].join('\n');
  t.equal(
    mapStack(stack, MAP),
    [
      'TypeError: at capsule.jsx it is (capsule.js)',
      '    at run (lib/tool.ts:5:3)',
      '    at <anonymous> (astrid-sdk:kv.ts:100:17)',
      '    at enter (astrid-guest.js:90:7)',
      '    at main.ts:3:9',
      '    at native (native)',
    ].join('\n'),
  );
  t.same(firstPlace(stack, MAP), { file: 'lib/tool.ts', line: 5, column: 3 });
  t.end();
});

test('a position before the first mapping, on an empty line or past the script stays as it is', (t) => {
  for (const place of ['capsule.js:3:2', 'capsule.js:2:1', 'capsule.js:99:1', 'capsule.js:0:0']) {
    t.equal(mapStack(place, MAP), place);
    t.equal(firstPlace(place, MAP), null);
  }
  t.end();
});

test('a map that is none leaves the stack as it is', (t) => {
  const stack = 'at f (capsule.js:1:11)';
  for (const map of ['', 'null', '[]', '{"version":2}', '{"version":3,"sources":[],"mappings":7}', '{"version":3}']) {
    t.equal(mapStack(stack, map), stack, map);
  }
  t.equal(mapStack(stack, '{"version":3,"sources":["a"],"mappings":"%%%%,AAAA?"}'), stack, 'broken digits');
  t.end();
});

test('every mapping that was encoded is found again at its own column', (t) => {
  const place = fc.tuple(fc.integer({ min: 1, max: 200_000 }), fc.nat(2), fc.nat(100_000), fc.nat(5_000));
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(place, { selector: ([column]) => column, maxLength: 20 }), { maxLength: 5 }),
      (raw) => {
        const lines = raw.map((line) => [...line].sort((left, right) => left[0] - right[0]));
        const map = makeMap(lines, ['a', 'b', 'c']);
        return lines.every((line, index) =>
          line.every(([column, source, sourceLine, sourceColumn]) => {
            const found = firstPlace(`capsule.js:${index + 1}:${column}`, map);
            return (
              found?.file === ['a', 'b', 'c'][source] &&
              found?.line === sourceLine + 1 &&
              found?.column === sourceColumn + 1
            );
          }),
        );
      },
    ),
  );
  t.end();
});
