import type {
  CapsulePlan,
  CapsuleRow,
  GcResult,
  InspectResult,
  InstallResult,
  RemoveResult,
  TreeRow,
  VerifyRow,
} from '../../abi/capsule-control.js';
import type {
  ApprovalDecision,
  ApprovalMode,
  ApprovalRow,
  BusEventRow,
  CommandRow,
  CommitResult,
  ControlParams,
  DiffRow,
  ElicitAnswerInput,
  ElicitRow,
  EnvValueRow,
  LogRow,
  ProcessRow,
  RollbackResult,
  SessionRow,
  StatusResult,
} from '../../abi/control.js';
import type { Fault } from '../../abi/errno.js';
import type { Actor } from '../../bus/message.js';

interface ControlledProcess {
  readonly name: string;
  readonly state: string;
  readonly isRunning: boolean;
  end(reason: Fault, signal: 'SIGTERM'): void;
  restart(): Promise<void>;
}

export interface ControlledHook {
  readonly capsule: string;
  readonly kind: 'install' | 'upgrade';
  end(reason: Fault): void;
}

interface SessionFace {
  readonly id: string;
  readonly principal: string;
}

/** What the control methods may ask of the kernel; they see no service directly. */
export interface KernelFace {
  readonly defaultMode: ApprovalMode;
  status(): StatusResult;
  /** Slash commands of the capsules that run. */
  commands(): CommandRow[];
  requestStop(why: string): void;
  /** Resolves when the auditor has it; an operator's action that cannot be written down does not happen. */
  recordOperator(action: string, resource: string, client: string, session?: string): Promise<void>;
  readonly processes: { rows(): ProcessRow[]; find(target: string): ControlledProcess };
  /** Install and upgrade hooks that run. */
  readonly hooks: { rows(): ProcessRow[]; find(target: string): ControlledHook | undefined };
  readonly logs: {
    tail(capsule: string | undefined, lines: number): LogRow[];
    follow(onRow: (row: LogRow) => void): () => void;
  };
  readonly sessions: {
    get(id: string): SessionFace;
    list(): Omit<SessionRow, 'resumed'>[];
    open(request: {
      id: string;
      workspace: string;
      mode: ApprovalMode | undefined;
      defaultMode: ApprovalMode;
      principal: string;
      now: number;
    }): Promise<{ session: SessionFace; row: SessionRow }>;
    addListener(id: string): () => void;
    touch(id: string, now: number): void;
  };
  readonly bus: {
    publish(topic: string, payload: unknown, actor: Actor): void | Promise<void>;
    subscribe(
      client: string,
      session: string,
      patterns: readonly string[],
      send: (row: BusEventRow) => void,
      onCancel: (release: () => void) => void,
    ): void;
  };
  readonly approvals: {
    list(session?: string): ApprovalRow[];
    follow(session: string, onRow: (row: ApprovalRow) => void): () => void;
    answer(id: string, decision: ApprovalDecision, by: string): Promise<ApprovalRow>;
    recheckListeners(): void;
  };
  /** Questions of install and upgrade hooks. */
  readonly questions: {
    follow(onRow: (row: ElicitRow) => void): () => void;
    answer(id: string, answer: ElicitAnswerInput): Promise<ElicitRow>;
  };
  readonly settings: {
    rows(capsule: string): Promise<EnvValueRow[]>;
    change(capsule: string, set: Readonly<Record<string, string>>, unset: readonly string[]): Promise<EnvValueRow[]>;
    changeSecret(capsule: string, key: string, value: string | null): Promise<boolean>;
  };
  readonly files: {
    diff(session: string, paths: readonly string[] | undefined): Promise<DiffRow[]>;
    commit(session: string, paths: readonly string[] | undefined): Promise<CommitResult>;
    rollback(session: string, paths: readonly string[] | undefined): Promise<RollbackResult>;
  };
  readonly capsules: {
    plan(offer: ControlParams<'capsule.plan'>): Promise<CapsulePlan>;
    install(offer: ControlParams<'capsule.install'>, client: string): Promise<InstallResult>;
    swap(offer: ControlParams<'capsule.swap'>, client: string): Promise<InstallResult>;
    remove(name: string, purge: boolean, client: string): Promise<RemoveResult>;
    /** A new build of it is about to be offered. */
    expect(name: string): void;
    list(): Promise<CapsuleRow[]>;
    tree(): Promise<TreeRow[]>;
    verify(name: string | undefined): Promise<VerifyRow[]>;
    collectGarbage(dryRun: boolean, client: string): Promise<GcResult>;
    inspect(name: string): Promise<InspectResult>;
  };
  readonly audit: {
    tail(lines: number): Promise<readonly { index: number }[]>;
    follow(onEntry: (entry: { index: number }) => void): () => void;
  };
}
