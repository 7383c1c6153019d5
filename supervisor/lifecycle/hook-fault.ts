import { Fault } from '../../abi/errno.js';

/** A line of a stack that ends in a place of a file: `at install (main.ts:3:9)`. */
const FRAME = /^\s*at\s.*?([^\s():]+):(\d+)(?::\d+)?\)?\s*$/;
/** The text is the guest's: longer lines, or frames further down, are not looked at. */
const FRAME_CHARS_MAX = 512;
const FRAMES_MAX = 64;
/** What a bundle is called whose places were not mapped back: they say nothing to anybody. */
const UNMAPPED = 'capsule.js';

/**
 * A hook's failure for a person who waits for an install: what went wrong and where, on one line. Null when the fault says no more
 * than that already; else the whole of it is for the log.
 */
export function shortenFault({ code, message, field }: Fault, capsule: string): Fault | null {
  const [first = '', ...rest] = message.trim().split('\n');
  if (rest.length === 0) return null;
  const frames = rest.slice(0, FRAMES_MAX).filter((line) => line.length <= FRAME_CHARS_MAX);
  const place = frames.map((line) => FRAME.exec(line)).find((frame) => frame !== null && frame[1] !== UNMAPPED);
  const where = place ? ` (${place[1]}:${place[2]})` : '';
  const text = `${first.trim()}${where}; all of it: astrid logs ${capsule}`;
  return new Fault(code, text, field === undefined ? {} : { field });
}
