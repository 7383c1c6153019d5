import type { FaultCode } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { AbiGeneration } from '../../abi/manifest.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import { syscallByName } from '../../abi/table.js';

/** A run of bytes of a block: written out, one byte many times, or as often as it takes for the block to have so many bytes. */
export type Segment =
  | { readonly literal: Buffer }
  | { readonly byte: number; readonly count: number }
  | { readonly byte: number; readonly upTo: number };

/** What a guest passes for one argument. */
export type Arg =
  /** An offset as it is, whether there is a block or not. */
  | { readonly kind: 'raw'; readonly offset: bigint }
  | { readonly kind: 'block'; readonly segments: readonly Segment[] }
  /** The offset of a block that was given back. */
  | { readonly kind: 'stale' }
  /** What an earlier step of this case answered, without a status byte. */
  | { readonly kind: 'from'; readonly step: number }
  /** What a step of `before` answered, to another guest; of a JSON object one field. */
  | { readonly kind: 'foreign'; readonly step: number; readonly field: string | null };

export interface Step {
  readonly call: string;
  readonly args: readonly Arg[];
}

/** Looks at the payload, of which a script keeps the beginning, and at how many bytes it had. */
export type OkTest = (payload: Buffer, bytes: number) => boolean;

/** What the guest must read. `uncatchable`: a trap in generation 2 even where that call has a status byte. */
export type Want =
  | { readonly kind: 'ok'; readonly shown: string; readonly test: OkTest }
  | { readonly kind: 'fault'; readonly code: FaultCode; readonly text?: RegExp; readonly uncatchable?: boolean };

export type CaseKind = 'good' | 'error' | 'limit' | 'capability' | 'hostile';

/**
 * Manifests of the guests: `full` may do everything that a case needs, `bare` nothing, `peer` the same as `full`. `loop` is like
 * `full` and has a run loop, which made its one call (LOOP_CALL) when it started.
 */
export type GuestRole = 'full' | 'bare' | 'peer' | 'loop';
/** What a guest with a run loop calls: automatic handles are there for nobody else. */
export const LOOP_CALL = 'astrid_get_interceptor_handles';

/** One situation: steps of one guest, of which the last is judged; the ones before must succeed. */
export interface ConformanceCase {
  readonly call: string;
  readonly name: string;
  readonly kind: CaseKind;
  readonly role: GuestRole;
  /** Export that runs: the lifecycle ones put the call in another phase. */
  readonly entry: 'astrid_hook_trigger' | 'astrid_install' | 'astrid_upgrade';
  readonly steps: readonly Step[];
  /** Steps of the guest `peer`, before. */
  readonly before: readonly Step[];
  readonly want: Want;
  /** Where a generation reads something else. */
  readonly wantIn: Readonly<Partial<Record<AbiGeneration, Want>>>;
  /** The guest is started anew before this case and before the next one: it uses something up. */
  readonly fresh: boolean;
  /** Any of the steps may be the one that is refused, and no other lane runs meanwhile: what is tested has a clock. */
  readonly anyStep: boolean;
  /** The invocation was triggered by a message. */
  readonly heard: boolean;
  /** Someone else than `default`, with an allowance of their own. */
  readonly principal: string;
  /** The call belongs to no session. */
  readonly sessionless: boolean;
  /** Clients that knock at the uplink socket, with their token and one message. No other lane runs meanwhile: it would take them. */
  readonly visitors: number;
  /** The guest is stopped once it waits for what begins like this in `ps`. */
  readonly unloadsAt: string | null;
  /** In a session where a person has to be asked. */
  readonly guarded: boolean;
}

/** Cases of which two at a time would be in each other's way. */
export const isAlone = ({ anyStep, visitors }: ConformanceCase): boolean => anyStep || visitors > 0;

type CaseInit = Pick<ConformanceCase, 'name' | 'want'> & Partial<ConformanceCase> & { readonly args?: readonly Arg[] };

/** Cases of one call, with what most of them share said once. */
export function casesOf(call: string, inits: readonly CaseInit[]): ConformanceCase[] {
  return inits.map(({ args, ...init }) => ({
    call,
    kind: init.want.kind === 'ok' ? 'good' : 'error',
    role: 'full',
    entry: 'astrid_hook_trigger',
    steps: [...(init.steps ?? []), ...(args === undefined ? [] : [{ call, args }])],
    before: [],
    wantIn: {},
    fresh: false,
    anyStep: false,
    heard: false,
    principal: 'default',
    sessionless: false,
    visitors: 0,
    unloadsAt: null,
    guarded: false,
    ...without(init, 'steps'),
  }));
}

function without(init: Partial<ConformanceCase> & Pick<ConformanceCase, 'name' | 'want'>, key: 'steps') {
  const { [key]: _steps, ...rest } = init;
  return rest;
}

