import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import ipaddr from 'ipaddr.js';
import { Fault } from '../../abi/errno.js';

/** Whether everybody on the internet means the same machine by this address. Forms that wrap an IPv4 address are looked into. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv6' && (parsed as ipaddr.IPv6).zoneId) return false;
  return parsed.range() === 'unicast';
}

function refuse(host: string): Fault {
  const message = `a redirect leads to ${host}, which is not a public address`;
  return new Fault('policy_denied', message, { field: 'source' });
}

/** @throws Fault `policy_denied` for a host that is written as an address and is not public */
export function requirePublicHost(host: string): void {
  const bare = host.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host.endsWith('.localhost')) throw refuse(host);
  if (ipaddr.isValid(bare) && !isPublicAddress(bare)) throw refuse(host);
}

type LookupDone = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/**
 * Name lookup that answers public addresses only: what is checked is what the socket connects to. One answer that is
 * not public refuses them all.
 */
export function lookupPublic(host: string, options: LookupOptions, done: LookupDone): void {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, []);
    if (addresses.some(({ address }) => !isPublicAddress(address))) return done(refuse(host), []);
    if (options.all === true) return done(null, addresses);
    const [first] = addresses;
    return first === undefined ? done(refuse(host), []) : done(null, first.address, first.family);
  });
}
