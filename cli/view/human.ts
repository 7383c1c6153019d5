const SIZE_UNITS = ['B', 'K', 'M', 'G', 'T'] as const;

/** Bytes in at most four digits and a binary unit: `0B`, `1023B`, `1.5K`, `64M`. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  const text = value.toFixed(digits);
  return `${text.endsWith('.0') ? text.slice(0, -2) : text}${SIZE_UNITS[unit] ?? 'T'}`;
}

const MS_PER_SECOND = 1000;
const SECONDS_PER_MINUTE = 60;
const SECONDS_PER_HOUR = 3600;
const SECONDS_PER_DAY = 86_400;

/** A span of time in its two largest units: `820ms`, `12s`, `4m05s`, `3h12m`, `5d07h`. */
export function formatAge(ms: number): string {
  if (ms < MS_PER_SECOND) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = Math.floor(ms / MS_PER_SECOND);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < SECONDS_PER_MINUTE) return `${seconds}s`;
  if (seconds < SECONDS_PER_HOUR) {
    return `${Math.floor(seconds / SECONDS_PER_MINUTE)}m${two(seconds % SECONDS_PER_MINUTE)}s`;
  }
  if (seconds < SECONDS_PER_DAY) {
    return `${Math.floor(seconds / SECONDS_PER_HOUR)}h${two((seconds % SECONDS_PER_HOUR) / SECONDS_PER_MINUTE)}m`;
  }
  return `${Math.floor(seconds / SECONDS_PER_DAY)}d${two((seconds % SECONDS_PER_DAY) / SECONDS_PER_HOUR)}h`;
}

/** CPU time with the resolution that matters for short-lived processes: `0.42s`, `12.3s`, then as an age. */
export function formatCpu(ms: number): string {
  if (ms < 10 * MS_PER_SECOND) return `${(ms / MS_PER_SECOND).toFixed(2)}s`;
  if (ms < SECONDS_PER_MINUTE * MS_PER_SECOND) return `${(ms / MS_PER_SECOND).toFixed(1)}s`;
  return formatAge(ms);
}

/** A moment in UTC, to the millisecond, without the letter T: sorts as text and is the same on every machine. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '-' : date.toISOString().replace('T', ' ');
}

/** `1 file`, `2 files`. */
export function formatCount(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