/** How one parameter behaves under what every parameter must bear. */
export interface ParamProfile {
  /** An argument that is right. */
  readonly valid: Arg;
  /** What empty bytes give: so do offset 0, -1, an offset past all memory and a block that was given back. */
  readonly empty: Want;
  readonly notUtf8: Want;
  /** An argument of exactly the limit. */
  readonly edge: { readonly arg: Arg; readonly want: Want };
}

/** A parameter that is text of at most so many bytes: nothing and what is no UTF-8 are answered alike. */
export const textParam = (valid: Arg, other: Want, edgeArg: Arg, edgeWant: Want): ParamProfile => ({
  valid,
  empty: other,
  notUtf8: other,
  edge: { arg: edgeArg, want: edgeWant },
});

/** A request in JSON whose unknown field fills it up to the limit. */
export const requestParam = (value: object, edge: Want, bytesMax: number = LIMITS.payloadBytesMax): ParamProfile => {
  const filled = padded(`${JSON.stringify(value).slice(0, -1)},"unknown":"`, '"}', bytesMax);
  return textParam(json(value), fault('invalid_argument'), filled, edge);
};

/** One call: parameters for the cases that are made for every call, and the cases of its own. */
export interface CallProfile {
  readonly call: string;
  /** Steps that make the arguments valid, such as a subscription. */
  readonly setup?: readonly Step[];
  readonly params: readonly ParamProfile[];
  /** What the call answers when it does what it is for: never a refusal, and never that there is nothing. */
  readonly good: Want;
  readonly goodIn?: ConformanceCase['wantIn'];
  /** Where the good case is something else than valid arguments after `setup`. */
  readonly meant?: Partial<ConformanceCase> & { readonly args?: readonly Arg[] };
  readonly cases: readonly ConformanceCase[];
  readonly entry?: ConformanceCase['entry'];
  readonly role?: GuestRole;
  readonly before?: readonly Step[];
  readonly visitors?: number;
}

/** Stands for a name that no other lane has: the bus is one for all of them. */
export const LANE = '@lane';
/** Stands for a name that no other script has. */
export const ONCE = '@once';
/** Stands for the port of a web server on loopback that the operator opened to capsules. */
export const PORT = '@port';
/** Stand for the ids that messages of these two guests carry. */
export const PEER_ID = '@peer-id';
export const BARE_ID = '@bare-id';
/** Stands for the user id that the first step of `before` made. */
export const PERSON = '@person';
/** A question about this key is one that nobody wants to answer; every other gets an answer. */
export const REFUSED_KEY = 'refused';
/** A question about this key is never answered. */
export const SILENT_KEY = 'unanswered';
/** What a visitor says as soon as it may. */
export const VISITOR_SAYS = '{"topic":"user.v1.prompt","payload":{}}';

export const raw = (offset: bigint): Arg => ({ kind: 'raw', offset });
export const block = (...segments: Segment[]): Arg => ({ kind: 'block', segments });
export const text = (value: string): Arg => block({ literal: Buffer.from(value) });
export const json = (value: unknown): Arg => text(JSON.stringify(value));
export const bytes = (...values: number[]): Arg => block({ literal: Buffer.from(values) });
export const fill = (count: number, char = 'a'): Arg => block({ byte: char.charCodeAt(0), count });
export const NOTHING: Arg = block();
export const NOT_UTF8: Arg = bytes(0xff, 0xfe, 0x61);
export const STALE: Arg = { kind: 'stale' };
export const from = (step: number): Arg => ({ kind: 'from', step });
export const foreign = (step: number, field: string | null = null): Arg => ({ kind: 'foreign', step, field });
export const step = (call: string, ...args: Arg[]): Step => ({ call, args });

/** `head`, one byte often enough to make `total` bytes in all once names are put in, `tail`. */
export function padded(head: string, tail: string, total: number, char = 'a'): Arg {
  const between = { byte: char.charCodeAt(0), upTo: total };
  return block({ literal: Buffer.from(head) }, between, { literal: Buffer.from(tail) });
}

export const okWhere = (shown: string, test: OkTest): Want => ({ kind: 'ok', shown, test });
export const okText = (value: string): Want => okWhere(JSON.stringify(value), (got) => got.equals(Buffer.from(value)));
export const OK_EMPTY: Want = okText('');
export const OK_ANY: Want = okWhere('anything', () => true);
export const okMatch = (pattern: RegExp): Want => okWhere(String(pattern), (got) => pattern.test(got.toString('utf8')));
export const okJson = (shown: string, test: (value: unknown) => boolean): Want =>
  okWhere(shown, (got) => test(JSON.parse(got.toString('utf8'))));
export const fault = (code: FaultCode, pattern?: RegExp): Want =>
  pattern === undefined ? { kind: 'fault', code } : { kind: 'fault', code, text: pattern };
export const trap = (code: FaultCode, pattern?: RegExp): Want =>
  ({ ...fault(code, pattern), uncatchable: true }) as Want;

export function rowOf(call: string): SyscallRow {
  const row = syscallByName(call);
  if (row === undefined) throw new Error(`no host call is named ${call}`);
  return row;
}
