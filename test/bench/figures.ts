/** One row of the table: median and 99th percentile of many measurements, or one number. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p99: number | null;
  /** What it is held against, and how. */
  readonly note: string;
  /** Medians of the turns, of what is measured in turns with its rivals. */
  readonly turns?: readonly number[];
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function figureOf(name: string, unit: string, samples: readonly number[], note = ''): Figure {
  const sorted = samples.toSorted((a, b) => a - b);
  return { name, unit, median: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), note };
}

/** @param turns the samples of each turn */
export function figureOfTurns(name: string, turns: readonly (readonly number[])[], note = ''): Figure {
  const medians = turns.map((samples) => figureOf(name, 'µs', samples).median);
  return { ...figureOf(name, 'µs', turns.flat(), note), turns: medians };
}

/** How many times `rival` takes what the other takes: median and extremes of the turns, each measured within a second. */
export function ratioOf(of: Figure, rival: Figure): string {
  const ratios = (of.turns ?? []).map((median, turn) => median / (rival.turns?.[turn] ?? Number.NaN));
  const sorted = ratios.toSorted((a, b) => a - b);
  const [median, least, most] = [0.5, 0, 1].map((share) => percentile(sorted, share).toFixed(2));
  return `${median} (turns: ${least} to ${most})`;
}

export function single(name: string, unit: string, value: number, note = ''): Figure {
  return { name, unit, median: value, p99: null, note };
}

const digits = (value: number) =>
  value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** A Markdown table, as it stands in the README. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = figures.map(
    ({ name, unit, median, p99, note }) =>
      `| ${name} | ${digits(median)} | ${p99 === null ? '' : digits(p99)} | ${unit} | ${note} |`,
  );
  return ['| what | median | p99 | unit | against |', '|---|---:|---:|---|---|', ...rows].join('\n');
}
