import { parseSchedule } from '../../abi/cron-schedule.js';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { CronRow } from '../../abi/manifest.js';
import type { ManifestFindings } from './manifest-findings.js';
import type { ManifestSections } from './manifest-schema.js';

/**
 * `[[cron]]`: timers that come with the capsule. Hosts up to 0.5 read the section and did nothing with it, so in an older manifest
 * a schedule that cannot be read is a warning and that timer is left out; a manifest of generation 3 is refused.
 */
export function readCron(sections: ManifestSections, findings: ManifestFindings): CronRow[] {
  const strict = sections.package.abi === 3;
  const rows = new Map<string, CronRow>();
  sections.cron?.forEach((entry, index) => {
    const { name, schedule, action, timezone = null, missed = 'once' } = entry;
    const wrong = problemOf(name, schedule, timezone, rows);
    if (wrong === null) rows.set(name, { name, schedule, timezone, action, missed });
    else if (strict) findings.problem(['cron', index, wrong.field], wrong.message);
    else findings.warn(['cron', index, wrong.field], `${wrong.message}; this timer is left out`);
  });
  if (rows.size > LIMITS.cronTimersPerCapsuleMax)
    findings.problem(['cron'], `a capsule has at most ${LIMITS.cronTimersPerCapsuleMax} timers`);
  return [...rows.values()];
}

function problemOf(
  name: string,
  schedule: string,
  timezone: string | null,
  known: ReadonlyMap<string, CronRow>,
): { field: string; message: string } | null {
  if (known.has(name)) return { field: 'name', message: `timer ${name} is declared twice` };
  if (Buffer.byteLength(name) > LIMITS.cronNameBytesMax || /\p{Cc}|\p{Surrogate}/u.test(name)) {
    const message = `expected 1 to ${LIMITS.cronNameBytesMax} bytes without control characters`;
    return { field: 'name', message };
  }
  try {
    // From a fixed day: whether a manifest is good must not depend on when it is read, but a day that never comes is wrong.
    const parsed = parseSchedule(schedule, timezone);
    if (parsed.next(0) === null) return { field: 'schedule', message: 'schedule: there is no such day' };
    return null;
  } catch (error) {
    const { field = 'schedule', message } = asFault(error);
    return { field, message };
  }
}
