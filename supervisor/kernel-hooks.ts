import type { AuditEvent } from '../abi/audit-event.js';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { LogLevel } from '../abi/worker-protocol.js';
import type { Actor } from '../bus/message.js';
import type { Router } from '../bus/router.js';
import type { AuditPort, Dispatcher } from './dispatch.js';
import type { LogBook } from './log-book.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { ProcessHooks } from './proc/capsule-spec.js';
import { spawnWorker, type WorkerProgram } from './proc/spawn.js';

export interface HookParts {
  readonly program: WorkerProgram;
  readonly readModule: ProcessHooks['readModule'];
  readonly router: Router;
  readonly dispatcher: Dispatcher;
  readonly audit: AuditPort;
  readonly logs: LogBook;
  readonly configure: NonNullable<ProcessHooks['configure']>;
  readonly capsuleStarted: (process: CapsuleProcess) => void;
  readonly release: (sourceId: string) => void;
  readonly publishKernel: (topic: string, payload: unknown, actor: Actor) => void;
}

export const KERNEL_ACTOR: Actor = { principal: 'default', attribution: 'system', session: null };

/** A kernel event in the audit: nobody had to allow it, it happened. */
export function kernelEvent(
  action: string,
  resource: string,
  outcome: AuditEvent['outcome'],
  reason: string,
  more: Partial<Pick<AuditEvent, 'session' | 'principal' | 'capsule'>> & { layer?: 'system' | 'operator' } = {},
): AuditEvent {
  return {
    time: Date.now(),
    session: more.session ?? null,
    principal: more.principal ?? 'default',
    capsule: more.capsule ?? null,
    action,
    resource: resource.slice(0, 1024),
    argsHash: null,
    authorization: { layer: more.layer ?? 'system', verdict: 'allow', reason: reason.slice(0, 512), ref: null },
    outcome,
    count: null,
    digest: null,
  };
}

/** What the kernel does around a capsule's life: its place on the bus, its log, its audit entries. */
export function makeProcessHooks(parts: HookParts): ProcessHooks {
  const { logs, audit, router } = parts;
  const log = (capsule: string, level: LogLevel, message: string) => logs.write(capsule, level, message);
  return {
    spawn: (tier) => spawnWorker(tier, parts.program),
    readModule: parts.readModule,
    configure: parts.configure,
    register: (process) => register(router, process),
    syscall: (process, call, args, reply) => parts.dispatcher.handle(process, call, args, reply),
    log,
    started: (process, restart) => {
      const { manifest, tier, hash } = process.spec;
      const what = `${process.name}@${manifest.version}`;
      log(process.name, 'info', `${restart ? 'restarted' : 'started'}: tier ${tier}`);
      const why = `tier ${tier}, module ${hash}`;
      const event = kernelEvent('capsule.start', what, 'done', why, { capsule: process.name });
      audit.record(() => event);
      if (!isTemporary(process)) parts.capsuleStarted(process);
    },
    ended: (process, why, lastCalls) => {
      parts.release(process.sourceId);
      if (isTemporary(process)) router.removeEndpoint(process.endpoint);
      reportEnd(parts, process, why, lastCalls);
    },
  };
}

/** An instance of its own for one hook: it intercepts nothing, and its end is its runner's to tell. */
const isTemporary = ({ spec }: CapsuleProcess) => spec.endpoint !== undefined;

/** The instance's endpoint, and its interceptors: in the router, or as automatic handles of a run loop. */
function register(router: Router, process: CapsuleProcess) {
  const { manifest, hasRunLoop, adaptor } = process.spec;
  router.removeEndpoint(process.endpoint);
  router.addEndpoint({
    id: process.endpoint,
    sourceId: process.sourceId,
    publish: [...manifest.publish, ...(adaptor?.publish ?? [])],
    subscribe: manifest.subscribe,
    speaksForPeople: manifest.capabilities.uplink === true,
  });
  if (isTemporary(process)) return [];
  if (!hasRunLoop) {
    for (const interceptor of [...manifest.interceptors, ...(adaptor?.interceptors ?? [])])
      router.addInterceptor(process.name, interceptor);
    return [];
  }
  if (manifest.interceptors.length > LIMITS.autoSubscriptionsMax) {
    const message = `interceptor: a run loop has at most ${LIMITS.autoSubscriptionsMax}, this one ${manifest.interceptors.length}`;
    throw new Fault('bad_manifest', message, { field: 'interceptor' });
  }
  return manifest.interceptors.map((interceptor) => {
    const { event, action } = interceptor;
    const handle = router.addAutomaticHandle(process.name, interceptor);
    process.patterns.set(handle, event);
    return { handle_id: handle, action, topic: event };
  });
}

function reportEnd(parts: HookParts, process: CapsuleProcess, why: Fault, lastCalls: readonly string[]): void {
  const asked = why.code === 'cancelled';
  parts.logs.write(process.name, asked ? 'info' : 'error', `ended: ${why.code}: ${why.message}`);
  if (!asked && lastCalls.length > 0)
    parts.logs.write(process.name, 'error', `last host calls: ${lastCalls.join(' ')}`);
  const outcome = asked ? 'done' : 'failed';
  const reason = `${why.code}: ${why.message}`;
  const event = kernelEvent('capsule.exit', process.name, outcome, reason, { capsule: process.name });
  parts.audit.record(() => event);
  // What an operator killed and what comes back is waited for like a crash; what was stopped is gone.
  if ((asked && process.state !== 'backoff') || isTemporary(process)) return;
  const failure = { capsule_id: process.name, reason };
  parts.publishKernel('astrid.v1.health.failed', failure, KERNEL_ACTOR);
}
