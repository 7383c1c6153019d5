import { LIMITS } from '../abi/limits.js';
import { WILDCARD } from './topic.js';
import { endsInTail } from './topic-match.js';

/** Which of the two rules of `topic-match.ts` an index answers by. */
export type MatchRule = 'subscription' | 'acl';

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** Below a `*` that takes exactly one segment. */
  one: Node<T> | null;
  /** Patterns that end here. */
  readonly here: T[];
  /** Patterns that end in a `*` behind here which takes one or more segments (rule A only). */
  readonly tail: T[];
}

/**
 * Patterns by segment, so that a published topic meets the few patterns of its own branch and not all of them. It
 * gives the same answers as the matchers, which a property test holds it to.
 */
export class TopicIndex<T> {
  readonly #rule: MatchRule;
  #root: Node<T> = createNode();

  constructor(rule: MatchRule) {
    this.#rule = rule;
  }

  add(pattern: readonly string[], item: T): void {
    this.#listOf(pattern, (node, segment) => {
      const known = child(node, segment);
      return known ?? createChild(node, segment);
    })?.push(item);
  }

  /** Removes `item` where `add` put it; does nothing if it is not there. Branches left empty go too. */
  remove(pattern: readonly string[], item: T): void {
    const path: Node<T>[] = [this.#root];
    const list = this.#listOf(pattern, (node, segment) => {
      const next = child(node, segment);
      if (next !== null) path.push(next);
      return next;
    });
    const at = list?.indexOf(item) ?? -1;
    if (at < 0) return;
    list?.splice(at, 1);
    for (let i = path.length - 1; i > 0 && isEmpty(path[i] as Node<T>); i--) {
      removeChild(path[i - 1] as Node<T>, pattern[i - 1] as string);
    }
  }

  /** All items whose pattern matches, in no promised order. `topic`: the segments that `parseTopic` gave. */
  match(topic: readonly string[]): T[] {
    const found: T[] = [];
    // Rule A never matches deeper topics; rule B has no such bound, but nobody can add a deeper pattern either.
    if (topic.length <= LIMITS.topicSegmentsMax) collect(this.#root, topic, 0, found);
    return found;
  }

  /** Whether any pattern matches: the question of an ACL. */
  matches(topic: readonly string[]): boolean {
    return topic.length <= LIMITS.topicSegmentsMax && reaches(this.#root, topic, 0);
  }

  #listOf(pattern: readonly string[], step: (node: Node<T>, segment: string) => Node<T> | null): T[] | null {
    const hasTail = this.#rule === 'subscription' && endsInTail(pattern);
    const length = hasTail ? pattern.length - 1 : pattern.length;
    let node: Node<T> | null = this.#root;
    for (let i = 0; i < length && node !== null; i++) node = step(node, pattern[i] as string);
    if (node === null) return null;
    return hasTail ? node.tail : node.here;
  }
}

function collect<T>(node: Node<T>, topic: readonly string[], depth: number, found: T[]): void {
  if (depth === topic.length) {
    for (const item of node.here) found.push(item);
    return;
  }
  for (const item of node.tail) found.push(item);
  const next = node.children.get(topic[depth] as string);
  if (next !== undefined) collect(next, topic, depth + 1, found);
  if (node.one !== null) collect(node.one, topic, depth + 1, found);
}

function reaches<T>(node: Node<T>, topic: readonly string[], depth: number): boolean {
  if (depth === topic.length) return node.here.length > 0;
  if (node.tail.length > 0) return true;
  const next = node.children.get(topic[depth] as string);
  if (next !== undefined && reaches(next, topic, depth + 1)) return true;
  return node.one !== null && reaches(node.one, topic, depth + 1);
}

function createNode<T>(): Node<T> {
  return { children: new Map(), one: null, here: [], tail: [] };
}

function child<T>(node: Node<T>, segment: string): Node<T> | null {
  return segment === WILDCARD ? node.one : (node.children.get(segment) ?? null);
}

function createChild<T>(node: Node<T>, segment: string): Node<T> {
  const created: Node<T> = createNode();
  if (segment === WILDCARD) node.one = created;
  else node.children.set(segment, created);
  return created;
}

function removeChild<T>(node: Node<T>, segment: string): void {
  if (segment === WILDCARD) node.one = null;
  else node.children.delete(segment);
}

function isEmpty<T>(node: Node<T>): boolean {
  return node.children.size === 0 && node.one === null && node.here.length === 0 && node.tail.length === 0;
}
