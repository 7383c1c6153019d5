import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Where a connection may go. `public`: anywhere on the internet. `local`: this machine or its private network, for an operator's
 * grant only. `forbidden`: never, and no grant opens it (link-local with its metadata services, multicast, reserved, …).
 */
export type AddressKind = 'public' | 'local' | 'forbidden';

type Bytes = readonly number[];

/** An IPv6 form that stands for IPv4 addresses: wherever it leads is where they lead. */
interface Wrapper {
  readonly network: ipaddr.IPv6;
  readonly bits: number;
  readonly inner: (bytes: Bytes) => readonly Bytes[];
}

const lastFour = (bytes: Bytes) => [bytes.slice(12)];
const wrapper = (network: string, bits: number, inner: Wrapper['inner']): Wrapper => ({
  network: ipaddr.IPv6.parse(network),
  bits,
  inner,
});

/** The operating system takes a mapped address for the IPv4 address itself, so it is judged as that. */
const MAPPED = wrapper('::ffff:0:0', 96, lastFour);
/** These reach IPv4 through a translator, a relay or an old stack: what they hold must be public. */
const WRAPPERS: readonly Wrapper[] = [
  wrapper('::', 96, lastFour), // IPv4-compatible
  wrapper('64:ff9b::', 96, lastFour), // NAT64
  wrapper('2002::', 16, (bytes) => [bytes.slice(2, 6)]), // 6to4
  // Teredo: the server, and the client with its bits turned
  wrapper('2001::', 32, (bytes) => [bytes.slice(4, 8), bytes.slice(12).map((byte) => byte ^ 0xff)]),
];
/** All that is assigned as global unicast; outside of it `unicast` only means that no registry has an entry yet. */
const GLOBAL_UNICAST = wrapper('2000::', 3, () => []);

const LOCAL_RANGES: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal']);

/** `text` is what a URL parser, a resolver or a socket gave; anything else, and any zone, is forbidden. */
export function judgeAddress(text: string): AddressKind {
  if (isIP(text) === 0 || text.includes('%')) return 'forbidden';
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv6 ? judgeIPv6(address) : judgeIPv4(address);
}

/** One spelling for each address: IPv4-mapped ones become IPv4. Null when it is none. */
export function normalAddress(text: string): string | null {
  if (isIP(text) === 0) return null;
  return ipaddr.process(text).toString();
}

/** Looks public and is the host of the virtual machine: Azure's wire server hands out the machine's settings there. */
const HOST_SERVICES: ReadonlySet<string> = new Set(['168.63.129.16']);

function judgeIPv4(address: ipaddr.IPv4): AddressKind {
  if (HOST_SERVICES.has(address.toString())) return 'forbidden';
  const range = address.range();
  if (range === 'unicast') return 'public';
  return LOCAL_RANGES.has(range) ? 'local' : 'forbidden';
}

function judgeIPv6(address: ipaddr.IPv6): AddressKind {
  const range = address.range();
  if (LOCAL_RANGES.has(range)) return 'local';
  if (isIn(address, MAPPED)) return judgeInner(address, MAPPED)[0] ?? 'forbidden';
  const outer = WRAPPERS.find((one) => isIn(address, one));
  if (outer !== undefined) {
    return judgeInner(address, outer).every((kind) => kind === 'public') ? 'public' : 'forbidden';
  }
  return range === 'unicast' && isIn(address, GLOBAL_UNICAST) ? 'public' : 'forbidden';
}

function judgeInner(address: ipaddr.IPv6, { inner }: Wrapper): AddressKind[] {
  return inner(address.toByteArray()).map((bytes) => judgeIPv4(new ipaddr.IPv4([...bytes])));
}

function isIn(address: ipaddr.IPv6, { network, bits }: Wrapper): boolean {
  return address.match(network, bits);
}
