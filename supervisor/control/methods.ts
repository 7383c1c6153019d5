import { randomBytes } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import {
  type ApprovalMode,
  type BusEventRow,
  CLIENT_TOPICS,
  type ControlParams,
  type ElicitAnswerInput,
  type KillResult,
  type StatusResult,
} from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { makeCapsuleHandlers } from './capsule-methods.js';
import type { ClientContext, ControlHandlers, EventSink } from './handlers.js';
import type { ControlledHook, KernelFace } from './kernel-face.js';

const PRINCIPAL = 'default';

/** What each control method does, over the narrow face of the kernel. Complete by type: a method without a handler does not compile. */
export function makeControlHandlers(kernel: KernelFace): ControlHandlers {
  return {
    status: (): StatusResult => kernel.status(),
    ps: () => [...kernel.processes.rows(), ...kernel.hooks.rows()],
    'commands.list': () => kernel.commands(),
    kill: async ({ target }, { client }) => {
      const hook = kernel.hooks.find(target);
      if (hook !== undefined) return killHook(kernel, hook, client);
      const process = kernel.processes.find(target);
      await kernel.recordOperator('capsule.kill', process.name, client);
      if (!process.isRunning) {
        throw new Fault(
          'not_ready',
          `${process.name} has no process now (${process.state}); it comes back by its restart policy`,
        );
      }
      process.end(new Fault('cancelled', `killed by the operator (${client})`), 'SIGTERM');
      return { capsule: process.name } satisfies KillResult;
    },
    restart: async ({ target }, { client }) => {
      const process = kernel.processes.find(target);
      await kernel.recordOperator('capsule.restart', process.name, client);
      await process.restart();
      return { capsule: process.name };
    },
    logs: ({ capsule, lines, follow }, _client, sink) => {
      // One that is not loaded any more, or was never because its hook failed, still has said what it said.
      if (capsule !== undefined && kernel.logs.tail(capsule, 1).length === 0) kernel.processes.find(capsule);
      for (const row of kernel.logs.tail(capsule, lines)) sink.send(row);
      if (!follow) return sink.end();
      sink.onCancel(
        kernel.logs.follow((row) => {
          if (capsule === undefined || row.capsule === capsule) sink.send(row);
        }),
      );
    },
    'session.open': (params, client) => openSession(kernel, params, client),
    'session.list': () => kernel.sessions.list().map((session) => ({ ...session, resumed: false })),
    'bus.subscribe': ({ session, patterns }, { client }, sink) => {
      kernel.sessions.get(session);
      return kernel.bus.subscribe(client, session, patterns, (row: BusEventRow) => sink.send(row), sink.onCancel);
    },
    'bus.publish': ({ session, topic, payload }) => {
      if (!CLIENT_TOPICS.includes(topic)) {
        throw new Fault('capability_missing', `an uplink may publish on ${CLIENT_TOPICS.join(', ')}`, {
          field: 'topic',
        });
      }
      const { principal } = kernel.sessions.get(session);
      kernel.sessions.touch(session, Date.now());
      return kernel.bus.publish(topic, payload, { principal, attribution: 'claimed', session });
    },
    'approvals.list': ({ session }) => kernel.approvals.list(session),
    'approvals.follow': ({ session }, _client, sink) => {
      kernel.sessions.get(session);
      sink.onCancel(kernel.approvals.follow(session, (row) => sink.send(row)));
    },
    'approvals.answer': async ({ id, decision }, { client }) => {
      await kernel.recordOperator('approval.answer', `${id} ${decision}`, client);
      return kernel.approvals.answer(id, decision, client);
    },
    'elicit.follow': ({ capsule }, _client, sink) =>
      sink.onCancel(
        kernel.questions.follow((row) => {
          if (capsule === undefined || row.capsule === capsule) sink.send(row);
        }),
      ),
    'elicit.answer': async ({ id, ...answer }, { client }) => {
      const checked = readElicitAnswer(answer);
      await kernel.recordOperator('elicit.answer', `${id} ${'cancel' in checked ? 'cancel' : 'value'}`, client);
      return kernel.questions.answer(id, checked);
    },
    'capsule.config': async ({ capsule, set, unset }, { client }) => {
      const names = [...Object.keys(set), ...unset];
      if (names.length === 0) return kernel.settings.rows(capsule);
      await kernel.recordOperator('capsule.config', `${capsule} ${names.join(' ')}`, client);
      return kernel.settings.change(capsule, set, unset);
    },
    'capsule.secret': async ({ capsule, key, value }, { client }) => {
      const what = value === undefined ? 'secret.remove' : 'secret.set';
      await kernel.recordOperator(what, `${capsule} ${key}`, client);
      const done = await kernel.settings.changeSecret(capsule, key, value ?? null);
      return { capsule, key, set: value !== undefined, done };
    },
    'overlay.diff': ({ session, paths }) => kernel.files.diff(session, paths),
    'overlay.commit': async ({ session, paths }, { client }) => {
      await kernel.recordOperator('overlay.commit', paths?.join(' ') ?? '*', client, session);
      return kernel.files.commit(session, paths);
    },
    'overlay.rollback': async ({ session, paths }, { client }) => {
      await kernel.recordOperator('overlay.rollback', paths?.join(' ') ?? '*', client, session);
      return kernel.files.rollback(session, paths);
    },
    ...makeCapsuleHandlers(kernel),
    'audit.tail': ({ lines, follow }, _client, sink) => tailAudit(kernel, lines, follow, sink),
    stop: (_params, { client }) => {
      kernel.requestStop(`asked by ${client}`);
    },
  };
}

