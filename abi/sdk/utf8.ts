/**
 * UTF-8 without TextEncoder, which QuickJS does not have.
 *
 * A loop over characters costs an interpreter about 400 ns per byte (117 ms for 256 KiB), so the work goes to built-ins
 * that run natively there: base64 moves bytes in and out of strings, `escape` and `decodeURIComponent` do the UTF-8
 * (12 ms for the same). An engine without `Uint8Array.fromBase64` takes the loops below. Both give the same result.
 */
interface NativeBytes {
  fromBase64?: (text: string) => Uint8Array;
}

const LOSSY = '\ufffd';
const CHUNK = 8192;

declare const atob: ((text: string) => string) | undefined;
declare const btoa: ((text: string) => string) | undefined;

/** Text as UTF-8 bytes. A lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const fromBase64 = (Uint8Array as NativeBytes).fromBase64;
  if (fromBase64 === undefined || typeof btoa !== 'function') return encodeByLoop(text);
  if (!/[^\x00-\x7f]/.test(text)) return fromBase64.call(Uint8Array, btoa(text));
  try {
    return fromBase64.call(Uint8Array, btoa(unescape(encodeURIComponent(text))));
  } catch {
    // encodeURIComponent refuses lone surrogates; the loop replaces them.
    return encodeByLoop(text);
  }
}

/** UTF-8 bytes as text; every malformed sequence becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decodeUtf8Strict(bytes) ?? decodeByLoop(bytes);
}

/** UTF-8 bytes as text, or undefined when they are not UTF-8. A caller that writes the text back needs this one. */
export function decodeUtf8Strict(bytes: Uint8Array): string | undefined {
  const narrow = latin1(bytes);
  if (!/[\x80-\xff]/.test(narrow)) return narrow;
  try {
    return decodeURIComponent(escape(narrow));
  } catch {
    return undefined;
  }
}

/** One character per byte. */
function latin1(bytes: Uint8Array): string {
  const native = (bytes as { toBase64?: () => string }).toBase64;
  if (native !== undefined && typeof atob === 'function') return atob(native.call(bytes));
  let out = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    out += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK) as unknown as number[]);
  }
  return out;
}

function encodeByLoop(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 3);
  let size = 0;
  for (const character of text) {
    let point = character.codePointAt(0) ?? 0;
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x80) {
      out[size++] = point;
    } else if (point < 0x800) {
      out[size++] = 0xc0 | (point >> 6);
      out[size++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      out[size++] = 0xe0 | (point >> 12);
      out[size++] = 0x80 | ((point >> 6) & 63);
      out[size++] = 0x80 | (point & 63);
    } else {
      out[size++] = 0xf0 | (point >> 18);
      out[size++] = 0x80 | ((point >> 12) & 63);
      out[size++] = 0x80 | ((point >> 6) & 63);
      out[size++] = 0x80 | (point & 63);
    }
  }
  return out.slice(0, size);
}

/** The WHATWG decoder's rule: one U+FFFD per maximal prefix of a sequence that cannot continue. */
function decodeByLoop(bytes: Uint8Array): string {
  const parts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const size = sequenceSize(lead);
    let taken = 1;
    while (taken < size && isContinuation(lead, taken, bytes[at + taken])) taken++;
    parts.push(size > 0 && taken === size ? String.fromCodePoint(codePoint(bytes, at, size)) : LOSSY);
    at += taken;
  }
  return parts.join('');
}

function sequenceSize(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/** Second bytes are narrower after E0, ED, F0 and F4: overlong forms, surrogates and values past U+10FFFF. */
function isContinuation(lead: number, index: number, byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const second = index === 1;
  const low = second && lead === 0xe0 ? 0xa0 : second && lead === 0xf0 ? 0x90 : 0x80;
  const high = second && lead === 0xed ? 0x9f : second && lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
}

function codePoint(bytes: Uint8Array, at: number, size: number): number {
  const lead = bytes[at] ?? 0;
  if (size === 1) return lead;
  let point = lead & (0xff >> (size + 1));
  for (let index = 1; index < size; index++) point = (point << 6) | ((bytes[at + index] ?? 0) & 63);
  return point;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** How many bytes at the end begin a character that is not whole yet: what a decoder of chunks has to keep. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const lead = bytes[bytes.length - back] ?? 0;
    if (lead < 0x80) return 0;
    if (lead < 0xc0) continue;
    let taken = 1;
    while (taken < back && isContinuation(lead, taken, bytes[bytes.length - back + taken])) taken++;
    return taken === back && back < sequenceSize(lead) ? back : 0;
  }
  return 0;
}
