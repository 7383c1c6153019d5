import type { CommandRow, SessionRow } from '../abi/control.js';
import type { BootAuditCheck } from './audit-check.js';
import type { BootOptions, Ground } from './boot.js';
import type { BootSteps } from './boot-steps.js';
import type { KernelFace } from './control/kernel-face.js';
import type { KernelFiles } from './files-service.js';
import type { Approvals } from './gate/approvals.js';
import { kernelEvent } from './kernel-hooks.js';
import type { Questions } from './lifecycle/questions.js';
import type { ProcessTable } from './process-table.js';
import type { Sessions } from './sessions.js';
import type { SettingsPort } from './settings-port.js';
import type { UplinkPort } from './uplink-port.js';

export interface FaceParts {
  readonly options: BootOptions;
  readonly steps: BootSteps;
  readonly ground: Ground;
  readonly table: ProcessTable;
  readonly hooks: KernelFace['hooks'];
  readonly sessions: Sessions;
  readonly approvals: Approvals;
  readonly files: KernelFiles;
  readonly uplinks: UplinkPort;
  readonly capsules: KernelFace['capsules'];
  readonly check: BootAuditCheck;
  readonly questions: Questions;
  readonly settings: SettingsPort;
  readonly startedAt: number;
  readonly clients: () => number;
}

/** The kernel as the control methods see it. */
export function makeFace(parts: FaceParts): KernelFace {
  const { options, ground, table, sessions, approvals, files, uplinks } = parts;
  const { audit, logs, home, config } = ground;
  return {
    defaultMode: config.approval.mode,
    status: () => ({
      pid: process.pid,
      version: options.version,
      uptimeMs: Math.round(performance.now() - parts.startedAt),
      home: home.root,
      capsules: {
        total: table.all().length,
        ready: table.all().filter((capsule) => capsule.isReady).length,
        failed: table.all().filter((capsule) => capsule.state === 'failed').length,
      },
      clients: parts.clients(),
      sessions: sessions.list().length,
      pendingApprovals: approvals.pendingCount,
      auditor: audit.status(),
      auditCheck: parts.check.state,
      boot: parts.steps.taken,
    }),
    requestStop: options.requestStop,
    commands: () => listCommands(table),
    recordOperator: async (action, resource, client, session) => {
      const more = { layer: 'operator', session: session ?? null } as const;
      await audit.append(kernelEvent(action, resource, 'accepted', client, more));
    },
    processes: table,
    hooks: parts.hooks,
    logs,
    sessions: {
      get: (id) => sessions.get(id),
      list: () => sessions.list() satisfies Omit<SessionRow, 'resumed'>[],
      open: (request) => sessions.open(request),
      addListener: (id) => sessions.addListener(id),
      touch: (id, now) => sessions.touch(id, now),
    },
    bus: uplinks,
    capsules: parts.capsules,
    approvals,
    questions: parts.questions,
    settings: parts.settings,
    files,
    audit,
  };
}

function listCommands(table: ProcessTable): CommandRow[] {
  const rows = table
    .all()
    .flatMap(({ name: capsule, spec }) =>
      spec.manifest.commands.map(({ name, description }) => ({ name, description, capsule })),
    );
  const keyOf = ({ name, capsule }: CommandRow) => `${name}\0${capsule}`;
  return rows.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}
