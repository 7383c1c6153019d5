import { asFault, Fault } from '../abi/errno.js';
import type { CapsuleManifest } from '../abi/manifest.js';
import type { ServiceParts } from './boot-services.js';
import { CronService } from './cron/cron-service.js';
import { type FiringOutcome, Scheduler, type SchedulerClock } from './cron/scheduler.js';
import type { TimerRecord } from './cron/timer-record.js';
import type { AuditPort } from './dispatch.js';
import { KERNEL_ACTOR, kernelEvent } from './kernel-hooks.js';
import type { InboxRow } from './kernel-inbox.js';
import { EnvFile } from './lifecycle/env-file.js';
import { EnvService } from './lifecycle/env-service.js';
import { ANSWER_PREFIX, Questions } from './lifecycle/questions.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import { encodeRequest } from './proc/guest-request.js';
import { FileSecretStore } from './secrets/file-store.js';
import type { SecretStore } from './secrets/secret-store.js';
import { KeyringSecretStore } from './secrets/secret-tool.js';
import type { KvStore } from './storage/kv.js';
import type { TimerService } from './syscalls/cron.js';
import type { CallContext } from './syscalls/handler.js';
import type { LifecycleService } from './syscalls/lifecycle.js';

export interface LifecycleServices {
  readonly handlers: { readonly lifecycle: LifecycleService; readonly timers: TimerService };
  readonly questions: Questions;
  readonly inbox: InboxRow;
  readonly env: EnvService;
  readonly scheduler: Scheduler;
  /** What `get_config` answers in an instance that is being loaded. */
  configure(principal: string, manifest: CapsuleManifest): Promise<Record<string, string>>;
  /** An instance is ready: its manifest's timers are followed and those that waited for it run. */
  capsuleStarted(process: CapsuleProcess): void;
  /**
   * What the hook of an install that is undone made: timers, secrets and what people allowed, and values if `purge`. Timers and values
   * go for everybody the capsule acted for: they are found by its name, and would be the next one's. Secrets and settings are the
   * operator's alone (`principal`); settings stay here.
   */
  dropTraces(principal: string, capsule: string, purge: boolean): Promise<void>;
  /** Timers alone: nobody has any before its first install. */
  dropTimers(capsule: string): Promise<void>;
  /** Drops timers, secrets, settings and what people allowed of a capsule that is gone; what it keeps in its store only if `purge`. */
  forget(principal: string, capsule: string, purge: boolean): Promise<void>;
  /** How many keys it has in its store, there or gone, for everybody it acted for. */
  countStored(capsule: string): Promise<number>;
}

/** Questions, secrets, settings and timers, wired to the rest of the kernel. */
export function openLifecycleServices(parts: ServiceParts, kv: KvStore): LifecycleServices {
  const { bus, logs, store, onFault } = parts;
  const warn = (capsule: string, message: string) => logs.write(capsule, 'warn', message);
  const secrets = openSecretStore(parts);
  const questions = new Questions({
    secrets,
    publish: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
    uplinkRuns: () => parts.uplinkRuns(),
    log: warn,
    now: Date.now,
  });
  const env = new EnvService({
    file: new EnvFile(parts.home.root),
    kv,
    secrets,
    publish: (topic, payload, principal) => bus.publishKernel(topic, payload, { ...KERNEL_ACTOR, principal }),
    log: warn,
  });
  const records = store.records('timers');
  const scheduler = new Scheduler({
    records,
    write: (work) => store.write(work),
    clock: systemClock,
    call: (timer) => callTimer(parts.processOf(timer.capsule), timer, warn),
    record: (what, timer, why) => recordFiring(parts.audit, what, timer, why),
    onFault,
  });
  const cron = new CronService(scheduler, Date.now);
  const dropTraces: LifecycleServices['dropTraces'] = async (principal, capsule, purge) => {
    await parts.approvals.dropCapsule(capsule);
    await cron.removeAll(capsule);
    await secrets.removeAll({ principal, capsule });
    if (purge) await kv.clearAll(capsule);
  };
  return {
    questions,
    inbox: { prefix: ANSWER_PREFIX, receive: (_from, message) => questions.receive(message) },
    env,
    scheduler,
    handlers: { lifecycle: makeLifecycleService(questions, secrets, onFault), timers: makeTimerService(cron, parts) },
    configure: (principal, manifest) => env.load(principal, manifest),
    capsuleStarted: ({ name, spec }) => {
      cron
        .follow(spec.principal, name, spec.manifest.cron)
        .then(() => scheduler.capsuleStarted(name))
        .catch((error: unknown) => onFault(asFault(error)));
    },
    dropTraces,
    dropTimers: (capsule) => cron.removeAll(capsule),
    forget: async (principal, capsule, purge) => {
      await dropTraces(principal, capsule, purge);
      await env.removeAll(principal, capsule);
    },
    countStored: (capsule) => kv.countAll(capsule),
  };
}

