import { ESCAPED, percentDecode, percentEncode } from './url-encode.js';
import { decodeUtf8 } from './utf8.js';

/** Hosts of the URL standard (section 3). Null: not a host. Names are ASCII: Unicode ones are given as `xn--…`. */
const FORBIDDEN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;
const IPV6_PIECES = 8;

export function parseHost(text: string, isSpecial: boolean): string | null {
  if (text.startsWith('[')) {
    const address = text.endsWith(']') ? parseIpv6(text.slice(1, -1)) : null;
    return address === null ? null : `[${showIpv6(address)}]`;
  }
  if (!isSpecial) return FORBIDDEN_HOST.test(text) ? null : percentEncode(text, ESCAPED.control);
  const name = decodeUtf8(percentDecode(text));
  if (/[^\0-\x7f]/.test(name)) {
    throw new TypeError(`Invalid URL: the host "${name}" is not ASCII; give it in its xn-- form`);
  }
  const domain = name.toLowerCase();
  // `xn--` alone or with nothing to decode is what no Unicode name gives.
  if (domain === '' || FORBIDDEN_DOMAIN.test(domain) || /(?:^|\.)xn--(?:\.|$)/.test(domain)) return null;
  return endsInNumber(domain) ? parseIpv4(domain) : domain;
}

function endsInNumber(host: string): boolean {
  const parts = host.split('.');
  if (parts.at(-1) === '' && parts.length > 1) parts.pop();
  const last = parts.at(-1) ?? '';
  return /^\d+$/.test(last) || /^0x[0-9a-f]*$/i.test(last);
}

function parseIpv4(host: string): string | null {
  const parts = host.split('.');
  if (parts.at(-1) === '' && parts.length > 1) parts.pop();
  if (parts.length > 4) return null;
  const numbers = parts.map(parseIpv4Number);
  const last = numbers.pop();
  if (last === undefined || last === null || numbers.some((number) => number === null || number > 255)) return null;
  if (last >= 256 ** (4 - numbers.length)) return null;
  let address = last;
  for (const [index, number] of numbers.entries()) address += (number ?? 0) * 256 ** (3 - index);
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

function parseIpv4Number(text: string): number | null {
  if (/^0x[0-9a-f]*$/i.test(text)) return text.length === 2 ? 0 : Number.parseInt(text.slice(2), 16);
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9]\d*$/.test(text) ? Number(text) : null;
}

function parseIpv6(text: string): number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parsePieces(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parsePieces(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = IPV6_PIECES - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  return [...head, ...Array<number>(missing).fill(0), ...tail];
}

/** Pieces between colons; the last may be an IPv4 address when it ends the whole. */
function parsePieces(text: string, endsAddress: boolean): number[] | null {
  if (text === '') return [];
  const out: number[] = [];
  const pieces = text.split(':');
  for (const [index, piece] of pieces.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(piece)) {
      out.push(Number.parseInt(piece, 16));
      continue;
    }
    const octets = piece.split('.');
    const isLast = endsAddress && index === pieces.length - 1;
    if (!isLast || octets.length !== 4 || !octets.every((octet) => /^(?:0|[1-9]\d{0,2})$/.test(octet))) return null;
    const [a = 0, b = 0, c = 0, d = 0] = octets.map(Number);
    if (Math.max(a, b, c, d) > 255) return null;
    out.push(a * 256 + b, c * 256 + d);
  }
  return out;
}

/** The longest run of two or more zeros becomes `::`; of equal ones the first. */
function showIpv6(pieces: readonly number[]): string {
  let best = { at: -1, length: 1 };
  for (let at = 0; at < pieces.length; at++) {
    let end = at;
    while (pieces[end] === 0) end++;
    if (end - at > best.length) best = { at, length: end - at };
    if (end > at) at = end;
  }
  const hex = (list: readonly number[]) => list.map((piece) => piece.toString(16)).join(':');
  if (best.at === -1) return hex(pieces);
  return `${hex(pieces.slice(0, best.at))}::${hex(pieces.slice(best.at + best.length))}`;
}
