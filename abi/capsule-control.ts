import { z } from 'zod';
import type { ProcessState } from './control.js';
import { LIMITS } from './limits.js';
import type { AbiGeneration, ExportRow, InterceptorRow, ManifestWarning, Tier } from './manifest.js';

/** The part of `abi/control.ts` that installs, upgrades, removes and shows capsules. */

const none = z.strictObject({});
const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/, 'the name of a capsule');
/** What is offered for install: the text of Capsule.toml, the module it names, and where both came from. */
const offer = {
  manifest: z.string('the text of Capsule.toml').max(LIMITS.manifestBytesMax, 'a manifest within its limit'),
  /** Null only for a manifest without a component. */
  wasm: z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'the bytes of the module').nullable(),
  source: z
    .string('where it came from')
    .min(1, 'where it came from')
    .max(LIMITS.sourceCharsMax, `a source of at most ${LIMITS.sourceCharsMax} characters`)
    .regex(/^[^\x00-\x1f\x7f-\x9f]*$/, 'a source without control characters'),
  allowDowngrade: z.boolean().default(false),
};

export const CAPSULE_METHODS = {
  /** What an install of exactly this would do; changes nothing. Answers `CapsulePlan`. */
  'capsule.plan': { params: z.strictObject(offer), stream: false },
  /** Does it, if the plan made now is the one that `planHash` names. Answers `InstallResult`. */
  'capsule.install': {
    params: z.strictObject({ ...offer, planHash: z.string().regex(/^[0-9a-f]{64}$/, 'the hash of a plan') }),
    stream: false,
  },
  /**
   * Puts another build in the place of what is installed, without a plan that was shown: same name, version and source, and
   * nothing that it might not do before. For anything beyond Fault `plan_changed`. Answers `InstallResult`.
   */
  'capsule.swap': { params: z.strictObject(offer), stream: false },
  /** `purge`: what the capsule stored goes, too, also when it is not installed any more. Its secrets, settings and timers always go. */
  'capsule.remove': { params: z.strictObject({ name, purge: z.boolean().default(false) }), stream: false },
  /** A build of this installed capsule is under way and will be offered: what its start needs may get ready. Promises nothing. */
  'capsule.expect': { params: z.strictObject({ name }), stream: false },
  'capsule.list': { params: none, stream: false },
  'capsule.tree': { params: none, stream: false },
  'capsule.verify': { params: z.strictObject({ name: name.optional() }), stream: false },
  'capsule.gc': { params: z.strictObject({ dryRun: z.boolean().default(true) }), stream: false },
  'capsule.inspect': { params: z.strictObject({ name }), stream: false },
} as const;

export type Danger = 'low' | 'medium' | 'high';

export interface CapabilityFact {
  readonly name: string;
  readonly danger: Danger;
  /** Completes the sentence "This capsule may …". */
  readonly may: string;
  /** Patterns; empty for a flag. */
  readonly entries: readonly string[];
}

export interface ProviderFact {
  readonly capsule: string;
  readonly version: string;
}

export interface ImportFact {
  readonly namespace: string;
  readonly name: string;
  readonly range: string;
  readonly optional: boolean;
  readonly met: boolean;
  /** Every installed capsule that fits, the one that counts first: highest version, then name. */
  readonly providers: readonly ProviderFact[];
}

/** Where one line of the merged manifest came from: both styles may say it. */
export interface OriginFact {
  readonly what: 'publish' | 'subscribe' | 'interceptor' | 'capability' | 'import' | 'export';
  readonly entry: string;
  readonly from: readonly string[];
}

