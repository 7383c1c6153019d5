import { digestEvent, fitEvent } from '../abi/audit/event.js';
import type { AuditEvent } from '../abi/audit-event.js';
import { actionOf, SYSCALLS } from '../abi/table.js';
import { DigestOfDigests } from './digest-of-digests.js';
import { ReadPace } from './read-pace.js';

export interface AuditSummaryOptions {
  readonly now: () => number;
  /** Takes an event into the log's stream. A throw means that it was not taken. */
  readonly emit: (event: AuditEvent) => void;
}

const WINDOW_MS = 1000;
/** So many alike are logged one by one in each second. */
const SINGLES_PER_KEY_MAX = 8;
/** And so many of one actor, whatever they are: one that touches a new directory each time is a flood all the same. */
const SINGLES_PER_ACTOR_MAX = 64;
/** Then only the action tells them apart, but for reads: see `isRead`. */
const KEYS_PER_ACTOR_MAX = 16;
const ACTORS_MAX = 256;
const TRACED: ReadonlySet<string> = new Set(SYSCALLS.filter(({ traced }) => traced).map(actionOf));

/** Events that are alike: same actor, action, group of resources, outcome and verdict. */
interface Bucket {
  readonly resource: string;
  readonly action: string;
  readonly outcome: AuditEvent['outcome'];
  readonly verdict: AuditEvent['authorization']['verdict'];
  singles: number;
  count: number;
  digests: DigestOfDigests | null;
  first: AuditEvent | null;
  lastTime: number;
  /** The reference that all of them share; null if they differ. */
  ref: string | null;
}

/** One capsule acting for one principal in one session; a shared one is a capsule acting for anybody. */
interface Actor {
  readonly isShared: boolean;
  readonly keysMax: number;
  readonly session: string | null;
  readonly principal: string;
  readonly capsule: string | null;
  readonly buckets: Map<string, Bucket>;
  /** The bucket of the last event, if it is that event's own: the next one is mostly of its kind, and needs no key made. */
  last: Bucket | null;
  singles: number;
}

/**
 * Keeps floods of `with` events and of denials bounded. In each second the first few alike are passed on one by one, and the others
 * become one event with a count and a SHA-256 over their digests (32 bytes each, in order; abi/audit/event.ts), so whoever has
 * the events can prove that these were the ones. Each actor has its own bounds, so nobody's flood coarsens another's record.
 *
 * A capsule chooses in which order it does things, so no flood of it may hide what it did: the action is always named, and what
 * gives out content is named with its directory, too. Bounded is that by `readWaitMs`, which slows its reads down.
 *
 * Pure: time comes from `now`, and whoever owns it calls `flushDue` a few times a second.
 */
export class AuditSummary {
  readonly #options: AuditSummaryOptions;
  readonly #actors = new Map<string, Actor>();
  readonly #pace: ReadPace;
  /** As an actor's `last`. */
  #last: Actor | null = null;
  #window = Number.NEGATIVE_INFINITY;
  /** Summaries that `emit` did not take. While there are any, nothing else is taken, so they stay few. */
  #backlog: AuditEvent[] = [];

  constructor(options: AuditSummaryOptions) {
    this.#options = options;
    this.#pace = new ReadPace(options.now);
  }

  /** How long a capsule has to wait before its next read, because it read from very many directories. */
  readWaitMs(capsule: string): number {
    return this.#pace.waitMs(capsule);
  }

  /**
   * Passes the event on or counts it. Throws what `emit` throws, also for summaries that it did not take before: then
   * the event is not logged and its action must not happen. Throws Fault `invalid_argument` for an event that no log takes.
   */
  add(event: AuditEvent): void {
    this.#roll();
    this.#emitBacklog();
    const fitted = fitEvent(event);
    const actor = this.#actorOf(fitted);
    const bucket = this.#bucketOf(actor, fitted);
    if (bucket.singles < SINGLES_PER_KEY_MAX && actor.singles < SINGLES_PER_ACTOR_MAX && bucket.count === 0) {
      this.#options.emit(fitted);
      bucket.singles += 1;
      actor.singles += 1;
      return;
    }
    const digest = digestEvent(fitted);
    bucket.digests ??= new DigestOfDigests();
    bucket.digests.add(digest);
    bucket.ref = bucket.first === null || bucket.ref === fitted.authorization.ref ? fitted.authorization.ref : null;
    bucket.first ??= fitted;
    bucket.lastTime = fitted.time;
    bucket.count += 1;
  }

  /** Before an action of audit class `before`: what its session did until now is logged first. Throws what `emit` throws. */
  flushSession(session: string | null): void {
    this.#roll();
    for (const actor of this.#actors.values()) {
      // A shared actor may hold events of any session.
      if (actor.session === session || actor.isShared) this.#summarise(actor);
    }
    this.#emitBacklog();
  }

  /** Logs the summaries of a second that is over. Does not throw: what is not taken is tried again at the next call. */
  flushDue(): void {
    this.#roll();
    this.#tryBacklog();
  }

  /** Logs all summaries. Does not throw. */
  flushAll(): void {
    this.#endWindow();
    this.#tryBacklog();
  }

