import type { ProcessState } from '../../abi/control.js';
import type { Fault } from '../../abi/errno.js';
import type { Actor } from '../../bus/message.js';
import { type InterceptorSpec, Router } from '../../bus/router.js';
import { BusPort } from '../../supervisor/bus-port.js';
import { Delivery } from '../../supervisor/delivery.js';
import { type HookParts, makeProcessHooks } from '../../supervisor/kernel-hooks.js';
import type { CapsuleProcess } from '../../supervisor/proc/capsule-process.js';
import type { Invocation, InvocationOutcome } from '../../supervisor/proc/invocation.js';
import type { CallContext } from '../../supervisor/syscalls/handler.js';

export interface FakeCapsule {
  readonly interceptors?: readonly InterceptorSpec[];
  readonly publish?: readonly string[];
  /** It has a run loop: its interceptors are automatic handles. */
  readonly loop?: boolean;
  /** Why it takes no invocation. */
  readonly refusal?: Fault;
  readonly state?: ProcessState;
  /** What its handlers write: latin1 text, or how they fail. Absent: nothing. */
  readonly answer?: (action: string, payload: string) => string | Fault;
}

const NEVER = new AbortController().signal;
const SPEAKER: Actor = { principal: 'default', attribution: 'verified', session: 's' };

const decode = ({ input }: Invocation) => {
  const { name, arguments: bytes } = JSON.parse(input.toString()) as { name: string; arguments: number[] };
  return { name, payload: Buffer.from(bytes).toString() };
};

/** The bus of the kernel with capsules that are functions of the test, registered as the kernel registers them. */
export function busWith(capsules: Readonly<Record<string, FakeCapsule>>) {
  /** `capsule.action payload`, in the order of the calls. */
  const calls: string[] = [];
  const log: string[] = [];
  const faults: Fault[] = [];
  /** Invocations that a capsule was given, taken or not. */
  let submitted = 0;
  const processes = new Map<string, CapsuleProcess>();
  const processOf = (name: string) => processes.get(name);
  const router = new Router();
  const delivery = new Delivery({
    processOf,
    publishKernel: (...message) => bus.publishKernel(...message),
    publishFor: (...message) => bus.publishFor(...message),
    log: (capsule, line) => void log.push(`${capsule}: ${line}`),
  });
  const bus: BusPort = new BusPort({
    router,
    delivery,
    processOf,
    onFault: (fault) => void faults.push(fault),
    inbox: () => [],
  });
  const { register } = makeProcessHooks({ router } as HookParts);
  for (const [name, fake] of Object.entries(capsules)) {
    const submit = async (invocation: Invocation): Promise<InvocationOutcome> => {
      submitted += 1;
      if (fake.refusal !== undefined) return { kind: 'failed', fault: fake.refusal };
      const { name: action, payload } = decode(invocation);
      calls.push(`${name}.${action} ${payload.slice(0, 100)}`);
      const answer = fake.answer?.(action, payload) ?? '';
      if (typeof answer !== 'string') return { kind: 'failed', fault: answer };
      return { kind: 'done', returnCode: 0, output: Buffer.from(answer, 'latin1'), error: '' };
    };
    const manifest = {
      name,
      interceptors: (fake.interceptors ?? []).map((spec) => ({ priority: 100, fail: 'open', ...spec })),
      publish: fake.publish ?? [],
      subscribe: [],
      capabilities: {},
      limits: { wallMs: 1000 },
    };
    const process = {
      ...{
        name,
        endpoint: name,
        sourceId: `id of ${name}`,
        isReady: true,
        automaticHandles: 0,
        state: fake.state ?? 'ready',
      },
      ...{ submit, refusal: fake.refusal ?? null, queue: { isFull: false }, patterns: new Map() },
      spec: { manifest, principal: 'default', hasRunLoop: fake.loop === true, adaptor: null },
    } as unknown as CapsuleProcess;
    processes.set(name, process);
    register(process);
  }
  return {
    bus,
    router,
    calls,
    log,
    faults,
    submitted: () => submitted,
    publish: (from: string, topic: string, payload: unknown) =>
      bus.publish(from, topic, Buffer.from(JSON.stringify(payload)), { actor: SPEAKER } as CallContext),
    trigger: (from: string, topic: string, payload: unknown, cancel: AbortSignal = NEVER) =>
      bus.trigger(topic, payload, { endpoint: from, capsule: from, actor: SPEAKER, cancel } as CallContext),
    /** What a handle of a capsule has waiting. */
    waiting: (capsule: string, handle = 1) => router.poll(capsule, handle).messages,
  };
}

/** Until everything that was started has had its turns. */
export async function settled(turns = 600): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
