import { readFileSync } from 'node:fs';
import { openPool } from '../../supervisor/pool/pool.js';
import { type Figure, figureOf } from './figures.js';

/** Entries verified per second, offline, on one thread of the pool: chain, tree and signatures. */
export async function verifyDirectory(directory: string, publicKeyPath: string): Promise<Figure> {
  const pool = openPool();
  try {
    const key = readFileSync(publicKeyPath, 'utf8').trim();
    const samples: number[] = [];
    for (let round = 0; round < 4; round++) {
      const start = performance.now();
      const report = await pool.verifyAudit({ directory, key, knownCheckpoint: null });
      if (report.firstBad !== null) throw new Error(report.firstBad.message);
      if (round > 0) samples.push(report.entries / ((performance.now() - start) / 1000));
    }
    return figureOf('audit verify', 'entries/s', samples, 'chain, tree, signatures; one thread');
  } finally {
    await pool.close();
  }
}