  #roll(): void {
    const window = Math.floor(this.#options.now() / WINDOW_MS);
    if (window === this.#window) return;
    this.#endWindow();
    this.#window = window;
  }

  #endWindow(): void {
    for (const actor of this.#actors.values()) this.#summarise(actor);
    this.#actors.clear();
    this.#last = null;
  }

  #summarise(actor: Actor): void {
    for (const bucket of actor.buckets.values()) {
      if (bucket.count > 0) this.#backlog.push(summaryOf(actor, bucket));
      bucket.count = 0;
      bucket.digests = null;
      bucket.first = null;
    }
  }

  #emitBacklog(): void {
    while (this.#backlog.length > 0) {
      this.#options.emit(this.#backlog[0] as AuditEvent);
      this.#backlog.shift();
    }
  }

  #tryBacklog(): void {
    try {
      this.#emitBacklog();
    } catch {
      // The log is not available now. `add` refuses until it is, and the next flush tries again.
    }
  }

  #actorOf(event: AuditEvent): Actor {
    const { session, principal, capsule } = event;
    const last = this.#last;
    if (last?.session === session && last.principal === principal && last.capsule === capsule) return last;
    const own = JSON.stringify([session, principal, capsule]);
    const known = this.#actors.get(own);
    if (known !== undefined) {
      this.#last = known;
      return known;
    }
    if (this.#actors.size < ACTORS_MAX) return this.#addActor(own, event, false);
    // One too many in this second. Who reads is still told: each such entry is paid for, as one more directory is.
    const key = isRead(event) ? `read ${own}` : `any ${capsule}`;
    return this.#actors.get(key) ?? this.#addActor(key, event, true);
  }

  #addActor(key: string, event: AuditEvent, isOver: boolean): Actor {
    const isShared = isOver && !isRead(event);
    const { session, principal } = isShared ? { session: null, principal: 'system' } : event;
    const actor: Actor = {
      session,
      principal,
      capsule: event.capsule,
      isShared,
      keysMax: isOver && !isShared ? 0 : KEYS_PER_ACTOR_MAX,
      buckets: new Map(),
      last: null,
      singles: isOver ? SINGLES_PER_ACTOR_MAX : 0,
    };
    this.#actors.set(key, actor);
    return actor;
  }

  #bucketOf(actor: Actor, event: AuditEvent): Bucket {
    const { action, outcome } = event;
    const { verdict } = event.authorization;
    const resource = groupResource(event.resource);
    const { last } = actor;
    if (last?.action === action && last.resource === resource && last.outcome === outcome && last.verdict === verdict)
      return last;
    const own = keyOf(action, resource, event);
    const known = actor.buckets.get(own);
    if (known !== undefined) {
      actor.last = known;
      return known;
    }
    if (actor.buckets.size < actor.keysMax) return addBucket(actor, own, event, resource, 0);
    if (isRead(event)) {
      this.#pace.take(event.capsule);
      return addBucket(actor, own, event, resource, 0);
    }
    // One too many: action, outcome and verdict are still told apart, of which there are few.
    const key = keyOf(action, ANY, event);
    return actor.buckets.get(key) ?? addBucket(actor, key, event, ANY, SINGLES_PER_KEY_MAX);
  }
}

const ANY = '*';

/** Gave out content. A person has to be able to see from where. */
function isRead({ action, outcome }: AuditEvent): boolean {
  return TRACED.has(action) && outcome !== 'denied' && outcome !== 'failed';
}

function keyOf(action: string, resource: string, { outcome, authorization }: AuditEvent): string {
  return JSON.stringify([action, resource, outcome, authorization.verdict]);
}

function addBucket(actor: Actor, key: string, event: AuditEvent, resource: string, singles: number): Bucket {
  const { action, outcome } = event;
  const { verdict } = event.authorization;
  const bucket: Bucket = {
    resource,
    action,
    outcome,
    verdict,
    singles,
    count: 0,
    digests: null,
    first: null,
    lastTime: 0,
    ref: null,
  };
  actor.buckets.set(key, bucket);
  return bucket;
}

/** What an event has in common with its neighbours: the directory of a path, all but the last segment of a topic. */
export function groupResource(resource: string): string {
  const slash = resource.lastIndexOf('/');
  if (slash >= 0) return `${resource.slice(0, slash + 1)}*`;
  const dot = resource.lastIndexOf('.');
  return dot > 0 ? `${resource.slice(0, dot + 1)}*` : resource;
}

function summaryOf(actor: Actor, bucket: Bucket): AuditEvent {
  const first = bucket.first as AuditEvent;
  // One event needs no summary; and nothing of it is lost.
  if (bucket.count === 1) return first;
  const { layer, verdict, reason } = first.authorization;
  return {
    time: bucket.lastTime,
    session: actor.session,
    principal: actor.principal,
    capsule: actor.capsule,
    action: bucket.action,
    resource: bucket.resource,
    argsHash: null,
    authorization: { layer, verdict, reason: `${first.outcome}; first: ${reason}`, ref: bucket.ref },
    outcome: 'summary',
    count: bucket.count,
    digest: (bucket.digests as DigestOfDigests).end(),
  };
}
