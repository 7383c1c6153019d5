import fc from 'fast-check';
import { parsePattern, parseTopic } from '../../../bus/topic.js';
import { TopicIndex } from '../../../bus/topic-index.js';
import { matchAcl, matchSubscription } from '../../../bus/topic-match.js';
import { Glob } from '../../../supervisor/gate/glob.js';
import { answerOf, type FuzzTarget, property } from '../target.js';

/** ABI reference 4.5 word by word, over lists. `tail`: a final `*` behind a prefix takes one or more segments. */
function oracle(pattern: readonly string[], topic: readonly string[], tail: boolean, isFirst = true): boolean {
  if (pattern.includes('') || topic.includes('')) return false;
  const [wanted, ...patternRest] = pattern;
  const [found, ...topicRest] = topic;
  if (wanted === undefined || found === undefined) return wanted === found;
  if (tail && !isFirst && wanted === '*' && patternRest.length === 0) return true;
  return (wanted === '*' || wanted === found) && oracle(patternRest, topicRest, tail, false);
}

const oracleA = (pattern: string, topic: string) =>
  topic.split('.').length <= 20 && oracle(pattern.split('.'), topic.split('.'), true);
const oracleB = (pattern: string, topic: string) => oracle(pattern.split('.'), topic.split('.'), false);

// Few names, so that matches are frequent; short and prefix-sharing ones, since those are what matchers confuse.
const NAMES = ['a', 'b', 'ab', 'A', 'a*', 'é', 'e\u0301', 'constructor', '__proto__'];
const segment = fc.oneof(fc.constantFrom(...NAMES, '*', '*', '**', '', ' '), fc.string({ maxLength: 3 }));
const topicSegment = fc.constantFrom(...NAMES);
const textOf = (one: fc.Arbitrary<string>, maxLength: number) =>
  fc.array(one, { minLength: 1, maxLength }).map((segments) => segments.join('.'));
const patternText = textOf(segment, 6);
const topicText = fc.oneof(textOf(topicSegment, 6), textOf(segment, 24));
/** A topic made from a pattern: each `*` replaced, and perhaps something behind it. */
const nearMiss = fc
  .tuple(
    textOf(segment, 22),
    fc.array(topicSegment, { minLength: 22, maxLength: 22 }),
    fc.constantFrom('', '', '.a', '.a.b', '.', '\n'),
  )
  .map(([pattern, names, rest]): [string, string] => {
    const topic = pattern.split('.').map((text, i) => (text === '*' ? (names[i] ?? 'a') : text));
    return [pattern, topic.join('.') + rest];
  });
const anyPair = fc.oneof(fc.tuple(patternText, topicText), nearMiss);

const cleanPattern = textOf(fc.constantFrom(...NAMES, '*', '*'), 5);
const cleanTopic = textOf(topicSegment, 22);
const changes = fc.array(fc.tuple(cleanPattern, fc.boolean()), { maxLength: 30 });

function answersAlike(
  index: TopicIndex<string>,
  live: readonly string[],
  topic: string,
  match: typeof matchAcl,
): boolean {
  const wanted = live.filter((pattern) => match(pattern, topic)).sort();
  const found = index.match(topic.split('.')).sort();
  return wanted.join('\n') === found.join('\n') && index.matches(topic.split('.')) === wanted.length > 0;
}

/** Globs by their sentence: every way to end a star, with what was tried already remembered. */
function globOracle(pattern: string, text: string): boolean {
  const seen = new Set<string>();
  const from = (p: number, s: number): boolean => {
    if (p === pattern.length) return s === text.length;
    const key = `${p} ${s}`;
    if (seen.has(key)) return false;
    seen.add(key);
    if (pattern[p] !== '*') return pattern[p] === text[s] && from(p + 1, s + 1);
    let end = p;
    while (pattern[end] === '*') end++;
    const crosses = end - p > 1;
    return from(end, s) || (s < text.length && (crosses || text[s] !== '/') && from(p, s + 1));
  };
  if (from(0, 0)) return true;
  return pattern.length > 3 && pattern.endsWith('/**') && globOracle(pattern.slice(0, -3), text);
}

const globPiece = fc.constantFrom('a', 'b', 'ab', '/', '*', '**', '?', '[a]', '\\', '.', 'é', 'home://');
const textPiece = fc.constantFrom('a', 'b', 'ab', '/', '*', '?', '[a]', '\\', '.', 'é', 'home://');
const joined = (piece: fc.Arbitrary<string>, maxLength: number) =>
  fc.array(piece, { minLength: 1, maxLength }).map((pieces) => pieces.join(''));
const globAndText = fc.oneof(
  fc.tuple(joined(globPiece, 12), joined(textPiece, 12)),
  fc.tuple(joined(fc.constantFrom('a', '*', '/', '**', 'a*'), 60), joined(fc.constantFrom('a', 'a', '/', 'b'), 60)),
);

const anyText = fc.oneof(patternText, topicText, fc.string({ unit: 'binary', maxLength: 300 }));

export const TOPICS: FuzzTarget = [
  property(
    'delivery and ACL, any pattern and topic, agree with the naive oracles',
    20_000,
    anyPair,
    ([pattern, topic]) =>
      matchSubscription(pattern, topic) === oracleA(pattern, topic) &&
      matchAcl(pattern, topic) === oracleB(pattern, topic),
  ),
  property(
    'the index, patterns added and removed, answers as the matchers do',
    400,
    fc.tuple(changes, fc.array(cleanTopic, { maxLength: 8 })),
    ([steps, topics]) => {
      const rules = [
        { index: new TopicIndex<string>('subscription'), match: matchSubscription },
        {
          index: new TopicIndex<string>('acl'),
          match: (p: string, s: string) => s.split('.').length <= 20 && matchAcl(p, s),
        },
      ];
      return rules.every(({ index, match }) => {
        const live: string[] = [];
        for (const [pattern, isRemoved] of steps) {
          index.add(pattern.split('.'), pattern);
          if (isRemoved) index.remove(pattern.split('.'), pattern);
          else live.push(pattern);
        }
        return topics.every((topic) => answersAlike(index, live, topic, match));
      });
    },
  ),
  property('any text, is a topic or a pattern without empty segments, or a Fault', 5000, anyText, (text) => {
    const refusals = ['invalid_argument', 'too_large'] as const;
    const topic = answerOf(refusals, () => parseTopic(text, 'host'));
    const pattern = answerOf(refusals, () => parsePattern(text, 'guest'));
    const isTopic = topic === null || (!topic.includes('') && !topic.includes('*') && topic.join('.') === text);
    const isPattern = pattern === null || (pattern.length <= 8 && pattern.slice(0, -1).every((one) => one !== '*'));
    return isTopic && isPattern;
  }),
  property(
    'globs of the policy, any pattern and path, agree with the naive oracle',
    4000,
    globAndText,
    ([pattern, text]) => new Glob(pattern).matches(text) === globOracle(pattern, text),
  ),
];
