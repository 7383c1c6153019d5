const NAME_CHARS_SHOWN_MAX = 64;
const LIST_ITEMS_SHOWN_MAX = 12;

/**
 * Text from an untrusted module or manifest, fit for an error message: quoted, ASCII only, at most 64 characters.
 * Anything else is written as `\u{hex}`, so that a name can neither move a terminal's cursor nor reverse its text.
 */
export function quotePrintable(text: string): string {
  let shown = '';
  let count = 0;
  for (const char of text) {
    if (count === NAME_CHARS_SHOWN_MAX) return `"${shown}…"`;
    const code = char.codePointAt(0) ?? 0;
    const plain = code >= 0x20 && code < 0x7f && char !== '"' && char !== '\\';
    shown += plain ? char : `\\u{${code.toString(16)}}`;
    count += 1;
  }
  return `"${shown}"`;
}

/** Up to twelve items, then how many more there are: an error message stays bounded whatever the input holds. */
export function joinBounded(items: readonly string[]): string {
  if (items.length <= LIST_ITEMS_SHOWN_MAX) return items.join(', ');
  return `${items.slice(0, LIST_ITEMS_SHOWN_MAX).join(', ')} and ${items.length - LIST_ITEMS_SHOWN_MAX} more`;
}
