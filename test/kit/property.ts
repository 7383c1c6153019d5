import fc from 'fast-check';

/**
 * The one way to fast-check for tests. Each run tries the same values, so that a suite which failed fails again, and one which passed says
 * something of the code alone; `ASTRID_PROPERTY_SEED` takes others, to look for more. Values that nobody chose are what `npm run fuzz` is for.
 */
const SEED = Number(process.env['ASTRID_PROPERTY_SEED'] ?? 20_260_101);
if (!Number.isSafeInteger(SEED)) throw new TypeError('ASTRID_PROPERTY_SEED: expected a whole number');
fc.configureGlobal({ seed: SEED });

export { fc };
