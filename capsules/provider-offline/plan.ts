import { HELP, RULES, type Step, WHO } from './grammar.js';
import { markTexts, type Taken } from './quotes.js';

/** What a person asked for, as far as rules can tell. */
export type Plan =
  | { readonly kind: 'steps'; readonly steps: readonly Step[] }
  | { readonly kind: 'help' }
  | { readonly kind: 'who' }
  /** A tool was called by name, and what follows it is not one JSON object. */
  | { readonly kind: 'bad_json'; readonly part: string }
  /** `part` is the piece that no rule knows; then nothing of the request is done. */
  | { readonly kind: 'unknown'; readonly part: string };

/** Longer requests are not looked at, quoted text apart: the patterns are linear enough for this and no more. */
const REQUEST_CHARS_MAX = 2000;
const STEPS_MAX = 10;

const THEN = /\s*[,;]?\s+(?:and\s+)?then\s+|\s*;\s+/i;
const POLITE =
  /^(?:(?:please|hey|hello|hi|ok|okay|now|first|and|can you|could you|would you|will you|i want you to|let's|let us)[\s,:]+)+/i;
/** End marks stand behind a word: `list files in .` ends in a path. */
const ENDING = /(?:(?<=[\p{L}\p{N}_)\x01])[.!?,]+|\s+(?:please|for me|now|thanks|thank you))+$/iu;

export function planRequest(request: string): Plan {
  const marked = markTexts(request, startsSentence);
  const { taken } = marked;
  if (marked.badJson !== null) return { kind: 'bad_json', part: marked.badJson };
  // One blank for any run of them: the patterns below would try every way to share a long one.
  const plain = marked.plain.replace(/\s+/g, ' ').trim();
  const resolve = (token: string | undefined): string => {
    const mark = /^\x01(\d+)\x01$/.exec(token ?? '');
    return mark === null ? restore(token ?? '', taken) : (taken[Number(mark[1])]?.value ?? '');
  };
  if (plain.length > REQUEST_CHARS_MAX) return { kind: 'unknown', part: request };
  const whole = trimSentence(plain);
  if (HELP.test(whole) || HELP.test(plain)) return { kind: 'help' };
  if (WHO.test(whole) || WHO.test(plain.replace(/[\s.!?,]+$/, ''))) return { kind: 'who' };
  const sentences = plain
    .split(THEN)
    .map(trimSentence)
    .filter((sentence) => sentence !== '');
  if (sentences.length === 0 || sentences.length > STEPS_MAX) return { kind: 'unknown', part: request };
  const steps: Step[] = [];
  for (const sentence of sentences) {
    const step = matchSentence(sentence, resolve);
    if (step === null) return { kind: 'unknown', part: restore(sentence, taken) };
    steps.push(step);
  }
  return { kind: 'steps', steps };
}

function matchSentence(sentence: string, resolve: (token: string | undefined) => string): Step | null {
  for (const rule of RULES) {
    const match = rule.pattern.exec(sentence);
    const step = match === null ? null : rule.build(match.slice(1), resolve);
    if (step !== null) return step;
  }
  return null;
}

function startsSentence(before: string): boolean {
  return (before.split(THEN).at(-1) ?? '').trimStart().replace(POLITE, '') === '';
}

function trimSentence(sentence: string): string {
  return sentence.trim().replace(POLITE, '').replace(ENDING, '').trim();
}

/** The sentence as the person wrote it, for showing and for unquoted text that holds a quotation. */
function restore(sentence: string, taken: readonly Taken[]): string {
  return sentence.replace(/\x01(\d+)\x01/g, (_whole, index: string) => taken[Number(index)]?.typed ?? '');
}
