import { LIMITS } from '../../abi/limits.js';

const SLASH = 47;
const WORD_BITS = 32;

/**
 * Patterns over paths: `*` stands for any characters but a slash, `**` for any characters at all; everything else,
 * `?`, `[` and the backslash included, stands for itself. A pattern that ends in `/**` matches the directory too.
 *
 * The pattern is a chain of states of which any number is alive at once, kept as bits. A character moves all of them
 * in one pass over the words, so the work is characters x words whatever the pattern: nothing backtracks, and a hostile
 * pattern has nothing to blow up (minimatch's CVE-2026-27904 took 12 bytes).
 */
export class Glob {
  /** 32-bit words per step: the cost of one character. */
  readonly words: number;
  /** Per character, the states that it moves on from. Others are moved by no literal. */
  readonly #literals = new Map<number, Uint32Array>();
  /** States that stay alive on any character, and on any but a slash. */
  readonly #anyMask: Uint32Array;
  readonly #segmentMask: Uint32Array;
  readonly #none: Uint32Array;
  readonly #accept: number;
  /** What every match begins and ends with: most paths are told apart by these, without a step. */
  readonly #prefix: string;
  readonly #suffix: string;
  /** The states of a run. Kept between runs, which never overlap: a run is synchronous. */
  readonly #alive: Uint32Array;
  /** The same pattern without its `/**`, which then matches the directory itself. */
  readonly #directory: Glob | null;

  constructor(pattern: string) {
    if (pattern.length === 0 || pattern.length > LIMITS.globCharsMax)
      throw new RangeError('a glob of 1 to 1024 characters');
    const tokens = tokenise(pattern);
    this.#accept = tokens.length;
    this.words = Math.ceil((tokens.length + 1) / WORD_BITS);
    this.#none = new Uint32Array(this.words);
    this.#alive = new Uint32Array(this.words);
    this.#prefix = pattern.slice(0, pattern.indexOf('*') === -1 ? pattern.length : pattern.indexOf('*'));
    this.#suffix = pattern.slice(pattern.lastIndexOf('*') + 1);
    this.#anyMask = new Uint32Array(this.words);
    this.#segmentMask = new Uint32Array(this.words);
    tokens.forEach((token, state) => {
      if (token === '**') setBit(this.#anyMask, state);
      if (token === '**' || token === '*') setBit(this.#segmentMask, state);
      else setBit(this.#literalMask(token.charCodeAt(0)), state);
    });
    this.#directory = pattern.length > 3 && pattern.endsWith('/**') ? new Glob(pattern.slice(0, -3)) : null;
  }

  matches(text: string): boolean {
    return this.run(text).matched;
  }

  /** The answer, and how many words were computed for it: a test holds this to `characters x words`. */
  run(text: string): { matched: boolean; steps: number } {
    const whole =
      text.startsWith(this.#prefix) && text.endsWith(this.#suffix) ? this.#step(text) : { matched: false, steps: 0 };
    if (whole.matched || this.#directory === null) return whole;
    const directory = this.#directory.run(text);
    return { matched: directory.matched, steps: whole.steps + directory.steps };
  }

  #step(text: string): { matched: boolean; steps: number } {
    const alive = this.#alive.fill(0);
    alive[0] = 1;
    this.#skipStars(alive);
    let steps = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const moving = this.#literals.get(code) ?? this.#none;
      const staying = code === SLASH ? this.#anyMask : this.#segmentMask;
      let carry = 0;
      for (let word = 0; word < this.words; word++) {
        const states = alive[word]!;
        const moved = states & moving[word]!;
        alive[word] = (states & staying[word]!) | (moved << 1) | carry;
        carry = moved >>> (WORD_BITS - 1);
        steps++;
      }
      this.#skipStars(alive);
    }
    return { matched: (alive[this.#accept >>> 5]! & (1 << (this.#accept & 31))) !== 0, steps };
  }

  /** A star may stand for nothing. No two stars are neighbours, so one shift is the whole closure. */
  #skipStars(alive: Uint32Array): void {
    let carry = 0;
    for (let word = 0; word < this.words; word++) {
      const stars = alive[word]! & this.#segmentMask[word]!;
      // A carry lands on the state after a star, which is no star itself.
      alive[word] = alive[word]! | (stars << 1) | carry;
      carry = stars >>> (WORD_BITS - 1);
    }
  }

  #literalMask(code: number): Uint32Array {
    let mask = this.#literals.get(code);
    if (mask === undefined) {
      mask = new Uint32Array(this.words);
      this.#literals.set(code, mask);
    }
    return mask;
  }
}

/** Characters and stars; a run of stars is one star, of the wider kind when it has two or more. */
function tokenise(pattern: string): string[] {
  const tokens: string[] = [];
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] !== '*') {
      tokens.push(pattern[at]!);
      continue;
    }
    let end = at;
    while (pattern[end + 1] === '*') end++;
    tokens.push(end > at ? '**' : '*');
    at = end;
  }
  return tokens;
}

function setBit(mask: Uint32Array, state: number): void {
  mask[state >>> 5] = mask[state >>> 5]! | (1 << (state & 31));
}
