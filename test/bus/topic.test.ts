import { test } from 'tap';
import { parsePattern, parseTopic } from '../../bus/topic.js';

const nested = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`).join('.');

test('topic, well formed, gives its segments', async (t) => {
  t.strictSame(parseTopic('user.v1.prompt', 'guest'), ['user', 'v1', 'prompt']);
  t.strictSame(parseTopic('alone', 'guest'), ['alone']);
  t.strictSame(parseTopic('Größe.v1.日本 語', 'guest'), ['Größe', 'v1', '日本 語']);
  t.strictSame(parseTopic('a.b*.**', 'guest'), ['a', 'b*', '**'], 'a star beside other characters is literal');
});

test('topic, more segments than its source may use, is refused', async (t) => {
  t.equal(parseTopic(nested(8), 'guest').length, 8);
  t.throws(() => parseTopic(nested(9), 'guest'), {
    code: 'invalid_argument',
    field: 'topic',
    message: /9 segments.*8/,
  });
  t.equal(parseTopic(nested(20), 'host').length, 20);
  t.throws(() => parseTopic(nested(21), 'host'), { code: 'invalid_argument', field: 'topic' });
  t.throws(() => parsePattern(nested(9), 'guest'), { code: 'invalid_argument', field: 'pattern' });
  t.throws(() => parseTopic('a.'.repeat(1000), 'host'), { name: 'Fault' });
});

test('topic, longer than 256 bytes, is refused by its bytes and not by its characters', async (t) => {
  t.ok(parseTopic('x'.repeat(256), 'guest'));
  t.throws(() => parseTopic('x'.repeat(257), 'guest'), { code: 'too_large', field: 'topic' });
  t.ok(parseTopic('é'.repeat(128), 'guest'));
  t.throws(() => parseTopic('é'.repeat(129), 'guest'), { code: 'too_large' });
});

test('topic, with an empty segment, is refused', async (t) => {
  for (const bad of ['', '.', '..', 'a..b', '.a', 'a.', 'a.b.', '*.', '.*']) {
    t.throws(
      () => parseTopic(bad, 'host'),
      { code: 'invalid_argument', message: /empty segment/ },
      JSON.stringify(bad),
    );
    t.throws(() => parsePattern(bad, 'host'), { code: 'invalid_argument' }, JSON.stringify(bad));
  }
});

test('topic, with a character that does not print, is refused', async (t) => {
  const codes = [0, 9, 10, 13, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x200b, 0x200e, 0x2028, 0x2029, 0x202e, 0x2066, 0xfeff];
  for (const code of [...codes, 0xd800, 0xdfff, 0xe000, 0xffff]) {
    const bad = `a.${String.fromCharCode(code)}b.c`;
    t.throws(() => parseTopic(bad, 'host'), { code: 'invalid_argument', message: /does not print/ }, code.toString(16));
    t.throws(() => parsePattern(bad, 'host'), { code: 'invalid_argument' }, code.toString(16));
  }
});

test('topic, with a wildcard segment, is refused for everyone', async (t) => {
  for (const bad of ['*', 'a.*', '*.b', 'a.*.c']) {
    t.throws(() => parseTopic(bad, 'host'), { code: 'invalid_argument', message: /pattern/ }, bad);
  }
});

test('pattern, with a wildcard before its end, is for the host only', async (t) => {
  t.strictSame(parsePattern('a.v1.*', 'guest'), ['a', 'v1', '*']);
  t.strictSame(parsePattern('*', 'guest'), ['*']);
  for (const pattern of ['a.*.c', '*.b', '*.*', '*.a.*']) {
    t.throws(() => parsePattern(pattern, 'guest'), { code: 'invalid_argument', field: 'pattern' }, pattern);
    t.ok(parsePattern(pattern, 'host'), pattern);
  }
});

test('pattern, a field name given, is the one that the fault names', async (t) => {
  t.throws(() => parsePattern('a..b', 'host', 'publish'), { field: 'publish', message: /^publish has/ });
});
