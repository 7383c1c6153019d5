import { type CallContext, decodeText, EMPTY, type SyscallHandler } from './handler.js';

/** Durable timers behind the two cron calls. */
export interface TimerService {
  schedule(request: {
    readonly principal: string;
    readonly capsule: string;
    readonly name: string;
    readonly schedule: string;
    readonly payload: Uint8Array;
  }): Promise<void>;
  cancel(principal: string, capsule: string, name: string): Promise<void>;
  preview(schedule: string): string[];
  /**
   * Counts the change, and refuses what could not become a timer however it is decided. Throws Fault `rate_limited`,
   * `invalid_argument`, or `not_supported` for a capsule that could never be called.
   */
  admit(request: { readonly name: string; readonly schedule: string }, context: CallContext): void;
}

interface ScheduleRequest {
  readonly name: string;
  readonly schedule: string;
  readonly payload: Buffer;
}

export function makeCronHandlers(timers: TimerService) {
  const schedule: SyscallHandler<ScheduleRequest> = {
    decode: ([name, text, payload]) => ({
      name: decodeText(name, 'name'),
      schedule: decodeText(text, 'schedule'),
      payload: payload ?? EMPTY,
    }),
    resource: ({ name, schedule: text }) => `cron:${name} ${text}`,
    admit: (request, context) => timers.admit(request, context),
    preview: async ({ schedule: text }) => timers.preview(text),
    run: async (request, context) => {
      const { capsule, actor } = context;
      await timers.schedule({ principal: actor.principal, capsule, ...request });
      return EMPTY;
    },
  };
  const cancel: SyscallHandler<{ readonly name: string }> = {
    decode: ([name]) => ({ name: decodeText(name, 'name') }),
    resource: ({ name }) => `cron:${name}`,
    run: async ({ name }, { actor, capsule }) => {
      await timers.cancel(actor.principal, capsule, name);
      return EMPTY;
    },
  };
  return { astrid_cron_schedule: schedule, astrid_cron_cancel: cancel };
}
