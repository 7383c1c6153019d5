import { decodeUtf8, encodeUtf8 } from './utf8.js';

/** The percent-encode sets of the URL standard (section 1.3), as the ASCII characters each escapes beside controls. */
export const ESCAPED = {
  control: '',
  fragment: ' "<>`',
  query: ' "#<>',
  specialQuery: ' "#<>\'',
  path: ' "#<>?^`{}',
  userinfo: ' "#<>?^`{}/:;=@[\\]|',
} as const;

const HEX = '0123456789ABCDEF';

function escapeByte(byte: number): string {
  return `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
}

export function percentEncode(text: string, escaped: string): string {
  let out = '';
  for (const character of text) {
    const code = character.charCodeAt(0);
    if (code > 0x1f && code < 0x7f && !escaped.includes(character)) out += character;
    else for (const byte of encodeUtf8(character)) out += escapeByte(byte);
  }
  return out;
}

/** Escapes that are none stay as they are. */
export function percentDecode(text: string): Uint8Array {
  const bytes = encodeUtf8(text);
  if (!text.includes('%')) return bytes;
  const out: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const pair = bytes[at] === 0x25 ? String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0) : '';
    if (/^[0-9a-fA-F]{2}$/.test(pair)) {
      out.push(Number.parseInt(pair, 16));
      at += 2;
    } else out.push(bytes[at] ?? 0);
  }
  return Uint8Array.from(out);
}

/** application/x-www-form-urlencoded, one name or value. */
export function formEncode(text: string): string {
  let out = '';
  for (const byte of encodeUtf8(text)) {
    const letter = String.fromCharCode(byte);
    if (byte === 0x20) out += '+';
    else out += /[A-Za-z0-9*\-._]/.test(letter) ? letter : escapeByte(byte);
  }
  return out;
}

export function formDecode(text: string): string {
  return decodeUtf8(percentDecode(text.replaceAll('+', ' ')));
}
