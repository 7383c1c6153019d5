import { test } from 'tap';
import { TopicIndex } from '../../bus/topic-index.js';
import { matchAcl, matchAnyAcl, matchSubscription } from '../../bus/topic-match.js';
import { fc } from '../kit/property.js';

/** Naive oracles: the sentences of ABI reference 4.5 as regular expressions over a few plain letters. */
function oracleA(pattern: string, topic: string): boolean {
  const segments = pattern.split('.');
  const isTail = segments.length > 1 && segments.at(-1) === '*';
  const head = isTail ? segments.slice(0, -1) : segments;
  const source = head.map((segment) => (segment === '*' ? '[^.]+' : quote(segment))).join('\\.');
  const whole = new RegExp(`^${source}${isTail ? '(\\.[^.]+)+' : ''}$`);
  return topic.split('.').length <= 20 && isClean(pattern) && isClean(topic) && whole.test(topic);
}

function oracleB(pattern: string, topic: string): boolean {
  const source = pattern.split('.').map((segment) => (segment === '*' ? '[^.]+' : quote(segment)));
  return isClean(pattern) && isClean(topic) && new RegExp(`^${source.join('\\.')}$`).test(topic);
}

function quote(text: string): string {
  return text.replaceAll(/[*.]/g, '\\$&');
}

function isClean(text: string): boolean {
  return !text.split('.').includes('');
}

// Few names, so that matches are frequent; short and prefix-sharing ones, since those are what matchers confuse.
const segment = fc.constantFrom('a', 'b', 'ab', 'A', '*', '**', 'a*', '');
const topicSegment = fc.constantFrom('a', 'b', 'ab', 'A', 'a*');
const patternText = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => segments.join('.'));
const topicText = fc.oneof(
  fc.array(topicSegment, { minLength: 1, maxLength: 6 }).map((segments) => segments.join('.')),
  fc.array(segment, { minLength: 1, maxLength: 24 }).map((segments) => segments.join('.')),
);

/** A topic made from a pattern: each `*` replaced, and perhaps something behind it. */
const nearMiss = fc
  .tuple(patternText, fc.array(topicSegment, { minLength: 6, maxLength: 6 }), fc.constantFrom('', '.a', '.a.b', '.'))
  .map(([pattern, names, rest]): [string, string] => {
    const topic = pattern.split('.').map((text, i) => (text === '*' ? (names[i] ?? 'a') : text));
    return [pattern, topic.join('.') + rest];
  });

test('matchers, any pattern and topic, agree with the naive oracles', async (t) => {
  let hits = 0;
  fc.assert(
    fc.property(fc.oneof(fc.tuple(patternText, topicText), nearMiss), ([pattern, topic]) => {
      if (oracleA(pattern, topic)) hits += 1;
      return (
        matchSubscription(pattern, topic) === oracleA(pattern, topic) &&
        matchAcl(pattern, topic) === oracleB(pattern, topic)
      );
    }),
    { numRuns: 10_000 },
  );
  t.ok(hits > 500, `${hits} of the cases matched`);
});

test('matchers, where rule A and rule B differ, differ on purpose', async (t) => {
  const rows: [string, string, boolean, boolean][] = [
    ['a.v1.*', 'a.v1.b', true, true],
    ['a.v1.*', 'a.v1.b.c', true, false],
    ['*.*', 'a.b.c', true, false],
    ['a.*', 'a', false, false],
    ['*', 'a', true, true],
    ['*', 'a.b', false, false],
    ['a.*.c', 'a.b.c', true, true],
    ['a.*.c', 'a.b.b.c', false, false],
    [`a.*`, `a${'.x'.repeat(19)}`, true, false],
    [`a.*`, `a${'.x'.repeat(20)}`, false, false],
    [`a${'.*'.repeat(20)}`, `a${'.x'.repeat(20)}`, false, true],
  ];
  for (const [pattern, topic, a, b] of rows) {
    t.equal(matchSubscription(pattern, topic), a, `A: ${pattern} and ${topic}`);
    t.equal(matchAcl(pattern, topic), b, `B: ${pattern} and ${topic}`);
  }
});

test('matchers, texts made to slip through, match nothing', async (t) => {
  const rows: [string, string][] = [
    ['', ''],
    ['*', ''],
    ['a.*', 'a.'],
    ['a.*', 'a..'],
    ['a.*', 'a..b'],
    ['*.b', '.b'],
    ['a..b', 'a..b'],
    ['.', '.'],
    ['a.b', 'a.bc'],
    ['a.b', 'a.b.'],
    ['a.b', 'A.b'],
    ['a.b*', 'a.bc'],
    ['**', 'a'],
    ['a.**', 'a.b'],
    ['_*', '_a'],
    ['a.b', 'a.b\n'],
    ['é', 'e\u0301'],
  ];
  for (const [pattern, topic] of rows) {
    t.notOk(matchSubscription(pattern, topic), `A: ${JSON.stringify([pattern, topic])}`);
    t.notOk(matchAcl(pattern, topic), `B: ${JSON.stringify([pattern, topic])}`);
  }
});

test('matchAnyAcl, an empty list, allows nothing', async (t) => {
  t.notOk(matchAnyAcl([], 'a'));
  t.ok(matchAnyAcl(['b', 'a'], 'a'));
});

test('matchAcl, asked about the text of a pattern, allows the same or narrower and not wider', async (t) => {
  t.ok(matchAcl('foo.v1.*', 'foo.v1.*'));
  t.ok(matchAcl('foo.v1.*', 'foo.v1.bar'));
  t.notOk(matchAcl('foo.v1.bar', 'foo.v1.*'));
  t.notOk(matchAcl('a.v1.*', 'a.v1.b.c'));
});

const cleanPattern = fc
  .array(fc.constantFrom('a', 'b', 'ab', '*', 'a*'), { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join('.'));
const cleanTopic = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'a*'), { minLength: 1, maxLength: 22 })
  .map((segments) => segments.join('.'));

test('topic index, any patterns added and some removed, answers as the matchers do', async (t) => {
  const change = fc.tuple(cleanPattern, fc.boolean());
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.array(cleanTopic, { maxLength: 10 }), (changes, topics) => {
      const rules = [
        { index: new TopicIndex<string>('subscription'), match: matchSubscription },
        // Deeper than 20 segments nothing can be registered, so the index need not tell B's answer there.
        { index: new TopicIndex<string>('acl'), match: (p: string, s: string) => matchAcl(p, s) },
      ];
      return rules.every(({ index, match }) => {
        const live: string[] = [];
        for (const [pattern, isRemoved] of changes) {
          index.add(pattern.split('.'), pattern);
          if (isRemoved) index.remove(pattern.split('.'), pattern);
          else live.push(pattern);
        }
        return topics.every((topic) => {
          const wanted = live.filter((pattern) => match(pattern, topic)).sort();
          const found = index.match(topic.split('.')).sort();
          return wanted.join() === found.join() && index.matches(topic.split('.')) === wanted.length > 0;
        });
      });
    }),
    { numRuns: 500 },
  );
  t.pass('every case');
});

test('topic index, the same pattern twice and one removed, keeps the other', async (t) => {
  const index = new TopicIndex<number>('subscription');
  index.add(['a', '*'], 1);
  index.add(['a', '*'], 2);
  index.remove(['a', '*'], 1);
  index.remove(['a', '*'], 9);
  index.remove(['x', 'y'], 9);
  t.strictSame(index.match(['a', 'b', 'c']), [2]);
  index.remove(['a', '*'], 2);
  t.strictSame(index.match(['a', 'b', 'c']), []);
});
