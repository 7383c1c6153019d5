import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { asFault } from '../abi/errno.js';
import type { ServiceParts } from './boot-services.js';
import { CapabilityCheck } from './capability-check.js';
import { Identities } from './identity/identities.js';
import { UplinkListener } from './uplink/listener.js';
import { UplinkRegistry } from './uplink/registry.js';
import { UplinkStreams } from './uplink/streams.js';

/** The services by which capsules bring people in: the uplink socket, uplinks, and who is who. They know each other only here. */
export function openPeopleServices(parts: ServiceParts) {
  const { home, store, bus, logs, onFault } = parts;
  const identity = new Identities({
    table: store.records('identities'),
    write: (work) => store.write(work),
    // Where somebody has a home, keys or sessions may be theirs, too.
    isPrincipalTaken: (name) =>
      existsSync(join(home.principals, name)) || parts.sessions.list().some(({ principal }) => principal === name),
  });
  const principalOf = (owner: string, platform: string, platformUserId: string) => {
    try {
      return identity.principalOf(owner, platform, platformUserId);
    } catch (error) {
      // Whom it cannot tell, it takes for nobody.
      onFault(asFault(error));
      return null;
    }
  };
  const listener = new UplinkListener({
    socketPath: home.uplinkSocket,
    version: parts.version,
    token: parts.token,
    onRejected: parts.onRejected,
  });
  const net = new UplinkStreams({
    listener,
    announce: (sourceId, topic, payload, principal) =>
      void bus.publishAs(sourceId, topic, payload, { principal, attribution: 'system', session: null }),
    log: (capsule, message) => logs.write(capsule, 'warn', message),
  });
  const uplinks = new UplinkRegistry({
    principalOf,
    publish: (sourceId, topic, payload, actor) => bus.publishAs(sourceId, topic, payload, actor),
    onFault,
  });
  const security = new CapabilityCheck(parts.processes);
  return { net, uplinks, identity, security, close: () => listener.close() };
}