async function killHook(kernel: KernelFace, hook: ControlledHook, client: string): Promise<KillResult> {
  const { capsule, kind } = hook;
  await kernel.recordOperator('capsule.kill', `${capsule}/${kind}`, client);
  hook.end(new Fault('cancelled', `the ${kind} hook of ${capsule} was killed by the operator (${client})`));
  return { capsule, hook: kind };
}

function readElicitAnswer(params: Partial<ControlParams<'elicit.answer'>>): ElicitAnswerInput {
  const { value, values, cancel, reason = null } = params;
  const given = [value, values, cancel].filter((one) => one !== undefined);
  if (given.length !== 1)
    throw new Fault('invalid_argument', 'value: expected exactly one of value, values and cancel', { field: 'value' });
  if (cancel === true) return { cancel, reason };
  return values === undefined ? { value: value ?? '' } : { values };
}

async function openSession(
  kernel: KernelFace,
  params: { id?: string | undefined; workspace: string; mode?: ApprovalMode | undefined; interactive: boolean },
  client: ClientContext,
) {
  if (!isAbsolute(params.workspace))
    throw new Fault('invalid_argument', 'workspace: an absolute path', { field: 'workspace' });
  const workspace = await realpath(params.workspace).catch(() => null);
  if (workspace === null || !(await stat(workspace)).isDirectory()) {
    throw new Fault('not_found', 'workspace: there is no such directory', { field: 'workspace' });
  }
  const isKnown = (id: string) => kernel.sessions.list().some((session) => session.id === id);
  if (params.id !== undefined && !isKnown(params.id)) {
    throw new Fault('not_found', `no session ${params.id}; see: astrid sessions`, { field: 'session' });
  }
  const id = params.id ?? randomBytes(6).toString('hex');
  // Written down first: a session that cannot be logged is not opened, and its mode is not changed.
  await kernel.recordOperator(
    params.id === undefined ? 'session.open' : 'session.resume',
    `${workspace} ${params.mode ?? ''}`.trim(),
    client.client,
    id,
  );
  const { session, row } = await kernel.sessions.open({
    id,
    workspace,
    mode: params.mode,
    defaultMode: kernel.defaultMode,
    principal: PRINCIPAL,
    now: Date.now(),
  });
  if (params.interactive) {
    const release = kernel.sessions.addListener(session.id);
    client.onClose(() => {
      release();
      kernel.approvals.recheckListeners();
    });
  }
  return row;
}

async function tailAudit(kernel: KernelFace, lines: number, follow: boolean, sink: EventSink): Promise<void> {
  // Following starts before the tail is read, so that nothing falls between; what both have is sent once.
  const early: { index: number }[] = [];
  let next = -1;
  const send = (entry: { index: number }) => {
    if (entry.index < next) return;
    next = entry.index + 1;
    sink.send(entry);
  };
  if (follow) sink.onCancel(kernel.audit.follow((entry) => (next < 0 ? void early.push(entry) : send(entry))));
  const tail = await kernel.audit.tail(lines);
  next = 0;
  for (const entry of tail) send(entry);
  for (const entry of early) send(entry);
  if (!follow) sink.end();
}
