import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';

/**
 * The syntax of topics and patterns (ABI reference 4.5): segments joined by dots, none empty, at most 256 bytes. A
 * pattern may have the segment `*`; a `*` beside other characters is literal. Letters are compared as they are: no
 * folding, no normalisation, or two spellings of one topic would pass one check and fail the next.
 */
export const WILDCARD = '*';

const PRINTABLE_ASCII = /^[ -~]*$/;
/**
 * Control, format (bidi, zero-width), unassigned and surrogate characters, and the two Unicode line ends: all forge log
 * lines.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Who wrote the text decides how much it may hold. */
export type TopicSource = 'guest' | 'host';

const SEGMENTS_MAX: Record<TopicSource, number> = {
  guest: LIMITS.topicSegmentsGuestMax,
  host: LIMITS.topicSegmentsMax,
};

/** Throws Fault `too_large`. The first check of all, since it bounds the cost of every other one. */
export function checkTopicLength(text: string, field: string): void {
  // A character has at most three bytes in UTF-8 per UTF-16 unit, so short texts need no count.
  if (text.length * 3 <= LIMITS.topicBytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > LIMITS.topicBytesMax) {
    throw new Fault('too_large', `${field} has ${bytes} bytes; expected at most ${LIMITS.topicBytesMax}`, { field });
  }
}

/**
 * The segments of a topic to publish on. Throws Fault `too_large` or `invalid_argument`, with `field` named.
 * The segment `*` is refused: a message that matches its own ACL entry by letter has never been meant.
 */
export function parseTopic(text: string, source: TopicSource, field = 'topic'): string[] {
  const segments = parseSegments(text, source, field);
  if (segments.includes(WILDCARD)) {
    throw new Fault('invalid_argument', `${field} has the segment "*"; expected a topic, not a pattern`, { field });
  }
  return segments;
}

/** The segments of a pattern to subscribe to. A guest may use `*` as the whole last segment only; the host anywhere. */
export function parsePattern(text: string, source: TopicSource, field = 'pattern'): string[] {
  const segments = parseSegments(text, source, field);
  const wildcardAt = segments.indexOf(WILDCARD);
  if (source === 'guest' && wildcardAt !== -1 && wildcardAt !== segments.length - 1) {
    throw new Fault('invalid_argument', `${field} has "*" before its end; expected it as the last segment only`, {
      field,
    });
  }
  return segments;
}

function parseSegments(text: string, source: TopicSource, field: string): string[] {
  checkTopicLength(text, field);
  if (!PRINTABLE_ASCII.test(text) && UNPRINTABLE.test(text)) {
    throw new Fault('invalid_argument', `${field} has a character that does not print; expected printable text`, {
      field,
    });
  }
  const segments = text.split('.');
  if (segments.includes('')) {
    throw new Fault('invalid_argument', `${field} has an empty segment; expected name.vN.kind`, { field });
  }
  const segmentsMax = SEGMENTS_MAX[source];
  if (segments.length > segmentsMax) {
    throw new Fault('invalid_argument', `${field} has ${segments.length} segments; expected at most ${segmentsMax}`, {
      field,
    });
  }
  return segments;
}
