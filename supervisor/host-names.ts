import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** What is no host by itself: a scheme, a port, a path, userinfo, or something that a URL parser would undo. */
const NOT_A_HOST = /[/\\?#@%\s]/;
const BELOW = '*.';

/** A host in the spelling of targets, or null when the text is more or less than a host. */
export function normalHost(text: string): string | null {
  if (text === '' || NOT_A_HOST.test(text)) return null;
  if (!text.startsWith('[') && text.includes(':')) return null;
  try {
    const url = new URL(`http://${text}/`);
    const hostname = trimDot(url.hostname);
    return url.port === '' && isWhole(hostname) ? hostname : null;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** An IPv6 literal without its brackets: as sockets and resolvers take it. */
export function bareHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/**
 * Whether a manifest's `net` list covers a host: `*`, the host itself, or a domain above it. An entry that is no host (with a
 * scheme, a port or a path) covers nothing, and parts of an address are no domain.
 */
export function hostCovered(entries: readonly string[], hostname: string): boolean {
  return entries.some((entry) => {
    if (entry === '*') return true;
    const host = normalHost(entry);
    return host !== null && (host === hostname || isBelow(host, hostname));
  });
}

/**
 * An entry of an operator's block list: what a `net` list may hold, and `*.example.org` for the names below one without that one.
 * Null for what would block nothing.
 */
export function normalBlock(entry: string): string | null {
  if (entry === '*') return entry;
  const below = entry.startsWith(BELOW);
  const host = normalHost(below ? entry.slice(BELOW.length) : entry);
  if (host === null || host.includes('*') || (below && isAddress(host))) return null;
  return below ? BELOW + host : sameAddress(host);
}

/** The entry of a list of `normalBlock` that holds for a host, or null. */
export function findBlock(blocks: readonly string[], hostname: string): string | null {
  const host = sameAddress(hostname);
  const holds = (block: string) =>
    block.startsWith(BELOW) ? isBelow(block.slice(BELOW.length), host) : block === host || isBelow(block, host);
  return blocks.find((block) => block === '*' || holds(block)) ?? null;
}

/** A literal, or a name in which no label is empty. */
export function isWhole(hostname: string): boolean {
  return isAddress(hostname) || !hostname.split('.').includes('');
}

export function trimDot(hostname: string): string {
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
}

function isBelow(domain: string, hostname: string): boolean {
  return !isAddress(hostname) && hostname.endsWith(`.${domain}`);
}

function isAddress(hostname: string): boolean {
  return isIP(bareHost(hostname)) !== 0;
}

/** `[::ffff:1.2.3.4]` is connected to as `1.2.3.4`, so a rule for the one holds for the other. */
function sameAddress(hostname: string): string {
  const literal = bareHost(hostname);
  if (isIP(literal) !== 6) return hostname;
  const address = ipaddr.process(literal);
  return address.kind() === 'ipv4' ? address.toString() : hostname;
}