/** Everything about one capsule that a person decides upon. Texts are as the author wrote them: strip before printing. */
export interface CapsuleFacts {
  readonly name: string;
  readonly version: string;
  readonly description: string | null;
  readonly source: string;
  /** BLAKE3 of the module in hex; null without code. */
  readonly hash: string | null;
  readonly manifestHash: string;
  readonly moduleBytes: number;
  readonly generation: { readonly generation: AbiGeneration; readonly why: string } | null;
  readonly tier: { readonly tier: Tier | null; readonly why: string };
  readonly capabilities: readonly CapabilityFact[];
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly interceptors: readonly InterceptorRow[];
  readonly commands: readonly { readonly name: string; readonly description: string | null }[];
  /** Of `[[tool]]`: the capsule hears every call of a tool of that name and answers it, without a line among its topics. */
  readonly tools: readonly { readonly name: string; readonly description: string | null }[];
  readonly uplinks: readonly { readonly name: string; readonly platform: string; readonly profile: string }[];
  readonly env: readonly { readonly name: string; readonly type: string; readonly description: string | null }[];
  readonly hooks: readonly ('install' | 'upgrade' | 'cron')[];
  readonly hasRunLoop: boolean;
  readonly hostCalls: readonly string[];
  readonly wasiCalls: readonly string[];
  readonly limits: { readonly memoryPages: number; readonly wallMs: number };
  readonly restart: string;
  readonly imports: readonly ImportFact[];
  readonly exports: readonly ExportRow[];
  readonly warnings: readonly ManifestWarning[];
  /** `classic`: `[[interceptor]]` and `[capabilities] ipc_*`; `newer`: `[publish]` and `[subscribe]`. */
  readonly style: 'classic' | 'newer' | 'both' | 'neither';
  readonly origins: readonly OriginFact[];
}

export interface PermissionChange {
  readonly change: 'added' | 'removed';
  readonly what: string;
  readonly entry: string;
  readonly danger: Danger;
}

export interface CapsulePlan extends CapsuleFacts {
  /** SHA-256 over everything else in the plan: what consent is given to. */
  readonly planHash: string;
  readonly kind: 'install' | 'upgrade' | 'downgrade' | 'reinstall';
  readonly previous: { readonly version: string; readonly hash: string | null; readonly source: string } | null;
  readonly changes: readonly PermissionChange[];
  /** Why a person has to look, one reason a line; empty for an upgrade that gets nothing it did not have. */
  readonly consent: readonly string[];
  /** Why it will be refused, or null. */
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** Installed capsules that wait for this one and start with it. */
  readonly startsToo: readonly string[];
}

export interface InstallResult {
  readonly name: string;
  readonly version: string;
  readonly kind: CapsulePlan['kind'];
  readonly hash: string | null;
  /** Null when it runs; else why it does not run yet. */
  readonly waits: string | null;
  readonly startedToo: readonly string[];
}

export interface RemoveResult {
  readonly name: string;
  /** Null when it was not installed and only what it had stored went. */
  readonly version: string | null;
}

export interface CapsuleRow {
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly hash: string | null;
  readonly builtin: boolean;
  readonly tier: Tier | null;
  readonly state: ProcessState | 'waiting-for-import' | 'disabled' | 'no-code' | 'damaged';
  readonly installedAt: string;
  readonly updatedAt: string;
  /** What keeps it from running, or an empty text. */
  readonly problem: string;
}

export interface TreeRow {
  readonly name: string;
  readonly version: string;
  readonly state: CapsuleRow['state'];
  readonly exports: readonly ExportRow[];
  readonly imports: readonly ImportFact[];
}

export interface VerifyRow {
  readonly name: string;
  readonly ok: boolean;
  readonly hash: string | null;
  readonly code: string | null;
  readonly message: string | null;
}

export interface GcResult {
  readonly dryRun: boolean;
  readonly blobs: readonly { readonly file: string; readonly bytes: number }[];
  readonly keptBlobs: number;
}

export interface InspectResult extends CapsuleFacts {
  readonly builtin: boolean;
  readonly state: CapsuleRow['state'];
  readonly problem: string;
  readonly installedAt: string;
  readonly updatedAt: string;
}