function openSecretStore({ config, home, tools }: ServiceParts): SecretStore {
  if (config.secrets.store === 'keyring') return new KeyringSecretStore(tools.secretTool);
  return new FileSecretStore(home.root, home.secretsKey);
}

function makeLifecycleService(
  questions: Questions,
  secrets: SecretStore,
  onFault: (fault: Fault) => void,
): LifecycleService {
  return {
    admit: (request, context) => questions.admit(request, context),
    elicit: async (request, context) => {
      context.setWaiting(`an answer for ${request.key}`);
      context.pauseClock();
      try {
        return await questions.ask(request, context);
      } finally {
        context.resumeClock();
        context.setWaiting('');
      }
    },
    hasSecret: async (principal, capsule, key) => {
      try {
        return await secrets.has({ principal, capsule }, key);
      } catch (error) {
        const fault = asFault(error);
        if (fault.code === 'invalid_argument') throw fault;
        // What is wrong with a file of the home is the operator's to know.
        onFault(fault);
        throw new Fault('io_error', 'the secret store cannot be read now', { cause: fault });
      }
    },
  };
}

function makeTimerService(cron: CronService, parts: ServiceParts): TimerService {
  return {
    schedule: (request) => cron.schedule(request),
    cancel: (principal, capsule, name) => cron.cancel(principal, capsule, name),
    preview: (schedule) => cron.preview(schedule),
    admit: (
      request: { readonly name: string; readonly schedule: string },
      { endpoint, capsule, actor }: CallContext,
    ) => {
      if (parts.processOf(endpoint)?.exports.has('run') !== true) {
        cron.admit({ ...request, capsule, principal: actor.principal });
        return;
      }
      const message = 'a capsule with a run loop is never called, so it cannot have timers; wait in ipc_recv instead';
      throw new Fault('not_supported', message);
    },
  };
}

const systemClock: SchedulerClock = {
  now: Date.now,
  wake: (afterMs, call) => {
    const timer = setTimeout(call, afterMs);
    return () => clearTimeout(timer);
  },
};

/** States in which nobody takes an invocation; in all others it waits in the queue. */
const ABSENT: ReadonlySet<string> = new Set(['failed', 'stopped', 'stopping']);

/** `astrid_cron_trigger` where the module has it, else the action as a hook (ABI reference 3.1 and 3.2). Never rejects. */
async function callTimer(
  process: CapsuleProcess | undefined,
  timer: TimerRecord,
  warn: (capsule: string, message: string) => void,
): Promise<FiringOutcome> {
  if (process === undefined || ABSENT.has(process.state)) return 'unavailable';
  const failed = (why: string): FiringOutcome => {
    warn(timer.capsule, `timer ${timer.name} failed: ${why}`);
    return 'failed';
  };
  if (process.spec.hasRunLoop) return failed('a capsule with a run loop is never called');
  const outcome = await process.submit({
    exportName: process.exports.has('astrid_cron_trigger') ? 'astrid_cron_trigger' : 'astrid_hook_trigger',
    input: encodeRequest(timer.action, Buffer.from(timer.payload, 'base64')),
    actor: { principal: timer.principal, attribution: 'system', session: null },
    message: null,
    label: `timer ${timer.name}`,
    wallMs: process.spec.manifest.limits.wallMs,
  });
  if (outcome.kind === 'failed') {
    const { code, message } = outcome.fault;
    if (code === 'cancelled') return 'interrupted';
    return code === 'not_ready' ? 'unavailable' : failed(`${code}: ${message}`);
  }
  return outcome.returnCode === 0 ? 'done' : failed(outcome.error || `the handler returned ${outcome.returnCode}`);
}

async function recordFiring(
  audit: AuditPort,
  what: 'accepted' | 'done' | 'failed' | 'skipped',
  { principal, capsule, name }: TimerRecord,
  why: string,
): Promise<void> {
  const action = what === 'skipped' ? 'cron.skip' : 'cron.fire';
  const outcome = what === 'skipped' ? 'done' : what;
  await audit.append(kernelEvent(action, `${capsule}:${name}`, outcome, why, { principal, capsule }));
}
