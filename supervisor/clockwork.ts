import { LIMITS } from '../abi/limits.js';
import { LAG_TOPIC } from '../bus/router.js';
import type { BusPort } from './bus-port.js';
import { KERNEL_ACTOR } from './kernel-hooks.js';
import type { Sessions } from './sessions.js';

const LAG_REPORT_MS = 10_000;
const TICK_TOPIC = 'astrid.v1.watchdog.tick';
/** A session counts as active this long after it was last opened or spoken in. */
const ACTIVE_MS = 15 * 60_000;

/**
 * The kernel's own clockwork: watchdog ticks (ABI reference 5.8), and losses told at most every ten seconds. `look` is called with
 * each tick.
 */
export function startTicks(
  bus: BusPort,
  sessions: Sessions,
  lags: Map<string, number>,
  look: () => Promise<void>,
): () => void {
  const tick = setInterval(() => {
    void look();
    bus.publishKernel(TICK_TOPIC, {}, KERNEL_ACTOR);
    // What a capsule does on a tick follows the tick's session: one for each in which somebody may be waiting.
    for (const { id, principal } of sessions.active(Date.now() - ACTIVE_MS)) {
      bus.publishKernel(TICK_TOPIC, { session_id: id }, { principal, attribution: 'system', session: id });
    }
  }, LIMITS.watchdogTickMs);
  const lag = setInterval(() => {
    const total = [...lags.values()].reduce((sum, count) => sum + count, 0);
    lags.clear();
    if (total > 0) bus.publishKernel(LAG_TOPIC, { lagged_count: total }, KERNEL_ACTOR);
  }, LAG_REPORT_MS);
  return () => {
    clearInterval(tick);
    clearInterval(lag);
  };
}
