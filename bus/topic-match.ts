import { LIMITS } from '../abi/limits.js';
import { WILDCARD } from './topic.js';

/**
 * The two matching rules of ABI reference 4.5. They differ on purpose, as in the original:
 *
 * | | A: subscription delivery | B: ACL, interceptors, hooks |
 * |---|---|---|
 * | `a.v1.*` and `a.v1.b.c` | match: a final `*` behind a prefix takes one or more segments | no match: `*` takes exactly one |
 * | a bare `*` | exactly one segment | exactly one segment |
 * | more than 20 segments | never match | compared like any other |
 *
 * Both run in time linear in the text, whatever the pattern. Neither trusts that a parser has seen the texts: an empty
 * segment on either side matches nothing, so `a.` or `a..b` cannot slip through a wildcard.
 */

/** Rule A. */
export function matchSubscription(pattern: string, topic: string): boolean {
  const wanted = pattern.split('.');
  const found = topic.split('.');
  if (found.length > LIMITS.topicSegmentsMax || hasEmpty(wanted) || hasEmpty(found)) return false;
  if (!endsInTail(wanted)) return matchSegments(wanted, found, wanted.length);
  const prefixLength = wanted.length - 1;
  return found.length > prefixLength && matchPrefix(wanted, found, prefixLength);
}

/** Rule B. */
export function matchAcl(pattern: string, topic: string): boolean {
  const wanted = pattern.split('.');
  const found = topic.split('.');
  return !hasEmpty(wanted) && !hasEmpty(found) && matchSegments(wanted, found, wanted.length);
}

/**
 * Rule B for a list: true if any entry matches. An empty list matches nothing, which is how "deny by default" is
 * written.
 */
export function matchAnyAcl(patterns: readonly string[], topic: string): boolean {
  return patterns.some((pattern) => matchAcl(pattern, topic));
}

/** True when rule A reads the last segment as "one or more": a final `*` that has something before it. */
export function endsInTail(pattern: readonly string[]): boolean {
  return pattern.length > 1 && pattern[pattern.length - 1] === WILDCARD;
}

function matchSegments(wanted: readonly string[], found: readonly string[], length: number): boolean {
  return found.length === length && matchPrefix(wanted, found, length);
}

function matchPrefix(wanted: readonly string[], found: readonly string[], length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (wanted[i] !== WILDCARD && wanted[i] !== found[i]) return false;
  }
  return true;
}

function hasEmpty(segments: readonly string[]): boolean {
  return segments.includes('');
}
