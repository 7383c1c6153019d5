import { test } from 'tap';
import { sanitizeJson, sanitizeLine, sanitizeProse, sanitizeText } from '../../cli/view/sanitize.js';
import { fc } from '../kit/property.js';

const CONTROL_BUT_TAB_AND_NEWLINE = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const INVISIBLE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u2028\u2029\u061c\u{e0000}-\u{e007f}]/u;

/** Text made of what an attacker would use, much more often than chance would. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        '\x1b[2K',
        '\x1b]8;;http://a\x07',
        '\x1b]0;title',
        '\x1bP1$q\x1b\\',
        '\x9b31m',
        '\x9d0;x\x9c',
        '\x1b',
        '\x1b\x1b[',
        '\r',
        '\u202e',
        '\u2066',
        '\u200d',
        '\ufeff',
        '\u{e0041}',
        '\ud800',
        '⚠\ufe0f',
        'x\ufe0f',
        '\n',
        '\t',
      ),
    ),
  )
  .map((parts) => parts.join(''));

test('sanitizeText, any text, output holds no control character but tab and newline, and nothing invisible', async (t) => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const clean = sanitizeText(text);
      return !CONTROL_BUT_TAB_AND_NEWLINE.test(clean) && !INVISIBLE.test(clean);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('sanitizeLine, any text, output is one line without any control character', async (t) => {
  fc.assert(
    fc.property(hostileText, (text) => !CONTROL.test(sanitizeLine(text)) && !INVISIBLE.test(sanitizeLine(text))),
    { numRuns: 500 },
  );
  t.pass();
});

test('sanitizeProse, any text, output holds no control character but tab and newline, and nothing invisible', async (t) => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const clean = sanitizeProse(text);
      return !CONTROL_BUT_TAB_AND_NEWLINE.test(clean) && !INVISIBLE.test(clean);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('sanitizeJson, any value, the JSON still means the same and holds nothing that steers a terminal', async (t) => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const json = sanitizeJson(JSON.stringify({ text }));
      return JSON.parse(json).text === text && !CONTROL.test(json) && !INVISIBLE.test(json);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('sanitizeText, plain text of many scripts, is left as it is', async (t) => {
  for (const text of ['a\tb\nc', 'Grüße, 你好, مرحبا, नमस्ते', '⚠\ufe0f 😀 é e\u0301', 'C:\\x']) {
    t.equal(sanitizeText(text), text);
  }
});

test('sanitizeText, an escape sequence around arguments, shows the arguments instead of hiding them', async (t) => {
  t.equal(sanitizeText('echo hi \x1b]0;; rm -rf /\x07'), 'echo hi \\u{1b}]0;; rm -rf /\\u{7}');
  t.equal(sanitizeText('a\u202etxt.exe'), 'a\\u{202e}txt.exe');
  t.equal(sanitizeText('notes\ufe0f.txt'), 'notes\\u{fe0f}.txt', 'two names that look alike stay apart');
});

test('sanitizeLine, newlines and tabs, are written out so that one value cannot fake a second row', async (t) => {
  t.equal(sanitizeLine('a\nb\tc\r\nd'), 'a\\nb\\tc\\u{d}\\nd');
});

test('sanitizeProse, whole sequences, are dropped and their text stays', async (t) => {
  t.equal(sanitizeProse('a\x1b[31mred\x1b[0m b'), 'ared b');
  t.equal(sanitizeProse('see \x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\ now'), 'see here now');
  t.equal(sanitizeProse('one\r\ntwo\x9b2K'), 'one\ntwo');
});

test('sanitizeProse, a string sequence that never ends, loses its start and hides nothing', async (t) => {
  t.equal(sanitizeProse('a\x1b]0;the rest\nmore'), 'a0;the rest\nmore');
});

test('sanitizeProse, a megabyte of unterminated introducers, is done in linear work', async (t) => {
  const hostile = '\x9d'.repeat(1_000_000);
  t.equal(sanitizeProse(hostile), '');
  t.equal(sanitizeProse('\x1b['.repeat(300_000)).includes('\x1b'), false);
});
