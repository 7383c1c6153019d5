import { test } from 'tap';
import { cleanLines, cleanText, spellOut, TEXT_BOUNDS } from '../../supervisor/gate/approval-text.js';
import { fc } from '../kit/property.js';

test('text that would command the terminal or reorder itself, is shown without that', (t) => {
  const cases: [string, string][] = [
    ['rm\u001b[2K\rls', 'rm[2K ls'],
    ['\u001b]8;;http://evil\u0007click\u001b]8;;\u0007', ']8;;http://evilclick]8;;'],
    ['\u009b2Jx', '2Jx'],
    ['safe\u202etxt.exe', 'safetxt.exe'],
    ['a\u2066b\u2069\u200e\u200f\u061cc', 'abc'],
    ['no\u200b\u200c\u200d\u2060\ufeff\u00adtes', 'notes'],
    ['tag\u{e0041}\u{e007f}s', 'tags'],
    ['fill\u3164\u115f\uffa0\u2800er', 'filler'],
    ['v\ufe0f\u{e0100}s', 'vs'],
    ['one\ntwo\u2028three\u2029four\tfive', 'one two three four five'],
    ['a\u00a0b\u3000c', 'a b c'],
    ['lone\ud800', 'lone'],
    [`z${'\u0300'.repeat(50)}`, 'z\u0300\u0300'],
    ['private\ue000use', 'privateuse'],
  ];
  for (const [at, [text, expected]] of cases.entries()) t.equal(cleanText(text, 1000), expected, `case ${at}`);
  t.equal(
    cleanText(`do this${'\n'.repeat(10_000)}rm -rf`, 100),
    `do this${' '.repeat(16)}rm -rf`,
    'nothing is pushed away',
  );
  t.end();
});

test('text of any kind, once clean, holds nothing that cannot be seen and keeps its bound', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 120 }), fc.integer({ min: 10, max: 200 }), (text, bound) => {
      const clean = cleanText(text, bound);
      return clean.length <= bound && !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(clean);
    }),
    { numRuns: 1000 },
  );
  t.end();
});

test('a long text, keeps beginning and end, never half a character', (t) => {
  const shown = cleanText(`cwd://${'a'.repeat(5000)}/secret.txt`, 100);
  t.equal(shown.length, 100);
  t.ok(shown.startsWith('cwd://aaa'));
  t.ok(shown.endsWith('/secret.txt'));
  t.notMatch(cleanText('\u{1f600}'.repeat(200), 51), /\p{Surrogate}/u);
  t.end();
});

test('a name that looks like another, is spelt out; a plain one is not', (t) => {
  t.equal(spellOut('cwd://notes.txt', 100), null);
  t.equal(spellOut('https://аpple.com', 100), 'https://\\u{430}pple.com', 'a Cyrillic letter');
  t.equal(spellOut('a\u200bb', 100), 'a\\u{200b}b', 'a hidden character');
  t.end();
});

test('lines beyond the bound, are counted and not shown', (t) => {
  const lines = cleanLines(Array.from({ length: 10_000 }, (_, at) => `line ${at}\u001b[2J`));
  t.equal(lines.length, TEXT_BOUNDS.detailLinesMax + 1);
  t.equal(lines[0], 'line 0[2J');
  t.match(lines.at(-1), /9940 more lines/);
  t.ok(cleanLines(['x'.repeat(10_000)])[0]!.length <= TEXT_BOUNDS.detailLineCharsMax);
  t.end();
});
