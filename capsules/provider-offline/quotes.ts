/**
 * Takes what is quoted, and the JSON of a tool call by name, out of a request: each is replaced by a mark that no pattern
 * of `grammar.ts` looks into, so the words in it are never read as a request.
 */
export interface Marked {
  readonly plain: string;
  /** By the number in the mark. */
  readonly taken: readonly Taken[];
  /** Where a call by name is followed by `{` and not by one JSON object; null when all is well. */
  readonly badJson: string | null;
}

export interface Taken {
  readonly value: string;
  /** With its quotes, as the person wrote it. */
  readonly typed: string;
}

const QUOTED = String.raw`"([^"]*)"|“([^“”]*)”|${'`([^`]*)`'}|(?<=^|\s)'([^']*)'(?=$|[\s,.;!?])`;
/** `use TOOL` up to the brace of its arguments. */
const CALL = String.raw`\buse(?:\s+the)?(?:\s+tool)?\s+[\w:-]{1,64}(?:\s+with)?\s*(?=\{)`;

export function markTexts(request: string, isSentenceStart: (before: string) => boolean): Marked {
  const text = request.replaceAll('\x01', '');
  const pattern = new RegExp(`${QUOTED}|(${CALL})`, 'gi');
  const taken: Taken[] = [];
  let plain = '';
  let at = 0;
  const take = (value: string, typed: string) => `\x01${taken.push({ value, typed }) - 1}\x01`;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const call = match[5];
    plain += text.slice(at, match.index);
    at = pattern.lastIndex;
    if (call === undefined) {
      plain += take(match.slice(1, 5).find((group) => group !== undefined) ?? '', match[0]);
    } else if (isSentenceStart(plain)) {
      const end = endOfObject(text, at);
      if (end === null) return { plain, taken, badJson: text.slice(match.index) };
      const json = text.slice(at, end);
      plain += `${call} ${take(json, json)}`;
      at = end;
    } else plain += call;
    pattern.lastIndex = at;
  }
  return { plain: plain + text.slice(at), taken, badJson: null };
}

/** Where the JSON object that begins at `start` ends; null when what is there is none. */
function endOfObject(text: string, start: number): number | null {
  let depth = 0;
  let isString = false;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (isString) {
      if (char === '\\') at++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return isJson(text.slice(start, at + 1)) ? at + 1 : null;
  }
  return null;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
