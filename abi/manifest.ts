import type { CapabilityName } from './capabilities.js';

/** One of the three ABI generations a guest may speak (design section 2). */
export type AbiGeneration = 1 | 2 | 3;

export type Tier = 'jail' | 'process';

export type RestartPolicy = 'always' | 'on-failure' | 'never';
export const RESTART_POLICIES: readonly RestartPolicy[] = ['always', 'on-failure', 'never'];

export interface ImportRow {
  readonly namespace: string;
  readonly name: string;
  /** Semver requirement, for example `^1.0`. */
  readonly range: string;
  readonly optional: boolean;
}

export interface ExportRow {
  readonly namespace: string;
  readonly name: string;
  /** Exact semver. */
  readonly version: string;
}

export interface InterceptorRow {
  /** Topic pattern, matched by rule B (ABI reference 4.5). */
  readonly event: string;
  readonly action: string;
  /** Lower runs first. */
  readonly priority: number;
  /** What a crash or time-out of this interceptor means for the chain. */
  readonly fail: 'open' | 'closed';
}

export interface EnvRow {
  readonly name: string;
  readonly type: 'string' | 'secret' | 'array';
  readonly request: string | null;
  readonly description: string | null;
  readonly default: string | readonly string[] | null;
  readonly enumValues: readonly string[];
  readonly placeholder: string | null;
}

/** One `[[cron]]` section: a timer that the capsule has as long as it is installed. */
export interface CronRow {
  readonly name: string;
  /** `abi/cron-schedule.ts`; it was checked when the manifest was read. */
  readonly schedule: string;
  readonly timezone: string | null;
  readonly action: string;
  /** What happens to an occurrence that was missed: one run as soon as it can be, or none. */
  readonly missed: 'once' | 'skip';
}

export interface ManifestWarning {
  /** 1-based line in Capsule.toml, 0 when it has none. */
  readonly line: number;
  readonly path: string;
  readonly message: string;
}

/** A manifest after both styles were merged (ABI reference 6.1 to 6.5). Deny by default: absent means none. */
export interface CapsuleManifest {
  /** Generation the author states, or null: then it is told from the module. */
  readonly abi: AbiGeneration | null;
  readonly name: string;
  readonly version: string;
  readonly description: string | null;
  readonly astridVersion: string | null;
  /** The first component: the module this capsule runs. Null for a manifest without code. */
  readonly component: { readonly id: string; readonly file: string } | null;
  readonly imports: readonly ImportRow[];
  readonly exports: readonly ExportRow[];
  /** Publish ACL patterns, rule B. */
  readonly publish: readonly string[];
  /** Subscribe ACL patterns, rule B against the pattern text. */
  readonly subscribe: readonly string[];
  readonly interceptors: readonly InterceptorRow[];
  readonly capabilities: Readonly<Record<CapabilityName, readonly string[] | boolean>>;
  readonly env: readonly EnvRow[];
  readonly cron: readonly CronRow[];
  readonly commands: readonly {
    readonly name: string;
    readonly description: string | null;
    readonly file: string | null;
  }[];
  /** Tools that the module serves by `astrid_tool_call` (ABI reference 6.3); absent like an empty list. */
  readonly tools?: readonly {
    readonly name: string;
    readonly description: string;
    /** JSON Schema of the arguments. */
    readonly inputSchema: Readonly<Record<string, unknown>>;
  }[];
  readonly uplinks: readonly { readonly name: string; readonly platform: string; readonly profile: string }[];
  readonly topics: readonly {
    readonly name: string;
    readonly direction: 'publish' | 'subscribe';
    readonly description: string | null;
    readonly schema: string | null;
  }[];
  readonly restart: RestartPolicy;
  readonly limits: { readonly memoryPages: number; readonly wallMs: number };
  /** Unknown keys (generations 1 and 2) and other things a person should see at install. */
  readonly warnings: readonly ManifestWarning[];
}
