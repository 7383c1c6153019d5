import { randomUUID } from 'node:crypto';
import type { BusEventRow } from '../abi/control.js';
import type { Actor } from '../bus/message.js';
import type { Router } from '../bus/router.js';
import type { BusPort } from './bus-port.js';

/** The bus as connected people have it: one endpoint per stream, which sees one session only. */
export class UplinkPort {
  readonly #router: Router;
  readonly #bus: BusPort;
  readonly #endpoint = `uplink-${randomUUID()}`;

  constructor(router: Router, bus: BusPort) {
    this.#router = router;
    this.#bus = bus;
    router.addEndpoint({
      id: this.#endpoint,
      sourceId: randomUUID(),
      publish: ['user.v1.prompt', 'cli.v1.command.execute'],
      subscribe: [],
    });
  }

  publish(topic: string, payload: unknown, actor: Actor): undefined | Promise<void> {
    return this.#bus.publishFor(this.#endpoint, topic, payload, actor);
  }

  #subscribeAll(endpoint: string, session: string, patterns: readonly string[]): number[] {
    try {
      return patterns.map((pattern) => this.#router.subscribe(endpoint, pattern, { checkAcl: false, session }));
    } catch (error) {
      this.#router.removeEndpoint(endpoint);
      throw error;
    }
  }

  /** Sends every message of the session that matches, in bus order, with what was lost in between. */
  subscribe(
    _client: string,
    session: string,
    patterns: readonly string[],
    send: (row: BusEventRow) => void,
    onCancel: (release: () => void) => void,
  ): void {
    const endpoint = `stream-${randomUUID()}`;
    this.#router.addEndpoint({ id: endpoint, sourceId: randomUUID(), publish: [], subscribe: [] });
    const handles = this.#subscribeAll(endpoint, session, patterns);
    let open = true;
    let scheduled = false;
    let waits: (() => void)[] = [];
    const drain = () => {
      scheduled = false;
      if (!open) return;
      const envelopes = handles.map((handle) => this.#router.poll(endpoint, handle));
      let lagged = envelopes.reduce((sum, envelope) => sum + envelope.lagged + envelope.dropped, 0);
      // Handles are drained together and put back into the order of the bus: a delta never overtakes the answer.
      const messages = envelopes.flatMap((envelope) => envelope.messages).sort((a, b) => a.seq - b.seq);
      for (const { topic, payload, actor, seq, timestamp } of messages) {
        send({ topic, payload, principal: actor.principal, seq, timestamp, lagged });
        lagged = 0;
      }
      listen();
    };
    const wake = () => {
      if (scheduled) return;
      scheduled = true;
      setImmediate(drain);
    };
    const listen = () => {
      for (const forget of waits) forget();
      waits = handles.map((handle) => this.#router.onReady(endpoint, handle, wake));
    };
    onCancel(() => {
      open = false;
      this.#router.removeEndpoint(endpoint);
    });
    listen();
  }
}
